"""What tasks write down."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest


@pytest.fixture
def notes(fresh: Any) -> Iterator[Path]:
    """Return the file that tasks write down in what they do, and read in what they may."""
    written = fresh.HOME / "notes"
    written.write_text("")
    yield written
    written.unlink()
