"""In the sandbox: load a staged file under its final path."""

from __future__ import annotations

import _io
import builtins
import importlib
import io
import os
import posix
import sys
import tokenize
import zipimport
from contextlib import contextmanager
from typing import Any, Callable, Iterator

#: The functions that Python and Airflow open and examine files with.
_WAYS = (
    (builtins, "open"),
    (io, "open"),
    (_io, "open"),
    (io, "open_code"),
    (_io, "open_code"),
    (tokenize, "_builtin_open"),
    (os, "stat"),
    (posix, "stat"),
)


@contextmanager
def substituted(path: str, content: str) -> Iterator[None]:
    """Replace the file *path*, which need not exist, by the file *content* in this process."""
    kept = [(module, name, getattr(module, name)) for module, name in _WAYS]
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    for module, name, function in kept:
        setattr(module, name, _with(function, path, content))
    try:
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)
        sys.dont_write_bytecode = written
        forget(path)


def forget(path: str) -> None:
    """Clear Python's caches of an archive."""
    sys.path_importer_cache.pop(path, None)
    getattr(zipimport, "_zip_directory_cache", {}).pop(path, None)
    importlib.invalidate_caches()


def _with(function: Callable[..., object], path: str, content: str) -> Callable[..., object]:
    def look(file: Any, *args: object, **kwargs: object) -> Any:
        if isinstance(file, (str, os.PathLike)) and os.fspath(file) == path:
            file = content
        return function(file, *args, **kwargs)

    return look
