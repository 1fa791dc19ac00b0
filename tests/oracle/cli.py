"""Airflow's command line, called in this process: its output, or its failure."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import dataclass
from typing import Any, Callable, List

from tests.support import airflow_under_test


@dataclass(frozen=True)
class Failure:
    """The failure of a command, in words that are the same for every DAG, task and run."""

    words: str


def printed(*words: str) -> Any:
    """Return the text that a command prints, or its :class:`Failure`."""
    return _tried(lambda: airflow_under_test.command(*words))


def listed(*words: str) -> Any:
    """Return the rows that a command prints with ``-o json``, or its :class:`Failure`."""
    text = printed(*words, "-o", "json")
    return text if isinstance(text, Failure) else json.loads(text)


def handed(function: Callable[..., Any], dag: Any, *words: str) -> Any:
    """Return the output of a command's function for a parsed DAG, or its :class:`Failure`."""
    from airflow.cli.cli_parser import get_parser

    def run() -> str:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            function(get_parser().parse_args([*words]), dag=dag)
        return out.getvalue()

    return _tried(run)


def in_file(fileloc: str) -> List[str]:
    """Return the arguments that limit a command of Airflow 2 to one file, which it parses at each call."""
    return ["--subdir", fileloc] if airflow_under_test.version() < (3, 0) else []


def _tried(run: Callable[[], str]) -> Any:
    try:
        return run()
    except (Exception, SystemExit) as exc:
        sentence = re.sub(r"'[^']*'|<[^>]*>", "…", str(exc).strip().split("\n")[0])
        return Failure(f"{type(exc).__name__}: {sentence}" if sentence else type(exc).__name__)
