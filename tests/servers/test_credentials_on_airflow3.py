"""Authentication on Airflow 3: a JWT in the header, or in the cookie of the pages."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from tests.servers.calls import Call, posted_writes, reads, reads_and_writes
from tests.servers.client import Client
from tests.servers.deployment import JWT_SECRET, Server
from tests.support.versions import on

pytestmark = on("3.0", "3.3")


def changed(token: str, secret: str = JWT_SECRET, **claims: Any) -> str:
    """Return a JWT with other claims and a new signature."""
    known = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)
    return jwt.encode({**known, **claims}, secret, algorithm=header["alg"], headers=header)


def unacceptable(server: Server) -> dict[str, str]:
    """Return invalid JWTs by the reason."""
    token = server.jwt("admin")
    header, payload, signature = token.split(".")
    return {
        "forged signature": f"{header}.{payload}.{signature[:-8]}AAAAAAAA",
        "another secret": changed(token, "y" * 64),
        "expired": changed(token, exp=int(time.time()) - 3600),
        "another audience": changed(token, aud="somebody else"),
        "no signature": jwt.encode(jwt.decode(token, options={"verify_signature": False}), "", algorithm="none"),
        "unknown user": changed(token, sub="987654"),
        "no user": changed(token, sub=None),
        "no JWT": "nonsense",
        "no ASCII": "\xff.\xfe.\xfd",
        "empty": "",
    }


WRONG = (
    "forged signature",
    "another secret",
    "expired",
    "another audience",
    "no signature",
    "no JWT",
    "no ASCII",
    "empty",
)


@reads_and_writes
@pytest.mark.parametrize("wrong", WRONG)
def test_an_invalid_token_is_401(server: Server, wrong: str, call: Call) -> None:
    """In the format of the API."""
    call(server.anonymous.also({"Authorization": f"Bearer {unacceptable(server)[wrong]}"})).refusal(401)


@reads_and_writes
@pytest.mark.parametrize("wrong", [name for name in WRONG if name not in ("empty", "no ASCII")])
def test_an_invalid_cookie_is_401(server: Server, wrong: str, call: Call) -> None:
    call(server.anonymous.also(cookies={"_token": unacceptable(server)[wrong]})).refusal(401)


@reads_and_writes
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"Authorization": "Basic YWRtaW46YWRtaW4="}, id="Basic"),
        pytest.param({"Authorization": "Bearer"}, id="Bearer without a token"),
        pytest.param({"Authorization": ""}, id="empty header"),
        pytest.param({"Cookie": "session=forged; _token="}, id="empty cookie"),
    ],
)
def test_unknown_callers_are_refused(server: Server, headers: dict[str, str], call: Call) -> None:
    """With 401 in the format of the API, and never the login page."""
    call(server.anonymous.also(headers)).refusal(401)


@reads_and_writes
def test_a_token_can_call_everything(server: Server, call: Call) -> None:
    """A program with a JWT can write with GET, whatever cookies and headers it sends."""
    call(server.user("admin")).result()
    call(server.user("admin").also({"Origin": "https://elsewhere.example"}, {"_token": "nonsense"})).result()


@reads_and_writes
def test_the_header_has_priority_over_the_cookie(server: Server, call: Call) -> None:
    browser = server.anonymous.also(cookies={"_token": server.jwt("admin")})
    call(browser.also({"Authorization": "Bearer nonsense"})).refusal(401)
    call(browser.also({"rest-api-plugin-http-token": "wrong"})).refusal(401, 403)


@pytest.fixture
def browser(server: Server) -> Client:
    """A browser that has logged in and has the cookie."""
    return server.anonymous.also(cookies={"_token": server.jwt("admin")})


@reads
def test_the_cookie_can_read(browser: Client, call: Call) -> None:
    call(browser).result()


OTHERS = (
    pytest.param({}, id="no header"),
    pytest.param({"Sec-Fetch-Site": "cross-site"}, id="cross-site"),
    pytest.param({"Sec-Fetch-Site": "same-site"}, id="same-site"),
    pytest.param({"Sec-Fetch-Site": "none"}, id="typed by the user"),
    pytest.param({"Origin": "https://evil.example"}, id="another origin"),
    pytest.param({"Origin": "null"}, id="null origin"),
    pytest.param({"Origin": "http://127.0.0.1"}, id="another port"),
    pytest.param({"Origin": ""}, id="empty origin"),
    pytest.param({"Origin": "own", "Sec-Fetch-Site": "cross-site"}, id="own origin but cross-site"),
    pytest.param({"Referer": "own"}, id="own referer only"),
)


def resolved(server: Server, headers: dict[str, str]) -> dict[str, str]:
    return {name: server.anonymous.origin if value == "own" else value for name, value in headers.items()}


@posted_writes
@pytest.mark.parametrize("headers", OTHERS)
def test_pages_of_other_sites_cannot_write_with_the_cookie(
    server: Server, browser: Client, headers: dict[str, str], call: Call
) -> None:
    """A browser sends the cookie with their requests."""
    assert "Origin" in call(browser.also(resolved(server, headers))).refusal(403)


@posted_writes
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "same-origin"}, id="Sec-Fetch-Site"),
        pytest.param({"Origin": "own"}, id="Origin"),
        pytest.param({"Origin": "own", "Sec-Fetch-Site": "same-origin"}, id="both"),
    ],
)
def test_pages_of_airflow_can_write_with_the_cookie(
    server: Server, browser: Client, headers: dict[str, str], call: Call
) -> None:
    call(browser.also(resolved(server, headers))).result()


def test_the_cookie_cannot_write_with_get(server: Server, browser: Client) -> None:
    """Not from Airflow's own pages either; otherwise a link in a mail could."""
    for client in (browser, browser.also({"Sec-Fetch-Site": "same-origin", "Origin": server.anonymous.origin})):
        assert "POST" in client.legacy("pause", dag_id="others").refusal(403)
