"""An Airflow that its deployer made public: FAB's public role, or Simple's all-admins mode."""

from __future__ import annotations

import pytest

from tests.servers.calls import Call, posted_writes, reads, reads_and_writes, writes
from tests.servers.deployment import Server
from tests.support.versions import HAS_FAB, on

public_role = on("2.11", "3.3", fab=True)
all_admins = pytest.mark.skipif(HAS_FAB, reason="All-admins mode is the Simple auth manager's")


@on("2.11", "3.3")
@reads
def test_anybody_reads(public_server: Server, call: Call) -> None:
    """Where everybody may see Airflow's pages, everybody may read here."""
    result = call(public_server.anonymous).result()
    assert result["total_entries"] == len(public_server.deployment.rows("SELECT dag_id FROM dag")) > 0


@on("2.11", "3.3")
@writes
def test_nobody_changes_anything_unasked(public_server: Server, call: Call) -> None:
    """A page of another site must not act as the browser's user, whoever that is."""
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        call(public_server.anonymous.also(headers)).refusal(403)


@public_role
@posted_writes
def test_the_public_role_decides(public_server: Server, call: Call) -> None:
    """The public is a viewer here, and a viewer pauses no DAG."""
    own_page = public_server.anonymous.also({"Sec-Fetch-Site": "same-origin"})
    call(own_page).refusal(403)


@public_role
@reads_and_writes
def test_a_wrong_credential_is_not_the_public(public_server: Server, call: Call) -> None:
    """Whoever says who they are is believed or refused."""
    for scheme in ("Basic YWRtaW46d3Jvbmc=", "Bearer nonsense"):
        call(public_server.anonymous.also({"Authorization": scheme})).refusal(401)


@on("2.11", "3.3")
@reads_and_writes
def test_users_are_themselves(public_server: Server, call: Call) -> None:
    """A program that sends a credential of its own needs no more than elsewhere."""
    call(public_server.user("admin")).result()


@on("3.3")
@all_admins
@posted_writes
@pytest.mark.parametrize("name", ["Sec-Fetch-Site", "Origin"])
def test_all_admins_change_from_airflows_own_pages(public_server: Server, name: str, call: Call) -> None:
    value = "same-origin" if name == "Sec-Fetch-Site" else public_server.anonymous.origin
    call(public_server.anonymous.also({name: value})).result()


@on("3.3")
@all_admins
def test_a_link_changes_nothing_in_all_admins_mode(public_server: Server) -> None:
    own_page = public_server.anonymous.also({"Sec-Fetch-Site": "same-origin"})
    assert "POST" in own_page.legacy("pause", dag_id="others").refusal(403)


@on("3.3")
@all_admins
@reads_and_writes
def test_a_forged_token_is_refused_in_all_admins_mode(public_server: Server, call: Call) -> None:
    """The client's own header counts, though Airflow adds a good one."""
    call(public_server.anonymous.also({"Authorization": "Bearer nonsense"})).refusal(401)
