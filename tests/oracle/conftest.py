"""A filled database for the comparisons."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from tests.oracle import filler


@pytest.fixture(scope="package")
def filled(airflow: Any) -> Iterator[Any]:
    """Return the Airflow under test with runs, variables, connections and pools, which no test changes."""
    airflow.clean()
    filler.fill()
    with pytest.MonkeyPatch.context() as patch:
        # Else most commands compare the database with all migrations first, for a tenth of a second each.
        patch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")
        patch.setattr("airflow.utils.db.synchronize_log_template", lambda: None)
        yield airflow
    airflow.clean()


@pytest.fixture
def before(filled: Any) -> Iterator[filler.Snapshot]:
    """Return a snapshot of the filled database, for a test that changes it; it is restored at the end."""
    snapshot = filler.Snapshot()
    yield snapshot
    snapshot.put_back()


@pytest.fixture
def one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep commands that parse a file at each call from parsing all the example DAGs, too."""
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
