"""Request bodies: complete, within the limits, and received from authorized callers only."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterator, List
from urllib.request import Request, urlopen

import pytest

from native_api.errors import TooManyBodies
from native_api.http import request_body
from native_api.http.request_body import BodyQuota
from tests.support import airflow_under_test
from tests.support.delivery import CUT_OFF, FORM, STALLED, TOKEN_HEADER, deliver
from tests.support.versions import by_default_on
from tests.support.web_site import TOKEN, Response

pytestmark = by_default_on("2.7", "2.11", "3.0", "3.3")

AIRFLOW = airflow_under_test.version()
TYPED = "/native_api/v1/set_variable"
LEGACY = "/admin/rest_api/api"
DEPLOY = "/native_api/v1/deploy_dag"
BOUNDARY = "limits-of-forms"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

both_faces = pytest.mark.parametrize(
    "path, body",
    [
        pytest.param(TYPED, b"key=k&value=0123456789", id="typed"),
        pytest.param(LEGACY, b"api=variables&cmd=set&key=k&value=0123456789", id="legacy"),
        pytest.param(f"{LEGACY}?api=variables&cmd=set", b"key=k&value=0123456789", id="legacy with a query"),
    ],
)
both_ways = pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])


def headers_of(length: int, chunked: bool = False, **more: str) -> Dict[str, str]:
    """Return the headers of a form of that length, with the static token."""
    return {**TOKEN_HEADER, **FORM, **({} if chunked else {"Content-Length": str(length)}), **more}


def stored(site: Any) -> int:
    """Return the number of variables."""
    total: int = site.typed("list_variables").json["total_entries"]
    return total


def sentence(response: Response, status: int) -> str:
    """Return the message of an error of either API."""
    assert response.status == status, response
    body = response.json
    said: str = body["output"] if "output" in body else body["detail"]
    return said


@pytest.fixture(autouse=True)
def short_farewells(request: Any, monkeypatch: Any) -> None:
    """Read unread bodies for a short time only; except for one test, the clients do not send them."""
    if "may_finish" not in request.node.name:
        monkeypatch.setattr(request_body, "LINGER_SECONDS", 0.1)


@both_faces
@both_ways
class TestCompleteBodies:
    def test_a_body_in_chunks_is_read(self, web: Any, path: str, body: bytes, chunked: bool) -> None:
        response = deliver(web, path, headers_of(len(body), chunked), [body[:5], body[5:]])
        assert response.status in (200, 201)
        assert web.typed("get_variable", key="k").json["value"] == "0123456789"

    def test_an_incomplete_body_has_no_effect(self, web: Any, path: str, body: bytes, chunked: bool) -> None:
        """A truncated value would be valid, too."""
        response = deliver(web, path, headers_of(len(body), chunked), [body[:-5]], CUT_OFF)
        assert "before it was complete" in sentence(response, 400)
        assert stored(web) == 0

    def test_a_body_that_is_too_large_has_no_effect(
        self, web: Any, monkeypatch: Any, path: str, body: bytes, chunked: bool
    ) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_BYTES", str(len(body) - 1))
        response = deliver(web, path, headers_of(len(body), chunked), [body])
        assert "[native_api] body_bytes" in sentence(response, 413)
        assert response.headers.get("connection", response.headers.get("Connection")) == "close"
        assert stored(web) == 0


@pytest.mark.parametrize(
    "path, body, chunked",
    [
        pytest.param(TYPED, b"key=k&value=", False, id="typed"),
        pytest.param(LEGACY, b"api=variables&cmd=set&key=k&value=v", True, id="legacy"),
    ],
)
def test_a_body_that_is_too_slow_has_no_effect(
    web: Any, monkeypatch: Any, path: str, body: bytes, chunked: bool
) -> None:
    monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_SECONDS", "1")
    response = deliver(web, path, headers_of(len(body) + 1, chunked), [body], STALLED)
    assert "body_seconds" in sentence(response, 408)
    assert stored(web) == 0


class TestBeforeTheBody:
    """Errors that do not depend on the body are returned before it is received; here it never arrives."""

    @both_faces
    def test_a_content_length_that_is_too_large_is_413(self, web: Any, path: str, body: bytes) -> None:
        said = sentence(deliver(web, path, headers_of(60_000_000), [], STALLED), 413)
        assert "[native_api] body_bytes" in said or "[webserver] allowed_payload_size" in said

    @pytest.mark.parametrize("path", [TYPED, LEGACY, f"{LEGACY}?api=variables", "/native_api/v1/version"])
    def test_an_unknown_caller_is_401(self, web: Any, path: str) -> None:
        sentence(deliver(web, path, {**FORM, "Content-Length": "60000000"}, [], STALLED), 401)

    @pytest.mark.parametrize(
        "path",
        [DEPLOY, f"{LEGACY}?api=deploy_dag", "/native_api/v1/start_daemon", f"{LEGACY}?api=scheduler"],
    )
    @pytest.mark.parametrize("login", ["viewer", "op"])
    def test_a_caller_who_is_not_an_administrator_is_403(self, web: Any, path: str, login: str) -> None:
        headers = {**web.credentials(login), **FORM, "Content-Length": "1000"}
        assert "administrator" in sentence(deliver(web, path, headers, [], STALLED), 403)

    def test_a_disabled_effect_is_403(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__ALLOW_EXECUTE", "False")
        for path in ("/native_api/v1/run_task", f"{LEGACY}?api=run"):
            assert "allow_execute" in sentence(deliver(web, path, headers_of(1000), [], STALLED), 403)

    def test_a_missing_permission_on_all_resources_is_403(self, web: Any) -> None:
        headers = {**web.credentials("viewer"), **FORM, "Content-Length": "1000"}
        response = deliver(web, "/native_api/v1/import_variables", headers, [], STALLED)
        assert "variables" in sentence(response, 403)

    def test_another_method_is_405(self, web: Any) -> None:
        response = deliver(web, "/native_api/v1/version", headers_of(1000), [], STALLED)
        assert "GET" in sentence(response, 405)

    def test_a_missing_permission_has_priority_over_a_missing_file(self, web: Any) -> None:
        sentence(web.legacy("deploy_dag", login="viewer"), 403)
        sentence(web.request("POST", LEGACY, login="viewer", form={"api": "deploy_dag"}), 403)
        sentence(web.legacy("deploy_dag", login="admin"), 400)


def upload_of(content: bytes, **values: str) -> bytes:
    """Return a multipart form with a DAG file."""
    parts = [
        *(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in values.items()),
        b'Content-Disposition: form-data; name="dag_file"; filename="large.py"\r\n\r\n' + content,
    ]
    return b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY.encode(), part) for part in parts) + f"--{BOUNDARY}--\r\n".encode()


class TestUploads:
    @pytest.fixture(autouse=True)
    def limits(self, web: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__BODY_BYTES", "1000")
        monkeypatch.setenv("AIRFLOW__NATIVE_API__UPLOAD_BYTES", "10000000")
        if AIRFLOW < (3, 0):
            monkeypatch.setitem(web.app.config, "MAX_CONTENT_LENGTH", None)

    def test_upload_bytes_is_for_multipart_forms_only(self, web: Any) -> None:
        response = web.request("POST", DEPLOY, form={"dag_file": "x" * 2000, "path": "../outside.py"})
        assert "[native_api] body_bytes" in sentence(response, 413)
        response = web.request("POST", DEPLOY, body=upload_of(b"#" * 2000, path="../outside.py"), headers=MULTIPART)
        assert response.status == 403, response

    @pytest.mark.skipif(AIRFLOW < (2, 11), reason="Werkzeug 2.2 bounds no field of a multipart form, only the whole")
    def test_upload_bytes_is_for_files_only(self, web: Any) -> None:
        """The fields of a form are read into memory."""
        response = web.request("POST", DEPLOY, body=upload_of(b"", path="x" * 200_000), headers=MULTIPART)
        assert "[native_api] body_bytes" in sentence(response, 413)

    def test_upload_bytes_is_for_deploy_dag_only(self, web: Any) -> None:
        response = web.request(
            "POST", "/native_api/v1/import_variables", body=upload_of(b"#" * 2000), headers=MULTIPART
        )
        assert "[native_api] body_bytes" in sentence(response, 413)

    def test_the_error_names_upload_bytes(self, web: Any) -> None:
        response = web.request("POST", DEPLOY, body=upload_of(b"#" * 10_100_000), headers=MULTIPART)
        assert "[native_api] upload_bytes" in sentence(response, 413)
        response = web.request("POST", DEPLOY, body=upload_of(b"#" * 10_000_001), headers=MULTIPART)
        assert response.status == 422
        assert "[native_api] upload_bytes" in response.json["errors"]["dag_file"][0]

    @pytest.mark.parametrize("path", [DEPLOY, f"{LEGACY}?api=deploy_dag"])
    def test_the_file_is_never_in_memory_as_a_whole(self, web: Any, mocker: Any, path: str) -> None:
        """The client sends it in chunks, since it is in this process."""
        mocker.patch(
            "native_api.adapters.deployments.operations.sandbox.run", side_effect=TooManyBodies("stands for any")
        )
        body = upload_of(b"#" * 9_000_000, path="large.py")
        pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]
        headers = {**TOKEN_HEADER, **MULTIPART, "Content-Length": str(len(body))}
        deliver(web, path, headers, pieces)
        if AIRFLOW < (3, 0):
            return
        tracemalloc.start()
        try:
            assert deliver(web, path, headers, pieces).status == 503
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4_000_000


@pytest.mark.skipif(not (2, 8) <= AIRFLOW < (3, 0), reason="Airflow 2.8 to 2.11 have a limit of their own")
@both_ways
@pytest.mark.parametrize(
    "path, start", [(TYPED, b"key=k&value="), (LEGACY, b"api=variables&cmd=set&key=k&value=")], ids=["typed", "legacy"]
)
def test_the_limit_of_airflow_applies(web: Any, monkeypatch: Any, chunked: bool, path: str, start: bytes) -> None:
    """The error has the name of Airflow's option."""
    monkeypatch.setitem(web.app.config, "MAX_CONTENT_LENGTH", 10000.0)
    body = start + b"x" * (10_000 - len(start))
    assert deliver(web, path, headers_of(len(body), chunked), [body[:-5], body[-5:]]).status in (200, 201)
    said = sentence(deliver(web, path, headers_of(len(body) + 1, chunked), [body, b"x"]), 413)
    assert "10000 bytes" in said
    assert "[webserver] allowed_payload_size" in said


