"""Authentication on Airflow 2 with FAB: Basic, and the session of the pages."""

from __future__ import annotations

import re

import pytest

from tests.servers.calls import Call, posted_writes, reads, reads_and_writes, writes
from tests.servers.client import Client
from tests.servers.deployment import TOKEN, Server
from tests.support.versions import on

pytestmark = on("2.7", "2.11")


def signed_in(server: Server, name: str) -> Client:
    """Return a browser that has logged in with the form."""
    browser = server.anonymous.keeping_cookies()
    page = browser.get("/login/")
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
    assert found, page
    form = {"username": name, "password": name, "csrf_token": found.group(1)}
    response = browser.send("POST", "/login/", form=form)
    assert response.status == 302 and "login" not in response.headers["Location"], response
    return browser


def csrf_token(browser: Client) -> str:
    """Return the CSRF token in Airflow's pages."""
    found = re.search(r"csrfToken = '([^']+)'", browser.get("/home").text)
    assert found
    return found.group(1)


@pytest.fixture(scope="module")
def admins_browser(server: Server) -> Client:
    return signed_in(server, "admin")


@pytest.fixture(scope="module")
def token_of_page(admins_browser: Client) -> str:
    return csrf_token(admins_browser)


@reads_and_writes
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"Authorization": "Basic YWRtaW46d3Jvbmc="}, id="wrong password"),
        pytest.param({"Authorization": "Basic bm9ib2R5LWhlcmU6eA=="}, id="unknown user"),
        pytest.param({"Authorization": "Basic"}, id="empty Basic"),
        pytest.param({"Authorization": "Basic !!!"}, id="Basic that is no base64"),
        pytest.param({"Authorization": "Basic \xff\xfe"}, id="Basic that is no ASCII"),
        pytest.param({"Authorization": "Bearer x.y.z"}, id="Bearer"),
        pytest.param({"Authorization": "Nonsense"}, id="unknown scheme"),
        pytest.param({"Authorization": ""}, id="empty header"),
        pytest.param({"Cookie": "session=forged.forged"}, id="forged session"),
    ],
)
def test_unknown_callers_are_refused(server: Server, headers: dict[str, str], call: Call) -> None:
    """With 401 in the format of the API, and never the login page."""
    call(server.anonymous.also(headers)).refusal(401)


@reads_and_writes
def test_basic_can_call_everything(server: Server, call: Call) -> None:
    """A program with Basic needs no CSRF token, and can write with GET."""
    call(server.user("admin")).result()


@writes
@pytest.mark.parametrize(
    "name", ["Origin", "Referer", "Sec-Fetch-Site", "Upgrade-Insecure-Requests", "Accept-Language"]
)
def test_basic_from_a_browser_needs_the_csrf_token(server: Server, name: str, call: Call) -> None:
    """A browser sends Basic automatically."""
    page = server.user("admin").also({name: "https://evil.example"})
    assert "CSRF" in call(page).refusal(403) or "POST" in call(page).refusal(403)


@reads
def test_basic_from_a_browser_can_read(server: Server, call: Call) -> None:
    call(server.user("admin").also({"Origin": "https://evil.example"})).result()


def test_basic_from_a_browser_can_write_with_the_csrf_token(
    server: Server, admins_browser: Client, token_of_page: str
) -> None:
    """A page of Airflow has the token."""
    page = admins_browser.also(
        {
            "Authorization": server.authorization("admin"),
            "Origin": server.anonymous.origin,
            "X-CSRFToken": token_of_page,
        }
    )
    page.write("pause_dag", dag_id="others").result()


@reads
def test_a_session_can_read(admins_browser: Client, call: Call) -> None:
    call(admins_browser).result()


@posted_writes
def test_a_session_cannot_write_without_the_csrf_token(admins_browser: Client, call: Call) -> None:
    assert "CSRF" in call(admins_browser).refusal(403)


@posted_writes
def test_a_session_cannot_write_with_a_forged_csrf_token(
    admins_browser: Client, token_of_page: str, call: Call
) -> None:
    assert "CSRF" in call(admins_browser.also({"X-CSRFToken": token_of_page[:-2] + "xx"})).refusal(403)


@posted_writes
def test_a_session_can_write_with_the_csrf_token_in_the_header(
    admins_browser: Client, token_of_page: str, call: Call
) -> None:
    call(admins_browser.also({"X-CSRFToken": token_of_page})).result()


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        pytest.param("/native_api/v1/pause_dag", {"dag_id": "others"}, id="typed"),
        pytest.param("/admin/rest_api/api", {"api": "pause", "dag_id": "others"}, id="legacy"),
    ],
)
def test_a_session_can_write_with_the_csrf_token_in_the_form(
    admins_browser: Client, token_of_page: str, path: str, arguments: dict[str, str]
) -> None:
    admins_browser.post(path, form={**arguments, "csrf_token": token_of_page}).result()


def test_a_session_cannot_write_with_get(admins_browser: Client, token_of_page: str) -> None:
    """Otherwise a link in a mail could."""
    assert "POST" in admins_browser.legacy("pause", dag_id="others").refusal(403)
    page = admins_browser.also({"X-CSRFToken": token_of_page})
    assert "POST" in page.legacy("pause", dag_id="others").refusal(403)


@reads_and_writes
def test_a_client_with_basic_can_send_cookies_back(server: Server, call: Call) -> None:
    """They have no effect on its next calls and log nobody in."""
    client = server.user("admin").keeping_cookies()
    for _ in range(3):
        call(client).result()
    call(Client(server.port, cookies=client.cookies)).refusal(401)


@reads_and_writes
def test_the_header_has_priority_over_a_session(server: Server, admins_browser: Client, call: Call) -> None:
    """The session does not replace a wrong header, and adds no permissions."""
    call(admins_browser.also({"Authorization": "Basic YWRtaW46d3Jvbmc="})).refusal(401)
    call(admins_browser.also({"Authorization": server.authorization("nobody")})).refusal(403)
    call(admins_browser.also({"rest-api-plugin-http-token": "wrong"})).refusal(401, 403)


@reads_and_writes
@pytest.mark.parametrize("who", ["Basic", "token", "wrong Basic", "nobody"])
def test_calls_write_no_session(server: Server, who: str, call: Call) -> None:
    """Airflow stores sessions in its database."""
    clients = {
        "Basic": server.user("admin"),
        "token": server.holder(TOKEN),
        "wrong Basic": server.anonymous.also({"Authorization": "Basic YWRtaW46d3Jvbmc="}),
        "nobody": server.anonymous,
    }
    before = server.deployment.rows("SELECT count(*) FROM session")
    call(clients[who])
    assert server.deployment.rows("SELECT count(*) FROM session") == before
