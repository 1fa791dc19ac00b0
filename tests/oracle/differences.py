"""
The differences from Airflow's command line, and their reasons.

A test asserts that each row differs on its versions, and that nothing else does. ``python -m tests.oracle.differences``
writes ``docs/differences.rst``.
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
    """A difference from a command, on the versions from *since* to *until*."""

    command: str
    what: str
    airflow: str
    ours: str
    reason: str
    since: Tuple[int, int] = FIRST
    until: Tuple[int, int] = LAST

    @property
    def versions(self) -> str:
        """The versions, as text."""
        if (self.since, self.until) == (FIRST, LAST):
            return "all"
        first, last = (".".join(map(str, version)) for version in (self.since, self.until))
        return first if first == last else f"{first} to {last}"


DIFFERENCES: List[Difference] = [
    Difference(
        "dags list",
        "the path in the DAGs folder",
        "prints the path of a DAG's file relative to the DAGs folder, or to Airflow's package",
        "``fileloc`` is the absolute path, as on later versions",
        "The command printed ``DAG.filepath``; since 2.9 it has the fields of the REST API.",
        until=(2, 8),
    ),
    Difference(
        "dags list",
        "spaces in owners",
        "keeps the space after a comma between owners",
        "owners without spaces around them, as on other versions",
        "The REST API of these versions splits the text at commas and does not strip the spaces.",
        since=(2, 9),
        until=(2, 11),
    ),
    Difference(
        "dags next-execution",
        "a run after the last one",
        "prints ``None`` after the only run of ``@once``, and then a date again",
        "the list of next runs ends with the last one",
        "The command asks the timetable for the run after ``None``, which is the first one.",
        since=(3, 1),
        until=(3, 1),
    ),
    Difference(
        "dags state",
        "a secret in conf",
        "prints the conf of the run unmasked",
        "sensitive values of the conf are masked",
        "Whoever runs the command can read the database anyway.",
    ),
    Difference(
        "tasks state",
        "RuntimeError: No map_index passed to mapped task",
        "refuses a mapped task without a map index",
        "the state of the instance that represents all of them until they are expanded",
        "Without an index, the command does not check whether the row with index -1 exists.",
    ),
    Difference(
        "tasks failed-deps",
        "RuntimeError: No map_index passed to mapped task",
        "refuses a mapped task without a map index",
        "the dependencies of the instance that represents all of them until they are expanded",
        "Without an index, the command does not check whether the row with index -1 exists.",
    ),
    Difference(
        "tasks state",
        "ValueError: A loop task requires an explicit region scope",
        "refuses a task in a loop without its region",
        "the state of the instance with that ``map_index``, the index in its region",
        "A task instance in a loop is identified by its region, which no other version has.",
        since=(3, 4),
    ),
    Difference(
        "tasks failed-deps",
        "ValueError: A loop task requires an explicit region scope",
        "refuses a task in a loop without its region",
        "the dependencies of the instance with that ``map_index``, the index in its region",
        "A task instance in a loop is identified by its region, which no other version has.",
        since=(3, 4),
    ),
    Difference(
        "tasks states-for-dag-run",
        "an index in a loop",
        "prints a task instance in a loop without its index in the region",
        "``map_index`` is that index",
        "A task instance in a loop is identified by its region, which no other version has.",
        since=(3, 4),
    ),
    Difference(
        "variables get --json",
        "NaN",
        "reads ``NaN`` as a number",
        "refused: it is not JSON, and the response could not be JSON",
        "Python's ``json`` accepts more than JSON.",
    ),
    Difference(
        "variables export",
        "a description",
        "omits descriptions",
        'a variable with a description is ``{"value": …, "description": …}``, as every import here accepts',
        "The export has descriptions since 3.0.",
        until=(2, 11),
    ),
    Difference(
        "variables export",
        "a JSON text",
        "writes a value that is text in quotation marks without them",
        "with them, so that an import restores the same value",
        "The command parsed every value as JSON; fixed in 3.3.",
        until=(3, 2),
    ),
    Difference(
        "variables export",
        "its spelling",
        "parses JSON values, and an import serializes them again",
        "a value that would be serialized differently is text, so that an import restores it verbatim",
        "The command treats two serializations of one value as equal.",
    ),
    Difference(
        "variables export",
        "NaN",
        "writes ``NaN`` as a number, which is not JSON",
        "the text ``NaN``",
        "Python's ``json`` writes more than JSON.",
    ),
    Difference(
        "connections list",
        "a password",
        "prints passwords",
        "masked",
        "Whoever runs the command can read the database anyway.",
    ),
    Difference(
        "connections list",
        "a secret in an extra",
        "prints extras unmasked",
        "sensitive values of the extra are masked",
        "Whoever runs the command can read the database anyway.",
    ),
    Difference(
        "connections list",
        "is_extra_encrypted",
        "prints for the extra whether the password is encrypted",
        "whether the extra is encrypted",
        "The command reads ``is_encrypted`` for both.",
        until=(3, 3),
    ),
    Difference(
        "connections get",
        "is_extra_encrypted",
        "prints for the extra whether the password is encrypted",
        "whether the extra is encrypted",
        "The command reads ``is_encrypted`` for both.",
        until=(3, 3),
    ),
    Difference(
        "tasks clear --task-regex",
        "whether anything is cleared",
        "searches the task ids for the text",
        "searches for the regular expression, as on Airflow 2",
        "Since 3.0 ``partial_subset`` takes a text as a part of an id, and the command passes the expression to it.",
        since=(3, 0),
    ),
    Difference(
        "tasks clear --task-regex",
        "task_instance.priority_weight",
        "writes the priority weight that a task has in the subset of selected tasks",
        "the priority weight of the task in its DAG",
        "The command clears a subset of the DAG, and the weight is the sum over all downstream tasks.",
        until=(2, 11),
    ),
    Difference(
        "tasks clear --exclude-parentdag",
        "a SubDAG",
        "lists the SubDAG's tasks, and clears tasks of its parent DAG, too",
        "clears the SubDAG's tasks",
        "``DAG.clear_dags`` counts with the option and clears without it.",
        until=(2, 11),
    ),
    Difference(
        "tasks clear",
        "task_instance.custom_operator_name",
        "keeps the name that a decorator gives its operator",
        "the name is null until the task runs again, as after clearing in Airflow's UI",
        "The command parses the file; a serialized operator does not have the name.",
        until=(2, 11),
    ),
]

#: Differences that are compared separately.
APART = {"a DAG with SubDAGs", "a SubDAG", "a task with setups"}


@dataclass
class Comparison:
    """The comparisons of one command, and the differences that they found."""

    command: str
    count: int = 0
    found: Dict[str, List[Any]] = field(default_factory=dict)

    def same(self, what: str, theirs: Any, ours: Any, where: Any = None) -> None:
        """Compare two values, and add a difference under *what*."""
        self.count += 1
        if theirs != ours:
            self.found.setdefault(what, []).append((where, theirs, ours))

    def rows(self, unlike: Dict[str, List[Any]], where: Any = None) -> None:
        """Add differences of database tables."""
        self.count += 1
        for what, seen in unlike.items():
            self.found.setdefault(what, []).append((where, len(seen), seen[:2]))


@contextmanager
def compared(command: str, only: str = "") -> Iterator[Comparison]:
    """Return a comparison whose differences must be the table's rows for the command, or *only* one."""
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
        "Differences from Airflow's command line\n"
        "=======================================\n\n"
        "The tests compare the operations with Airflow's own command line on every supported Airflow, on a database\n"
        "with runs and task instances in every state:\n\n"
        "* ``dags list``, ``dags details``, ``dags next-execution``, ``dags list-runs``, ``dags state``,\n"
        "  ``dags delete``, ``tasks list``, ``tasks state`` and ``tasks states-for-dag-run`` for all of Airflow's\n"
        "  example DAGs, and those of the tests; ``dags list-import-errors`` for a file of the tests;\n"
        "* ``tasks failed-deps`` for the same DAGs, on 3.0, where it is slow, for those of the tests only;\n"
        "* ``tasks clear`` for some of them, with mapped tasks, task groups, markers, setups and SubDAGs;\n"
        "* ``variables``, ``connections`` and ``pools`` for some of each kind.\n\n"
        "The table has all differences and their reasons. The tests assert that each row differs on each of its\n"
        "versions, and that nothing else does.\n\n"
    )
    cells = [("Command", "Airflow", "Command line", "This plugin", "Reason")]
    cells += [(f"``{row.command}``", row.versions, row.airflow, row.ours, row.reason) for row in DIFFERENCES]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in cells:
        lines += [f"   {'  -' if number else '* -'} {cell}" for number, cell in enumerate(row)]
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