class TestBodyQuota:
    """The maximum number of simultaneous bodies, and of their bytes."""

    @pytest.fixture(autouse=True)
    def bounds(self, airflow: Any, monkeypatch: Any) -> None:
        monkeypatch.setenv("AIRFLOW__NATIVE_API__BODIES", "4")
        monkeypatch.setenv("AIRFLOW__NATIVE_API__BODIES_BYTES", "400")
        monkeypatch.setenv("AIRFLOW__NATIVE_API__UPLOAD_BYTES", "1")
        monkeypatch.setattr(request_body, "MEMORY_BYTES", 0)

    def test_a_caller_has_half_of_the_bodies(self) -> None:
        room = BodyQuota()
        with room.receiving("one"), room.receiving("one"):
            with pytest.raises(TooManyBodies, match=r"\[native_api\] bodies "), room.receiving("one"):
                pass
            with room.receiving("other"), room.receiving("other"), pytest.raises(TooManyBodies), room.receiving(
                "third"
            ):
                pass
        with room.receiving("one"):
            pass

    def test_a_caller_has_half_of_the_bytes(self) -> None:
        room = BodyQuota()
        with room.receiving("one") as grow, room.receiving("one") as grow_too:
            grow(150)
            with pytest.raises(TooManyBodies, match=r"\[native_api\] bodies_bytes"):
                grow_too(51)
            with room.receiving("other") as others:
                others(200)
                with room.receiving("third") as more, pytest.raises(TooManyBodies):
                    more(51)
            grow_too(50)
        with room.receiving("one") as grow:
            grow(200)


