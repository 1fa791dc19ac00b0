"""Rows that calls have created once, to be created again at once."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Set, Tuple

from tests.support.airflow_under_test import session

#: The audit log is what happens, and not what there is.
ASIDE = frozenset({"log"})


class Remembered:
    """The rows that *make* adds to the database."""

    def __init__(self, make: Callable[[], None]) -> None:
        before = {table.name: self._keys(table) for table in self._tables()}
        make()
        self._added: List[Tuple[Any, List[Dict[str, Any]]]] = []
        for table in self._tables():
            if self._keys(table) - before[table.name]:
                self._added.append((table, self._rows(table, before[table.name])))

    def make_again(self) -> None:
        """Add the same rows to a database that no longer has them."""
        with session() as opened:
            for table, rows in self._added:
                opened.execute(table.insert(), rows)

    def _tables(self) -> List[Any]:
        """Return Airflow's tables, each after those that it references."""
        from airflow.models.base import Base
        from sqlalchemy import inspect

        with session() as opened:
            there = set(inspect(opened.get_bind()).get_table_names()) - ASIDE
        return [table for table in Base.metadata.sorted_tables if table.name in there]

    def _keys(self, table: Any) -> Set[Any]:
        from sqlalchemy import select

        with session() as opened:
            return {tuple(row) for row in opened.execute(select(*table.primary_key.columns))}

    def _rows(self, table: Any, before: Set[Any]) -> List[Dict[str, Any]]:
        from sqlalchemy import select

        names = [column.name for column in table.primary_key.columns]
        with session() as opened:
            rows = [dict(row._mapping) for row in opened.execute(select(table))]
        return [row for row in rows if tuple(row[name] for name in names) not in before]
