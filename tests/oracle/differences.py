"""
Where Airflow's command line says something else than we do, and Airflow's reason.

Every row is asserted to differ on each version that it names, and nothing else that is compared may.
``docs/differences.rst`` is made from it: ``python -m tests.oracle.differences`` writes it, and a test compares.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "differences.rst"

FIRST, LAST = (2, 7), (3, 4)


@dataclass(frozen=True)
class Difference:
    """One thing that a command says or does in another way, on the versions from *since* to *until*."""

    command: str
    what: str
    airflow: str
    ours: str
    reason: str
    since: Tuple[int, int] = FIRST
    until: Tuple[int, int] = LAST

    @property
    def versions(self) -> str:
        """The versions, for people."""
        if (self.since, self.until) == (FIRST, LAST):
            return "all"
        first, last = (".".join(map(str, version)) for version in (self.since, self.until))
        return first if first == last else f"{first} to {last}"


DIFFERENCES: List[Difference] = [
    Difference(
        "dags list",
        "the path in the DAGs folder",
        "shows a DAG's file by its path in the DAGs folder, or in Airflow's package",
        "``fileloc`` is the whole path, as on later versions",
        "The command printed ``DAG.filepath`` until 2.9 gave it the fields of the REST API.",
        until=(2, 8),
    ),
    Difference(
        "dags list",
        "spaces in owners",
        "keeps the space after a comma between owners",
        "owners without spaces around them, as on other versions",
        "The REST API of these versions splits the text at its commas and no more.",
        since=(2, 9),
        until=(2, 11),
    ),
    Difference(
        "dags next-execution",
        "a run after the last one",
        "prints ``None`` after the one run of ``@once``, and then a date again",
        "the list of next runs ends with the last one",
        "The command asks the timetable for the run after ``None``, which is the first one.",
        since=(3, 1),
        until=(3, 1),
    ),
    Difference(
        "dags state",
        "a secret in conf",
        "prints the run's conf as it is",
        "what Airflow calls sensitive in a conf is masked",
        "The command is for those who may read the database anyway.",
    ),
    Difference(
        "tasks state",
        "RuntimeError: No map_index passed to mapped task",
        "refuses a mapped task without a map index",
        "the state of the instance that represents all of them until they are expanded",
        "Asked for no index, the command does not look whether there is a row of index -1.",
    ),
    Difference(
        "tasks failed-deps",
        "RuntimeError: No map_index passed to mapped task",
        "refuses a mapped task without a map index",
        "the dependencies of the instance that represents all of them until they are expanded",
        "Asked for no index, the command does not look whether there is a row of index -1.",
    ),
    Difference(
        "tasks state",
        "ValueError: A loop task requires an explicit region scope",
        "refuses a task of a loop without its region",
        "the state of the instance with that ``map_index``, the index in its region",
        "An instance of a loop is addressed by its region, which no other version has.",
        since=(3, 4),
    ),
    Difference(
        "tasks failed-deps",
        "ValueError: A loop task requires an explicit region scope",
        "refuses a task of a loop without its region",
        "the dependencies of the instance with that ``map_index``, the index in its region",
        "An instance of a loop is addressed by its region, which no other version has.",
        since=(3, 4),
    ),
    Difference(
        "tasks states-for-dag-run",
        "an index in a loop",
        "shows an instance of a loop without its index in the region",
        "``map_index`` is that index",
        "An instance of a loop is addressed by its region, which no other version has.",
        since=(3, 4),
    ),
    Difference(
        "variables get --json",
        "NaN",
        "reads ``NaN`` as a number",
        "refused: it is not JSON, and the response could not be JSON",
        "Python's ``json`` reads more than JSON.",
    ),
    Difference(
        "variables export",
        "a description",
        "leaves descriptions out",
        'a variable with a description is ``{"value": …, "description": …}``, which every import here reads',
        "Descriptions came to the file with 3.0.",
        until=(2, 11),
    ),
    Difference(
        "variables export",
        "a JSON text",
        "writes a value that is a text in quotes without them",
        "with them, so that an import restores the same value",
        "The command read every value as JSON; 3.3 mended it.",
        until=(3, 2),
    ),
    Difference(
        "variables export",
        "its spelling",
        "reads JSON values, and an import writes them anew",
        "what would be spelled otherwise is a text, so that an import restores the same value verbatim",
        "The command takes two spellings of JSON for one value.",
    ),
    Difference(
        "variables export",
        "NaN",
        "writes ``NaN`` as a number, which is no JSON",
        "the text ``NaN``",
        "Python's ``json`` writes more than JSON.",
    ),
    Difference(
        "connections list",
        "a password",
        "prints passwords",
        "masked",
        "The command is for those who may read the database anyway.",
    ),
    Difference(
        "connections list",
        "a secret in an extra",
        "prints extras as they are",
        "what Airflow calls sensitive in an extra is masked",
        "The command is for those who may read the database anyway.",
    ),
    Difference(
        "connections list",
        "is_extra_encrypted",
        "says of the extra what holds for the password",
        "whether the extra is encrypted",
        "The command reads ``is_encrypted`` for both.",
        until=(3, 3),
    ),
    Difference(
        "connections get",
        "is_extra_encrypted",
        "says of the extra what holds for the password",
        "whether the extra is encrypted",
        "The command reads ``is_encrypted`` for both.",
        until=(3, 3),
    ),
    Difference(
        "tasks clear --task-regex",
        "whether anything is cleared",
        "looks for the text as it is in the tasks' ids",
        "looks for a regular expression, as on Airflow 2",
        "``partial_subset`` takes a text for a part of an id since 3.0, and the command hands it the expression.",
        since=(3, 0),
    ),
    Difference(
        "tasks clear --task-regex",
        "task_instance.priority_weight",
        "writes the weight that a task has where the DAG had the chosen tasks only",
        "the weight that the task has in its DAG",
        "The command clears through a part of the DAG, and the weight is a sum over all tasks that follow.",
        until=(2, 11),
    ),
    Difference(
        "tasks clear --exclude-parentdag",
        "a SubDAG",
        "shows the SubDAG's tasks, and clears tasks of the DAG that it is a part of too",
        "clears the SubDAG's tasks",
        "``DAG.clear_dags`` looks with the option and clears without it.",
        until=(2, 11),
    ),
    Difference(
        "tasks clear",
        "task_instance.custom_operator_name",
        "keeps the name that a decorator gives its operator",
        "the name is gone until the task runs again, as when cleared in Airflow's pages",
        "The command parses the file; in a stored operator Airflow does not find the name.",
        until=(2, 11),
    ),
]

#: What has comparisons of its own.
APART = {"a DAG with SubDAGs", "a SubDAG", "a task with setups"}


@dataclass
class Comparison:
    """What was compared of one command, and where it differed."""

    command: str
    count: int = 0
    found: Dict[str, List[Any]] = field(default_factory=dict)

    def same(self, what: str, theirs: Any, ours: Any, where: Any = None) -> None:
        """Note the two down under *what*, where they differ."""
        self.count += 1
        if theirs != ours:
            self.found.setdefault(what, []).append((where, theirs, ours))

    def rows(self, unlike: Dict[str, List[Any]], where: Any = None) -> None:
        """Note down what is not the same in the tables."""
        self.count += 1
        for what, seen in unlike.items():
            self.found.setdefault(what, []).append((where, len(seen), seen[:2]))


@contextmanager
def compared(command: str, only: str = "") -> Iterator[Comparison]:
    """Give a comparison, and hold what differed in it to the table: to its rows for the command, or to *only* one."""
    from tests.support import airflow_under_test

    comparison = Comparison(command)
    yield comparison
    assert comparison.count, "nothing was compared"
    version = airflow_under_test.version()
    listed = {
        row.what
        for row in DIFFERENCES
        if row.command == command and row.since <= version <= row.until and (row.what == only or not only)
    }
    if not only:
        listed -= APART
    unlisted = {what: (len(seen), seen[:3]) for what, seen in comparison.found.items() if what not in listed}
    assert unlisted == {}, f"differs, and no row of the table says so: {unlisted}"
    assert listed - set(comparison.found) == set(), f"differ no longer: {listed - set(comparison.found)}"


def document() -> str:
    """Return the text of ``docs/differences.rst``."""
    head = (
        "Where Airflow's command line says something else\n"
        "================================================\n\n"
        "The tests compare the operations with Airflow's own command line on every supported Airflow, on a database\n"
        "with runs and task instances in every state:\n\n"
        "* ``dags list``, ``dags details``, ``dags next-execution``, ``dags list-runs``, ``dags state``,\n"
        "  ``dags delete``, ``tasks list``, ``tasks state`` and ``tasks states-for-dag-run`` for all of Airflow's\n"
        "  example DAGs, and the tests' own; ``dags list-import-errors`` for a file of the tests' own;\n"
        "* ``tasks failed-deps`` for the same, but on 3.0, where it takes seconds a call, for the tests' own alone;\n"
        "* ``tasks clear`` for some of them, which have mapped tasks, task groups, markers, setups or SubDAGs;\n"
        "* ``variables``, ``connections`` and ``pools`` for some of each kind.\n\n"
        "This is what differs in what is compared, and why. A test keeps the table true: each row is tried on each of\n"
        "its versions, and nothing else differs there.\n\n"
    )
    cells = [("Command", "Airflow", "What the command does", "What we do", "Reason")]
    cells += [(f"``{row.command}``", row.versions, row.airflow, row.ours, row.reason) for row in DIFFERENCES]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in cells:
        lines += [f"   {'  -' if number else '* -'} {cell}" for number, cell in enumerate(row)]
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
