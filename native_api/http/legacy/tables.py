"""Tables as in the output of the old command line."""

from __future__ import annotations

from typing import Iterable, Sequence


def boxed(rows: Iterable[Sequence[object]], heads: Iterable[str]) -> str:
    """Return a table with borders, as text that ends in a newline."""
    # Imported here since few calls need it; it is a dependency of Airflow.
    from tabulate import tabulate  # type: ignore[import-untyped]

    return f"{tabulate([*rows], [*heads], tablefmt='fancy_grid')}\n"
