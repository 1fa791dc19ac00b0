"""The reports of parsed DAG files, as the sandbox returns them."""

from __future__ import annotations

from typing import Dict, List, Optional, TypedDict


class ParsedFile(TypedDict):
    """What a DAG file defines."""

    outcome: str
    #: Duration in seconds.
    seconds: float
    dag_ids: List[str]
    task_count: int
    #: For each a file and its stacktrace.
    import_errors: List[Dict[str, str]]


class FileReport(ParsedFile):
    """What a DAG file defines, or how its process ended."""

    file: str
    bundle_name: Optional[str]
    exit_code: Optional[int]


class Report(TypedDict):
    """The reports of files, the slowest first."""

    files: List[FileReport]
    total_entries: int
    dag_count: int
    task_count: int
    import_error_count: int
    hostname: str
    #: Duration in seconds.
    seconds: float


class Changes(TypedDict):
    """The dag_ids of the DAGs that a file has changed in the database."""

    added: List[str]
    changed: List[str]
    removed: List[str]