@pytest.mark.skipif(AIRFLOW < (3, 0), reason="Airflow 2's gunicorn has a process for each request that it reads")
class TestManyConnections:
    """Clients that send a Content-Length and no body use only their share of the bodies."""

    @pytest.fixture
    def port(self, web: Any) -> Iterator[int]:
        with serving(web.client.app) as port:
            yield port

    @pytest.mark.parametrize(
        "headers, statuses",
        [
            pytest.param("Content-Length: 60000000", {401}, id="unknown"),
            pytest.param(f"rest-api-plugin-http-token: {TOKEN}\r\nContent-Length: 60000000", {413}, id="too large"),
            pytest.param(f"rest-api-plugin-http-token: {TOKEN}\r\nContent-Length: 10", {503}, id="silent"),
            pytest.param(f"rest-api-plugin-http-token: {TOKEN}\r\nTransfer-Encoding: chunked", {503}, id="in chunks"),
        ],
    )
    def test_other_clients_are_served(self, web: Any, port: int, headers: str, statuses: Any) -> None:
        with ExitStack() as stack:
            held: List[socket.socket] = []
            for _ in range(200):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
                client.sendall(f"POST {TYPED} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n".encode())
                held.append(client)
            # The last one has its response: all others occupy what they can.
            first = held[-1].recv(65536)
            assert int(first.split()[1]) in statuses
            for number in range(3):
                body = f"key=k{number}&value=v".encode()
                request = Request(f"http://127.0.0.1:{port}{TYPED}", body, {**web.credentials("admin"), **FORM})
                with urlopen(request, timeout=20) as response:
                    assert response.status == 201

    def test_the_rest_of_a_refused_body_is_read(self, port: int, monkeypatch: Any) -> None:
        """Otherwise the client would see a closed connection instead of the response."""
        # However slow this machine is.
        monkeypatch.setattr(request_body, "LINGER_SECONDS", 60)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            token = f"rest-api-plugin-http-token: {TOKEN}"
            length = 30_000_000
            client.sendall(
                f"POST {TYPED} HTTP/1.1\r\nHost: localhost\r\n{token}\r\nContent-Length: {length}\r\n\r\n".encode()
            )
            client.sendall(b"x" * length)
            response = b"".join(iter(lambda: client.recv(65536), b""))
            assert b" 413 " in response
            assert b"connection: close" in response


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serve an ASGI app with uvicorn in a thread, and return its port."""
    from uvicorn import Config, Server

    server = Server(
        Config(app, port=0, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=10)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        end = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < end
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
