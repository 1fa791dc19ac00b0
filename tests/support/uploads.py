"""Imported files, and the ways to send them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def send(web: Any, folder: Path, noun: str, way: str, content: Any) -> Any:
    """Send the content of an import in one of the possible ways."""
    path, text = f"/native_api/v1/import_{noun}", json.dumps(content)
    if way == "json":
        return web.request("POST", path, json={noun: content})
    if way == "form":
        return web.request("POST", path, form={noun: text})
    if way == "upload":
        body = part(noun, text.encode(), file=True) + b"--x--\r\n"
        return web.request("POST", path, body=body, headers=MULTIPART)
    (folder / "f.json").write_text(text, encoding="utf-8")
    return web.request("POST", path, json={"file": "f.json"})


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def part(name: str, content: bytes, file: bool = False) -> bytes:
    filename = '; filename="f"' if file else ""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode() + content + b"\r\n"


@pytest.fixture
def folder(fresh: Any, tmp_path: Path, monkeypatch: Any) -> Path:
    """Return an empty files_dir, with a secret file beside it."""
    (tmp_path / "secret").write_text('{"stolen": "1"}')
    monkeypatch.setenv("AIRFLOW__NATIVE_API__FILES_DIR", str(tmp_path / "files"))
    (tmp_path / "files" / "below").mkdir(parents=True)
    return tmp_path / "files"
