"""A public Airflow: FAB's public role, or simple_auth_manager_all_admins."""

from __future__ import annotations

import pytest

from tests.servers.calls import Call, posted_writes, reads, reads_and_writes, writes
from tests.servers.deployment import Server
from tests.support.versions import HAS_FAB, on

public_role = on("2.11", "3.3", fab=True)
#: A mode of the Simple auth manager.
all_admins = on(*([] if HAS_FAB else ["3.2"]))
both = on("2.11", "3.3" if HAS_FAB else "3.2")


@both
@reads
def test_anybody_can_read(public_server: Server, call: Call) -> None:
    """As in Airflow's UI."""
    result = call(public_server.anonymous).result()
    assert result["total_entries"] == len(public_server.deployment.rows("SELECT dag_id FROM dag")) > 0


@both
@writes
def test_pages_of_other_sites_cannot_write(public_server: Server, call: Call) -> None:
    """As the user of the browser, whoever that is."""
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        call(public_server.anonymous.also(headers)).refusal(403)


@public_role
@posted_writes
def test_the_public_role_limits_the_permissions(public_server: Server, call: Call) -> None:
    """It is a viewer here, and cannot pause a DAG."""
    own_page = public_server.anonymous.also({"Sec-Fetch-Site": "same-origin"})
    call(own_page).refusal(403)


@public_role
@reads_and_writes
def test_a_wrong_credential_is_refused(public_server: Server, call: Call) -> None:
    """It is not replaced by the public role."""
    for scheme in ("Basic YWRtaW46d3Jvbmc=", "Bearer nonsense"):
        call(public_server.anonymous.also({"Authorization": scheme})).refusal(401)


@both
@reads_and_writes
def test_users_have_their_own_permissions(public_server: Server, call: Call) -> None:
    """A program with a credential needs nothing else."""
    call(public_server.user("admin")).result()


@all_admins
@posted_writes
@pytest.mark.parametrize("name", ["Sec-Fetch-Site", "Origin"])
def test_pages_of_airflow_can_write_with_all_admins(public_server: Server, name: str, call: Call) -> None:
    value = "same-origin" if name == "Sec-Fetch-Site" else public_server.anonymous.origin
    call(public_server.anonymous.also({name: value})).result()


@all_admins
def test_get_cannot_write_with_all_admins(public_server: Server) -> None:
    own_page = public_server.anonymous.also({"Sec-Fetch-Site": "same-origin"})
    assert "POST" in own_page.legacy("pause", dag_id="others").refusal(403)


@all_admins
@reads_and_writes
def test_a_forged_token_is_refused_with_all_admins(public_server: Server, call: Call) -> None:
    """The client's header counts, though Airflow adds a valid one."""
    call(public_server.anonymous.also({"Authorization": "Bearer nonsense"})).refusal(401)
