"""A versioned bundle whose files are fetched, like those of a repository."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle


class Copied(BaseDagBundle):
    """A folder that is copied when the bundle is refreshed."""

    supports_versioning = True

    def __init__(self, *, source: str, copy: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._source, self._copy = Path(source), Path(copy)

    @property
    def path(self) -> Path:
        return self._copy

    def initialize(self) -> None:
        super().initialize()
        if not self._copy.exists():
            self.refresh()

    def refresh(self) -> None:
        shutil.copytree(self._source, self._copy, dirs_exist_ok=True)

    def get_current_version(self) -> str:
        return (self._copy / "VERSION").read_text()
