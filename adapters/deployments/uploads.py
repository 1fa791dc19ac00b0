"""Uploads of deployments: how they are read, and where they are stored until the sandbox takes them."""

from __future__ import annotations

import io
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Dict, Optional

from marshmallow import ValidationError, fields

from native_api import settings
from native_api.adapters import private_files
from native_api.adapters.deployments import history
from native_api.uploads import Upload

#: Seconds after which an upload is abandoned and deleted.
_FORGOTTEN_SECONDS = 86400


class FileOfDags(fields.Raw):
    """The content of a file: an upload, or its text."""

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Upload:
        if isinstance(value, str):
            try:
                value = value.encode()
            except UnicodeEncodeError as exc:
                raise ValidationError("Not valid text: it contains an unpaired surrogate.") from exc
        if isinstance(value, bytes):
            value = Upload(io.BytesIO(value))
        if not isinstance(value, Upload):
            raise ValidationError("Not a file: upload one, or send its text.")
        limit = settings.get("upload_bytes")
        if value.size > limit:
            raise ValidationError(
                f"The file is larger than {limit} bytes, the maximum of the option [native_api] upload_bytes."
            )
        return value


def audit_entry(upload: Upload) -> Dict[str, object]:
    """Return the entry of a file in the audit log."""
    return {"sha256": upload.checksum(), "bytes": upload.size}


def receive(upload: Upload) -> Path:
    """Write an upload for the sandbox, and delete abandoned ones."""
    folder = private_files.folder(history.root().with_name("uploads"))
    for left in folder.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _FORGOTTEN_SECONDS:
                left.unlink()
    path = folder / os.urandom(16).hex()
    with open(path, "xb", opener=private_files.opened) as opened:
        upload.copy_to(opened)
    return path
