"""The table of differences to Airflow's command line."""

from __future__ import annotations

from tests.oracle import differences


def test_the_document_equals_the_table() -> None:
    """``python -m tests.oracle.differences`` writes it."""
    assert differences.DOCUMENT.read_text(encoding="utf-8") == differences.document()


def test_every_row_has_a_reason() -> None:
    for row in differences.DIFFERENCES:
        assert row.airflow and row.ours and row.reason.endswith("."), row
        assert differences.FIRST <= row.since <= row.until <= differences.LAST, row
