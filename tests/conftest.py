"""One Airflow for the whole session, and a clean state for each test."""

from __future__ import annotations

import gc
from typing import Any, Iterator, List

import pytest

from tests.support import airflow_under_test, declared_errors
from tests.support.cpu_times import pytest_runtest_protocol, pytest_terminal_summary  # noqa: F401
from tests.support.examples import world  # noqa: F401
from tests.support.uploads import folder  # noqa: F401

airflow_under_test.configure()
# Few objects of the tests are in cycles; to look for these at the usual intervals takes 6 % of the processor time.
gc.set_threshold(50_000, 20, 100)


def pytest_addoption(parser: Any) -> None:
    parser.addoption(
        "--write-examples",
        action="store_true",
        help="write the responses of test_contract.py to native_api/http/response_examples.json",
    )
    parser.addoption(
        "--every-version",
        action="store_true",
        help="run also what has the same code on a neighbouring Airflow, which shows it by default",
    )


def pytest_collection_modifyitems(config: Any, items: List[Any]) -> None:
    """Skip tests that another Airflow covers."""
    from tests.support.versions import AIRFLOW, numbers

    if config.getoption("--every-version"):
        return
    for item in items:
        for mark in item.iter_markers("by_default_on"):
            if AIRFLOW not in map(numbers, mark.args):
                reason = f"Shown on Airflow {', '.join(mark.args)}, and everywhere with --every-version"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def _watched_errors() -> None:
    declared_errors.watch()


@pytest.fixture(autouse=True)
def _declared_errors(_watched_errors: None) -> Iterator[None]:
    """Fail if an operation returned an error that the OpenAPI document does not have."""
    declared_errors.UNDECLARED.clear()
    yield
    assert declared_errors.UNDECLARED == []


@pytest.fixture(scope="session")
def airflow() -> Any:
    """Return the Airflow under test, with a filled database."""
    airflow_under_test.create_database()
    _keep()
    return airflow_under_test


@pytest.fixture
def fresh(airflow: Any) -> Iterator[Any]:
    """Return the Airflow under test without runs, variables and audit log rows, and delete those of the test."""
    airflow.clean()
    yield airflow
    airflow.clean()


@pytest.fixture(scope="session")
def site(airflow: Any) -> Iterator[Any]:
    """Return Airflow's own web application, with the plugin in it as Airflow mounts it."""
    from tests.support.web_site import open_site

    with open_site() as opened:
        _keep()
        yield opened


def _keep() -> None:
    """Exclude the objects of the whole session from garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def web(site: Any, fresh: Any) -> Any:
    """Return the web application for a test with a clean state."""
    return site


@pytest.fixture(scope="session")
def remembered(site: Any, airflow: Any) -> Any:
    """Return the rows that the examples of all operations need, created once."""
    from tests.support.examples import make_world
    from tests.support.remembered import Remembered

    airflow.clean()
    rows = Remembered(make_world)
    airflow.clean()
    return rows


@pytest.fixture
def no_loose_ends(fresh: Any) -> Iterator[None]:
    """Assert that deployments leave nothing besides files and versions."""
    from tests.support.deployments_under_test import forget, loose_ends, on_disk

    forget()
    yield
    assert loose_ends() == []
    assert not [name for name in on_disk() if name.startswith(".")]
    forget()
