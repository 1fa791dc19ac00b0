"""The static token of the old plugin, through real web servers."""

from __future__ import annotations

import pytest

from tests.servers.calls import Call, reads, reads_and_writes, writes
from tests.servers.deployment import TOKEN, Server
from tests.support.versions import on

everywhere = on("2.7", "2.11", "3.0", "3.3")
UNDERSCORES = "rest_api_plugin_http_token"


@everywhere
@reads_and_writes
@pytest.mark.parametrize("header", ["rest-api-plugin-http-token", "Rest-Api-Plugin-Http-Token"])
def test_the_token_calls_everything(server: Server, header: str, call: Call) -> None:
    """It changes things by GET too, whatever page a browser says it comes from."""
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
    """401 in the typed face; 403 in the legacy face, as the old plugin had it; whoever else is named besides."""
    for client in (server.holder(token), server.user("admin").also({"rest-api-plugin-http-token": token})):
        assert call(client).refusal(401, 403) == "Token Authentication Failed"


@on("2.7", "3.0", "3.3")
@reads_and_writes
def test_underscores_in_the_header_get_through(server: Server, call: Call) -> None:
    """gunicorn before 22, and uvicorn, deliver the header as the old plugin's clients send it."""
    call(server.holder(TOKEN, UNDERSCORES)).result()
    assert call(server.holder("wrong", UNDERSCORES)).refusal(401, 403) == "Token Authentication Failed"


@on("2.11")
@reads_and_writes
def test_gunicorn_drops_underscores_in_the_header(server: Server, call: Call) -> None:
    """gunicorn from 22 on drops the header, so that the caller is anonymous."""
    call(server.holder(TOKEN, UNDERSCORES)).refusal(401)


@on("2.11")
@reads
def test_gunicorn_can_be_told_to_let_underscores_through(server_below_base: Server, call: Call) -> None:
    """GUNICORN_CMD_ARGS="--header-map dangerous" does it, as the documentation says."""
    call(server_below_base.holder(TOKEN, UNDERSCORES)).result()
    assert call(server_below_base.holder("wrong", UNDERSCORES)).refusal(401, 403) == "Token Authentication Failed"


@on("2.11", "3.0", "3.3")
@writes
def test_the_token_does_no_more_than_is_configured(server_below_base: Server, call: Call) -> None:
    """Where token_effects is 'read' a write is 403 and names the option; a user is not concerned."""
    assert "token_effects" in call(server_below_base.holder()).refusal(403)
    call(server_below_base.user("admin")).result()
