"""What is uploaded to be deployed: how it is read, and where it lies until the sandbox takes it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Optional

from marshmallow import ValidationError, fields

from native_api import settings
from native_api.adapters import private
from native_api.adapters.deploying import history

#: Seconds after which an upload is nobody's any more.
_FORGOTTEN_SECONDS = 86400


class FileOfDags(fields.Raw):
    """What a file holds: an upload, or its text."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> bytes:
        if isinstance(value, str):
            try:
                value = value.encode()
            except UnicodeEncodeError as exc:
                raise ValidationError("No text: it has half of a surrogate pair in it.") from exc
        if not isinstance(value, bytes):
            raise ValidationError("Not a file: upload one, or give its text.")
        limit = settings.get("upload_bytes")
        if len(value) > limit:
            raise ValidationError(f"The file is larger than {limit} bytes.")
        return value


def told_of(content: bytes) -> Dict[str, Any]:
    """Return what the audit log says of a file."""
    return {"sha256": history.checksum(content), "bytes": len(content)}


def receive(content: bytes) -> Path:
    """Write an upload where the sandbox takes it from, and forget those that nobody took."""
    folder = private.folder(history.root().with_name("uploads"))
    for left in folder.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _FORGOTTEN_SECONDS:
                left.unlink()
    path = folder / os.urandom(16).hex()
    with open(path, "xb", opener=private.opened) as opened:
        opened.write(content)
    return path
