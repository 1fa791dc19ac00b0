"""Uploaded files."""

from __future__ import annotations


class Upload(bytes):
    """What an uploaded file holds; *filename* is what its sender calls it, and nothing to be trusted."""

    filename: str

    def __new__(cls, content: bytes, filename: str) -> Upload:
        upload = super().__new__(cls, content)
        upload.filename = filename
        return upload
