"""The tables that the old command line printed."""

from __future__ import annotations

from typing import Any, Iterable, Sequence


def boxed(rows: Iterable[Sequence[Any]], heads: Iterable[str]) -> str:
    """Return the rows in a box, as text that ends in a newline."""
    # Every Airflow brings it; few calls need it.
    from tabulate import tabulate  # type: ignore[import-untyped]

    return f"{tabulate([*rows], [*heads], tablefmt='fancy_grid')}\n"
