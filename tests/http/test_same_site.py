"""Airflow 3: which pages can send requests with the session of a browser's user."""

from __future__ import annotations

from typing import Any, Dict

import pytest

from tests.support import airflow_under_test

pytestmark = [
    pytest.mark.skipif(airflow_under_test.version() < (3, 0), reason="Airflow 2 has a CSRF token for this"),
    pytest.mark.skipif(airflow_under_test.has_fab(), reason="All-admins mode is the Simple auth manager's"),
]

BASE = "https://airflow.example"
#: What a browser sends of a page whose host leads to our address since its site says so (DNS rebinding).
REBOUND = {"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def sent(web: Any, monkeypatch: Any) -> Any:
    """Return a function that sends a write as a browser does with simple_auth_manager_all_admins."""
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")

    def send(headers: Dict[str, str]) -> int:
        status: int = web.request(
            "POST", "/native_api/v1/set_variable", login="admin", json={"key": "k", "value": "v"}, headers=headers
        ).status
        return status

    return send


@pytest.mark.parametrize(
    "headers, status",
    [
        pytest.param({"Origin": BASE}, 201, id="own page"),
        pytest.param({"Origin": "https://AIRFLOW.example:443"}, 201, id="own page, spelled otherwise"),
        pytest.param({"Origin": BASE, "Sec-Fetch-Site": "same-origin"}, 201, id="own page in a newer browser"),
        pytest.param({"Origin": BASE, "Host": "10.0.0.7:8080"}, 201, id="behind a proxy"),
        pytest.param({"Origin": BASE, "Sec-Fetch-Site": "same-site"}, 403, id="another page of the site"),
        pytest.param(REBOUND, 403, id="rebound"),
        pytest.param({"Host": "evil.example", "Origin": "http://evil.example"}, 403, id="rebound, older browser"),
        pytest.param({"Host": "evil.example", "Sec-Fetch-Site": "same-origin"}, 403, id="rebound, without its origin"),
        pytest.param({"Origin": "http://airflow.example"}, 403, id="another scheme"),
        pytest.param({"Origin": "https://airflow.example:8443"}, 403, id="another port"),
        pytest.param({"Origin": "null"}, 403, id="no origin"),
        pytest.param({"Origin": "https://[broken"}, 403, id="broken"),
        pytest.param({}, 403, id="nothing"),
    ],
)
def test_only_the_base_url_is_trusted_if_it_is_set(
    sent: Any, monkeypatch: Any, headers: Dict[str, str], status: int
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"{BASE}/airflow/")
    assert sent(headers) == status


@pytest.mark.parametrize("base_url", ["", "/airflow"])
@pytest.mark.parametrize(
    "headers, status",
    [
        pytest.param({"Origin": "http://here.example"}, 201, id="own page"),
        pytest.param({"Sec-Fetch-Site": "same-origin"}, 201, id="own page without its origin"),
        pytest.param({"Origin": "http://evil.example"}, 403, id="another site"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="another site without its origin"),
    ],
)
def test_otherwise_the_host_header_is_trusted(
    sent: Any, monkeypatch: Any, headers: Dict[str, str], status: int, base_url: str
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    assert sent({"Host": "here.example", **headers}) == status
