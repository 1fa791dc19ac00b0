"""
What docs/ says of the registry, the declared options and the classes of errors: tables and openapi.json.

A test compares them with the files. ``tox exec -e airflow33 -- python docs/tables.py`` writes them into these.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Sequence

DOCS = Path(__file__).resolve().parent
ERRORS = DOCS / "errors.rst"
OPENAPI = DOCS / "openapi.json"
BEGIN, END = ".. begin {}\n", ".. end {}\n"


def names() -> str:
    """Return the table of the old protocol's names."""
    from native_api.http.legacy import protocol
    from native_api.http.legacy.name_index import names_by_operation

    operations: Dict[str, List[str]] = {}
    for operation, of_operation in names_by_operation().items():
        for name in of_operation:
            operations.setdefault(name, []).append(operation)
    rows = [
        (
            f"``{name.name}``",
            ", ".join(f"``{argument}``" for argument in sorted({*name.required, *name.arguments})),
            ", ".join(f":ref:`operation-{operation}`" for operation in sorted(operations[name.name])),
        )
        for name in sorted(protocol.every().values(), key=lambda name: name.name)
    ]
    return _table(("``api=``", "Arguments", "Operations"), rows)


#: Where operations work that need more than the metadata database, by their effect: on a web server with DAG files.
WITH_DAG_FILES = {
    "execute": "In the sandbox",
    "deploy": "If the web server can write to the folder, which it shares with Airflow",
    "daemon": "On the host of the web server",
}
_SCHEDULED = "On Airflow's scheduler; with ``local`` {}"
#: The same of operations that do not need DAG files always.
SOMETIMES = {
    "backfill_dag": _SCHEDULED.format("in the sandbox"),
    "run_task": "On Airflow's executor; with ``local`` in the sandbox",
}
#: On a web server without DAG files, where it is not an error that the operation declares.
WITHOUT_DAG_FILES = {
    "backfill_dag": _SCHEDULED.format("409 ``dag_file_missing``"),
    "refresh_all_dags": "In the DAG processor, since Airflow 2.10",
    "refresh_dag": "In the DAG processor, since Airflow 2.10",
    "rollback_dag": "404 ``deployment_not_found``",
    "run_task": "On Airflow's executor; with ``local`` 409 ``dag_file_missing``",
}
#: The same with ``execute_on = executor``.
ON_EXECUTOR = {
    "backfill_dag": _SCHEDULED.format("on a worker (Airflow 2)"),
    "refresh_all_dags": "In the DAG processor; before Airflow 2.10 on a worker",
    "refresh_dag": "In the DAG processor; before Airflow 2.10 on a worker",
    "run_task": "On Airflow's executor; with ``local`` in a job on a worker (Airflow 2)",
}


def requirements() -> str:
    """Return the table of where operations work that need more than the metadata database."""
    import native_api.adapters.catalogue  # noqa: F401
    from native_api import errors, registry

    def refused(operation: registry.Operation, *kinds: type[errors.NativeApiError]) -> str:
        codes = " or ".join(f"``{kind.code}``" for kind in kinds if kind in operation.errors)
        return f"409 {codes}" if codes else ""

    rows = [
        (
            f":ref:`operation-{each.name}`",
            with_files,
            WITHOUT_DAG_FILES.get(each.name)
            or refused(each, errors.DagFileMissing, errors.DagFilesMissing)
            or with_files,
            ON_EXECUTOR.get(each.name)
            or refused(each, errors.NotOnExecutor)
            or ("On a worker" if each.effect.value == "execute" else with_files),
        )
        for each in registry.every()
        for with_files in filter(None, [SOMETIMES.get(each.name) or WITH_DAG_FILES.get(each.effect.value)])
    ]
    return _table(("Operation", "Web server with DAG files", "Without", "``execute_on = executor``"), rows)


def options() -> str:
    """Return the table of options."""
    from native_api.settings import OPTIONS

    rows = [
        (
            f"``{option.name}``" + (" [1]_" if option.legacy else ""),
            f"``{option.default}``" if option.default else "(empty)",
            option.help,
        )
        for option in OPTIONS.values()
    ]
    return _table(("Option", "Default", "Meaning"), rows)


def errors() -> str:
    """Return the table of errors."""
    from native_api.errors import kinds
    from native_api.http.legacy.envelope import STATUSES

    rows = [
        (
            f"``{error.code}``",
            str(int(error.status)) + (f" (old protocol: {int(STATUSES[error])})" if error in STATUSES else ""),
            (inspect.getdoc(error) or "").splitlines()[0],
            ", ".join(f"``{name}``" for name in error.public_data()),
            f"``{error.__name__}``",
        )
        for error in sorted(kinds(), key=lambda error: error.code)
    ]
    return _table(("Code", "Status", "Meaning", "Data", "In Python"), rows)


def common_errors() -> str:
    """Return the table of the errors that many operations have in common."""
    from native_api import possible_errors

    rows = [
        (which, ", ".join(f"``{code}``" for code in sorted(error.code for error in of_which)))
        for which, of_which in (
            ("All", possible_errors.OF_EVERY),
            ("Those with arguments", (possible_errors.errors.Invalid,)),
            ("Those that change something (``POST``)", possible_errors.OF_CHANGES),
        )
    ]
    return _table(("Operations", "Codes"), rows)


def errors_of_operations() -> str:
    """Return the table of the errors of each operation, without those that it has in common with others."""
    import native_api.adapters.catalogue  # noqa: F401
    from native_api import possible_errors, registry

    own = {
        operation.name: sorted(
            {error.code for error in {*operation.errors} - {*possible_errors.common_errors(operation)}}
        )
        for operation in registry.every()
    }
    rows = [
        (f":ref:`operation-{name}`", ", ".join(f"``{code}``" for code in codes)) for name, codes in own.items() if codes
    ]
    return _table(("Operation", "Codes"), rows)


#: The tables of each file.
TABLES: Dict[Path, Dict[str, Callable[[], str]]] = {
    DOCS / "configuration.rst": {"options": options},
    DOCS / "deployment.rst": {"requirements": requirements},
    DOCS / "migrating-from-airflow-rest-api-plugin.rst": {"names": names},
    ERRORS: {"errors": errors, "common errors": common_errors, "errors of operations": errors_of_operations},
}


def with_tables(file: Path) -> str:
    """Return the text of *file* with each table between its markers as it must be."""
    text = file.read_text(encoding="utf-8")
    for name, table in TABLES[file].items():
        begin, end = BEGIN.format(name), END.format(name)
        before, found, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not (found and found_end):
            raise ValueError(f"{file.name} lacks '{begin.strip()}' or, after it, '{end.strip()}'")
        text = f"{before}{begin}\n{table()}\n{end}{after}"
    return text


def openapi() -> str:
    """Return the text of openapi.json: the document as every server gives it."""
    from native_api.http.openapi import document

    return json.dumps(document(), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}".rstrip() for number, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for changed in TABLES:
        changed.write_text(with_tables(changed), encoding="utf-8")
    OPENAPI.write_text(openapi(), encoding="utf-8")
