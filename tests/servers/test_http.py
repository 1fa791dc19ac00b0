"""Bodies, methods and query strings of every kind, with real web servers."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator

import pytest

from tests.servers.client import LEGACY, TYPED, Client
from tests.servers.deployment import BODY_BYTES, Server
from tests.support.versions import AIRFLOW, on

pytestmark = on("2.7", "2.11", "3.0", "3.3")

LONG = pytest.param("a" * 1500, id="long")
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SET = f"{TYPED}set_variable"


@pytest.fixture
def admin(server: Server) -> Client:
    return server.user("admin")


def body_of(size: int) -> bytes:
    """Return the JSON of a variable of about *size* bytes."""
    return json.dumps({"key": "large", "value": "x" * size}).encode()


def form_of(size: int) -> bytes:
    return b"api=variables&cmd=set&key=large&value=" + b"x" * size


def in_chunks(body: bytes) -> Iterator[bytes]:
    """Yield the body in chunks, so that it is sent without a length."""
    for start in range(0, len(body), 8192):
        yield body[start : start + 8192]


# Bodies


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
@pytest.mark.parametrize(
    ("path", "headers", "make"),
    [
        pytest.param(SET, JSON, body_of, id="typed JSON"),
        pytest.param(SET, FORM, lambda size: form_of(size)[len("api=variables&cmd=set&") :], id="typed form"),
        pytest.param(LEGACY, FORM, form_of, id="legacy form"),
    ],
)
class TestBodies:
    def test_a_body_is_read(self, admin: Client, path: str, headers: Dict[str, str], make: Any, chunked: bool) -> None:
        body = make(BODY_BYTES - 1000)
        admin.send("POST", path, body=in_chunks(body) if chunked else body, headers=headers).result()
        stored = admin.read("get_variable", key="large").result()["value"]
        assert len(stored) == BODY_BYTES - 1000

    def test_a_body_that_is_too_large_is_refused(
        self, admin: Client, path: str, headers: Dict[str, str], make: Any, chunked: bool
    ) -> None:
        body = make(BODY_BYTES + 1000)
        response = admin.send("POST", path, body=in_chunks(body) if chunked else body, headers=headers)
        assert "[native_api] body_bytes" in response.refusal(413)


@on("2.11")
@pytest.mark.parametrize(
    ("path", "headers", "make"),
    [pytest.param(SET, JSON, body_of, id="typed"), pytest.param(LEGACY, FORM, form_of, id="legacy")],
)
def test_the_limit_of_airflow_applies(server_below_base: Server, path: str, headers: Dict[str, str], make: Any) -> None:
    """[webserver] allowed_payload_size is 1 MiB and smaller there than ours; a body of that size is read."""
    admin = server_below_base.user("admin")
    admin.send("POST", path, body=make(2**20 - 1000), headers=headers).result()
    refused = admin.send("POST", path, body=make(2**20), headers=headers)
    assert "[webserver] allowed_payload_size" in refused.refusal(413)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        pytest.param(400, b"{", JSON, id="broken"),
        pytest.param(400, b"[]", JSON, id="list"),
        pytest.param(400, b"null", JSON, id="null"),
        pytest.param(400, b'"text"', JSON, id="text"),
        pytest.param(400, b'{"key": "\xff"}', JSON, id="no UTF-8"),
        pytest.param(400, b"[" * 50_000, JSON, id="deep and broken"),
        pytest.param(400, b"[" * 40_000 + b"]" * 40_000, JSON, id="deep"),
        pytest.param(400, b'{"key": "\\ud800", "value": "v"}', JSON, id="half a character"),
        pytest.param(415, b"<key/>", {"Content-Type": "text/xml"}, id="XML"),
        pytest.param(422, b"", {}, id="nothing"),
        pytest.param(422, b"", JSON, id="empty JSON"),
        pytest.param(422, b"{}", JSON, id="no arguments"),
        pytest.param(422, b'{"key": 1, "value": null}', JSON, id="wrong types"),
        pytest.param(422, b'{"key": "k", "value": "v", "more": 1}', JSON, id="unknown argument"),
        pytest.param(422, b"key=k", FORM, id="form without the value"),
        pytest.param(422, b"", {"Content-Type": "multipart/form-data"}, id="multipart without a boundary"),
    ],
)
def test_an_invalid_body_is_refused(admin: Client, status: int, body: bytes, headers: Dict[str, str]) -> None:
    admin.send("POST", SET, body=body, headers=headers).refusal(status)


def test_an_unpaired_surrogate_in_text_is_not_a_500(admin: Client) -> None:
    """JSON can have one, which no response can encode."""
    conf = '{"half": "\\ud800"}'
    for response in (
        admin.write("trigger_dag", dag_id="others", conf=conf),
        admin.legacy("trigger_dag", dag_id="others", conf=conf),
        admin.legacy("variables", cmd="set", key="half", value=conf),
        admin.legacy("variables", get="half", json="true"),
    ):
        assert response.status < 400 or response.refusal(422, 400)


@pytest.mark.parametrize("size", [10, BODY_BYTES + 1000], ids=["small", "large"])
def test_the_body_of_a_legacy_get_is_ignored(admin: Client, size: int) -> None:
    """Some clients send their arguments as JSON, too."""
    body = json.dumps({"api": "nonsense", "padding": "x" * size}).encode()
    response = admin.send("GET", LEGACY, query={"api": "version"}, body=body, headers=JSON)
    response.result()
    assert response.json()["post_arguments"] == {}


def test_a_legacy_post_can_be_empty(admin: Client) -> None:
    assert admin.post(LEGACY, api="version").result()["version"]


# Methods


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_another_method_is_405(admin: Client, method: str) -> None:
    """Allow has the method."""
    for path, allowed in ((f"{TYPED}list_dags", "GET"), (f"{TYPED}pause_dag", "POST"), (LEGACY, "GET, POST")):
        response = admin.send(method, path, query={"api": "version"})
        response.refusal(405)
        assert response.headers["Allow"] == allowed


def test_a_read_by_post_and_a_write_by_get_are_refused(admin: Client) -> None:
    for response, allowed in ((admin.write("list_dags"), "GET"), (admin.read("pause_dag", dag_id="others"), "POST")):
        response.refusal(405)
        assert response.headers["Allow"] == allowed


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", [f"{TYPED}list_variables", LEGACY])
def test_an_unknown_method_returns_no_data(admin: Client, method: str, path: str) -> None:
    response = admin.send(method, path, query={"api": "variables"})
    assert response.status in (200, 204, 404, 405, 501), response
    assert "total_entries" not in response.text


@pytest.mark.parametrize(
    ("path", "query"), [(f"{TYPED}list_dags", {}), (LEGACY, {"api": "list_dags"})], ids=["typed", "legacy"]
)
def test_head_equals_get_without_the_body(admin: Client, path: str, query: Dict[str, str]) -> None:
    head, get = admin.send("HEAD", path, query=query), admin.send("GET", path, query=query)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


@pytest.mark.parametrize("who", ["user", "token"])
def test_head_cannot_write(server: Server, who: str) -> None:
    """As a program that checks links sends it."""
    client = {"user": server.user("admin"), "token": server.holder()}[who]
    client.write("unpause_dag", dag_id="others").result()
    for path, allowed in (("/native_api/v1/pause_dag", "POST"), (LEGACY, "GET, POST")):
        response = client.send("HEAD", path, query={"api": "pause", "dag_id": "others"})
        assert (response.status, response.headers["Allow"]) == (405, allowed)
    assert client.read("list_dags", dag_id_pattern="others", paused="false").result()["dags"]


# Query strings and headers


@pytest.mark.parametrize(
    "value",
    ["%FF", "%C3%28", "%", "%zz", "%00", "%ED%A0%80", "+", "%2B", LONG, "%F0%9F%98%80", "'%22;--", "%0d%0aX:%201"],
)
def test_odd_text_in_a_query_string_is_not_a_500(admin: Client, value: str) -> None:
    """The response is that of this API."""
    for path, query in (
        (f"{TYPED}get_variable", f"key={value}"),
        (f"{TYPED}list_dags", f"dag_id_pattern={value}&tags={value}"),
        (f"{TYPED}dag_state", f"dag_id={value}&run_id={value}"),
        (f"{TYPED}dag_state", f"dag_id=others&logical_date={value}"),
        (f"{TYPED}version", f"{value}&{value}=&=&&"),
        (LEGACY, f"api={value}"),
        (LEGACY, f"api=variables&get={value}"),
        (LEGACY, f"api=dag_state&dag_id=others&execution_date={value}"),
        (LEGACY, f"api=version&{value}={value}"),
    ):
        response = admin.send("GET", path, query=query)
        assert response.status in (200, 400, 404, 422), response
        assert response.json()


@on("2.7", "2.11")
def test_unquoted_bytes_in_a_query_string_are_read(admin: Client) -> None:
    """curl sends a URL verbatim; uvicorn refuses such a URL, gunicorn does not."""
    typed = "käse und 北".encode().decode("latin-1").replace(" ", "%20")
    admin.send("GET", LEGACY, query=f"api=variables&cmd=set&key=unquoted&value={typed}").result()
    assert admin.read("get_variable", key="unquoted").result()["value"] == "käse und 北"
    admin.send("GET", f"{TYPED}get_variable", query="key=\xff").refusal(404)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        pytest.param("list_dags", {"offset": "1" + "0" * 30}, id="huge offset"),
        pytest.param("list_dags", {"limit": "1" + "0" * 30}, id="huge limit"),
        pytest.param("list_dags", {"limit": "1e400"}, id="infinite limit"),
        pytest.param("list_dags", {"offset": "-1"}, id="negative offset"),
        pytest.param("list_variables", {"offset": "1" + "0" * 30}, id="huge offset of variables"),
        pytest.param("list_dags", {"order_by": "dag_id; DROP TABLE dag"}, id="order by nonsense"),
        pytest.param("dag_state", {"dag_id": "others", "logical_date": "9999-12-31T23:59:59-14:00"}, id="late date"),
        pytest.param("dag_state", {"dag_id": "others", "logical_date": "0001-01-01T00:00:00+14:00"}, id="early date"),
        pytest.param(
            "task_state",
            {"dag_id": "others", "run_id": "x", "task_id": "only", "map_index": "1" + "0" * 30},
            id="huge map_index",
        ),
        pytest.param("list_dags", {"subdir": "\0"}, id="subdir with a NUL"),
        pytest.param("list_dags", {"subdir": "x" * 3000}, id="long subdir"),
    ],
)
def test_extreme_values_are_not_a_500(admin: Client, operation: str, arguments: Dict[str, str]) -> None:
    response = admin.read(operation, **arguments)
    if response.status != 200:
        assert response.refusal(response.status) and response.status in (403, 404, 422), response


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-Long": "x" * 7000}, id="long"),
        pytest.param({"Cookie": "=;;; \xff=\xfe; session"}, id="odd cookies"),
        pytest.param({"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, id="a browser's Accept"),
        pytest.param({"Content-Type": "nonsense; charset=\xff"}, id="odd content type"),
        pytest.param({"Accept-Encoding": "br;q=x, *;q=0"}, id="odd encodings"),
        pytest.param({"X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil"}, id="forwarded"),
    ],
)
def test_odd_headers_are_ignored(admin: Client, headers: Dict[str, str]) -> None:
    assert admin.also(headers).read("version").result()["version"]
    assert admin.also(headers).legacy("version").result()["version"]


@pytest.mark.parametrize("name", ["nothing", "list_dags/more", "%2e%2e", LONG, "%FF", "."])
def test_an_unknown_url_is_404(admin: Client, name: str) -> None:
    admin.get(f"{TYPED}{name}").refusal(404)


# The Host header and the path


@pytest.mark.parametrize("path", [f"{TYPED}version", f"{LEGACY}?api=version"])
@pytest.mark.parametrize(
    "host",
    ["", "a..b", "a b", "[", "a:b", "localhost:99999", "a/b", "<a>", "-" * 70 + ".example", "gr\xf6\xdfe.example"],
)
def test_a_host_that_is_none_makes_no_page(admin: Client, host: str, path: str) -> None:
    """The request succeeds, or the error is ours; what the server refuses itself does not reach Airflow."""
    response = admin.send("GET", path, headers={"Host": host})
    if response.text == "Invalid HTTP request received.":
        return
    assert response.status in (200, 400), response
    assert response.json().get("code") == ("bad_request" if response.status == 400 else None)


@pytest.mark.parametrize("path", ["/native_api//v1/version", "/admin/rest_api//api"])
def test_two_slashes_lead_nowhere(admin: Client, path: str) -> None:
    response = admin.send("GET", path, headers={"Host": "elsewhere.example"})
    assert (response.status, response.json()["code"]) == (404, "page_not_found")


@pytest.mark.skipif(AIRFLOW >= (3, 0), reason="Airflow 3 itself responds to what is below no prefix of ours")
def test_two_slashes_at_the_beginning_lead_to_no_other_host(admin: Client) -> None:
    """Some servers make one slash of them."""
    response = admin.send("GET", "//native_api/v1/version", headers={"Host": "elsewhere.example"})
    assert "Location" not in response.headers
    assert (response.status, response.json().get("code")) in ((200, None), (404, "page_not_found"))
