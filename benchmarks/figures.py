"""Medians, 99th percentiles, and the tables of the documentation."""

from __future__ import annotations

import statistics
from typing import Dict, Iterable, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def summary(seconds: Sequence[float], cpu: Sequence[float] = ()) -> Dict[str, float]:
    """Return the median and the 99th percentile in milliseconds, and the median CPU time."""
    figures = {"median": statistics.median(seconds), "p99": percentile(seconds, 0.99)}
    if cpu:
        figures["cpu"] = statistics.median(cpu)
    return {name: round(1000 * value, 3) for name, value in figures.items()}


def ratio(ours: float, theirs: float) -> str:
    """Return a ratio as text."""
    return f"{ours / theirs:.2f}" if theirs else ""


def number(value: float) -> str:
    """Return milliseconds as text, with two digits at least."""
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in reStructuredText."""
    lines = (", ".join(f'"{cell}"' for cell in row) for row in (header, *rows))
    return "\n".join([".. csv-table::", "   :header-rows: 1", "", *(f"   {line}" for line in lines)])
