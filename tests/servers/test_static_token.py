"""The static token of the old plugin, with real web servers."""

from __future__ import annotations

import pytest

from tests.servers.calls import Call, reads, reads_and_writes, writes
from tests.servers.deployment import TOKEN, Server
from tests.support.versions import on, with_fab_on_33

everywhere = on("2.7", "2.11", "3.0", "3.3")
UNDERSCORES = "rest_api_plugin_http_token"


@everywhere
@reads_and_writes
@pytest.mark.parametrize("header", ["rest-api-plugin-http-token", "Rest-Api-Plugin-Http-Token"])
def test_the_token_can_call_everything(server: Server, header: str, call: Call) -> None:
    """It can write with GET, whatever page a browser names."""
    call(server.holder(TOKEN, header)).result()
    call(server.holder(TOKEN, header).also({"Origin": "https://elsewhere.example"})).result()


@everywhere
@reads_and_writes
@pytest.mark.parametrize(
    "token",
    ["wrong", "", TOKEN.upper(), TOKEN[:-1], f"{TOKEN}, {TOKEN}", "\xff\xfe"],
    ids=["wrong", "empty", "upper case", "shorter", "twice", "no ASCII"],
)
def test_a_wrong_token_is_refused(server: Server, token: str, call: Call) -> None:
    """401 with the typed API; 403 with the legacy API, as in the old plugin. Other credentials are not tried."""
    for client in (server.holder(token), server.user("admin").also({"rest-api-plugin-http-token": token})):
        assert call(client).refusal(401, 403) == "Token Authentication Failed"


@on("2.7", "3.0", "3.3")
@reads_and_writes
def test_underscores_in_the_header_are_accepted(server: Server, call: Call) -> None:
    """By gunicorn before 22 and by uvicorn; clients of the old plugin send them."""
    call(server.holder(TOKEN, UNDERSCORES)).result()
    assert call(server.holder("wrong", UNDERSCORES)).refusal(401, 403) == "Token Authentication Failed"


@on("2.11")
@reads_and_writes
def test_gunicorn_drops_underscores_in_the_header(server: Server, call: Call) -> None:
    """From version 22 on; the caller is anonymous then."""
    call(server.holder(TOKEN, UNDERSCORES)).refusal(401)


@on("2.11")
@reads
def test_gunicorn_can_be_configured_to_accept_underscores(server_below_base: Server, call: Call) -> None:
    """GUNICORN_CMD_ARGS="--header-map dangerous", as documented."""
    call(server_below_base.holder(TOKEN, UNDERSCORES)).result()
    assert call(server_below_base.holder("wrong", UNDERSCORES)).refusal(401, 403) == "Token Authentication Failed"


@on("2.11", "3.0", "3.3")
@with_fab_on_33
@writes
def test_token_effects_limits_the_token(server_below_base: Server, call: Call) -> None:
    """A write is 403 with the option; users are not affected."""
    assert "token_effects" in call(server_below_base.holder()).refusal(403)
    call(server_below_base.user("admin")).result()
