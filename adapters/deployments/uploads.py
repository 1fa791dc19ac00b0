"""What is uploaded to be deployed: how it is read, and where it lies until the sandbox takes it."""

from __future__ import annotations

import io
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Optional

from marshmallow import ValidationError, fields

from native_api import settings
from native_api.adapters import private_files
from native_api.adapters.deployments import history
from native_api.uploads import Upload

#: Seconds after which an upload is nobody's any more.
_FORGOTTEN_SECONDS = 86400


class FileOfDags(fields.Raw):
    """What a file holds: an upload, or its text."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Upload:
        if isinstance(value, str):
            try:
                value = value.encode()
            except UnicodeEncodeError as exc:
                raise ValidationError("No text: it has half of a surrogate pair in it.") from exc
        if isinstance(value, bytes):
            value = Upload(io.BytesIO(value))
        if not isinstance(value, Upload):
            raise ValidationError("Not a file: upload one, or give its text.")
        limit = settings.get("upload_bytes")
        if value.size > limit:
            raise ValidationError(
                f"The file is larger than {limit} bytes, which is what the option [native_api] upload_bytes allows."
            )
        return value


def told_of(upload: Upload) -> Dict[str, Any]:
    """Return what the audit log says of a file."""
    return {"sha256": upload.checksum(), "bytes": upload.size}


def receive(upload: Upload) -> Path:
    """Write an upload where the sandbox takes it from, and forget those that nobody took."""
    folder = private_files.folder(history.root().with_name("uploads"))
    for left in folder.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _FORGOTTEN_SECONDS:
                left.unlink()
    path = folder / os.urandom(16).hex()
    with open(path, "xb", opener=private_files.opened) as opened:
        upload.copy_to(opened)
    return path
