"""The output of list_dags with report."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, List, Mapping, Tuple

RULE = "-" * 67
HEADS = ("file", "duration", "dag_num", "task_num", "dags")

Row = Tuple[str, str, int, int, str]


def report(result: Mapping[str, Any], folder: str) -> str:
    """
    Return what the old command printed after the list: the loading time of each DAG file.

    :param result: that of dag_report.
    :param folder: the DAGs folder, which is removed from the paths of the files.
    """
    seconds = sum(entry["seconds"] for entry in result["files"])
    return (
        f"\n\n{RULE}\nDagBag loading stats for {folder}\n{RULE}\n"
        f"Number of DAGs: {result['dag_count']}\n"
        f"Total task number: {result['task_count']}\n"
        f"DagBag parsing time: {seconds:.6f}\n"
        f"{_table([_row(entry, folder) for entry in result['files']])}\n\n"
    )


def _row(entry: Mapping[str, Any], folder: str) -> Row:
    duration = str(timedelta(seconds=entry["seconds"]))
    dag_ids: List[str] = entry["dag_ids"]
    return entry["file"].replace(folder, "", 1), duration, len(dag_ids), entry["task_count"], str(dag_ids)


def _table(rows: List[Row]) -> str:
    """Return a table as in Airflow 1.10: texts are left-aligned, numbers right-aligned."""
    if not rows:
        return ""
    widths = [max(len(str(cell)) for cell in column) for column in zip(HEADS, *rows)]
    rule = "-+-".join("-" * width for width in widths)
    lines = [" | ".join(_cell(cell, width) for cell, width in zip(row, widths)) for row in rows]
    heads = " | ".join(head.ljust(width) for head, width in zip(HEADS, widths))
    return "\n".join([rule, heads, rule, *lines, rule]) + "\n"


def _cell(cell: Any, width: int) -> str:
    return str(cell).rjust(width) if isinstance(cell, int) else str(cell).ljust(width)
