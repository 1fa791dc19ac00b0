"""An HTTP client that sends requests verbatim, follows no redirects, and knows the error formats of both APIs."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from http.cookies import SimpleCookie
from typing import Any, Dict, Iterable, Mapping, Optional, Union
from urllib.parse import urlencode

from tests.support import declared_errors

TYPED = "/native_api/v1/"
LEGACY = "/admin/rest_api/api"
ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Response:
    """The response to a request for *target*."""

    target: str
    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the JSON of the body."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def result(self, *statuses: int) -> Any:
        """Return the operation's result, whichever API it was called with; fail if the call failed."""
        assert self.status in (statuses or (200, 201)), self
        body = self.json()
        if LEGACY not in self.target:
            return body
        assert body["status"] == "OK" and body["http_response_code"] == 200, body
        return body["result"]

    def printed(self) -> str:
        """Return the output of the legacy API."""
        self.result()
        printed: str = self.json()["output"]["stdout"]
        return printed

    def refusal(self, status: int, legacy_status: Optional[int] = None) -> str:
        """
        Return the sentence of an error; fail where it is none of *status* in the shape of its face.

        :param legacy_status: the legacy face's, where that is another.
        """
        assert "Location" not in self.headers, self
        assert self.headers["X-Content-Type-Options"] == "nosniff", self
        assert "Traceback" not in self.text and "site-packages" not in self.text, self
        body = self.json()
        if LEGACY in self.target:
            expected = legacy_status or status
            assert self.headers["Content-Type"] == "application/json", self
            assert (self.status, body["http_response_code"], body["status"]) == (expected, expected, "ERROR"), body
            assert body["call_time"] and body["response_time"], body
            sentence: str = body["output"]
        else:
            assert self.headers["Content-Type"] == "application/problem+json", self
            assert (self.status, body["status"]) == (status, status), body
            assert body["type"] and body["title"], body
            sentence = body["detail"]
        assert sentence, body
        return sentence

    def __str__(self) -> str:
        return f"{self.target}: {self.status}\n{self.headers}\n{self.text[:2000]}"


class _Connection(HTTPConnection):
    """A connection that sends non-ASCII characters of a URL as bytes, which the standard library refuses."""

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1")


class Client:
    """A client of one server, with the same headers and cookies for each request."""

    def __init__(
        self,
        port: int,
        base_path: str = "",
        headers: Optional[Mapping[str, str]] = None,
        cookies: Optional[Mapping[str, str]] = None,
        *,
        keeps_cookies: bool = False,
    ) -> None:
        self.port = port
        self.base_path = base_path
        self.headers = dict(headers or {})
        self.cookies = dict(cookies or {})
        self._keeps_cookies = keeps_cookies

    @property
    def origin(self) -> str:
        """The origin of the server's own pages."""
        return f"http://127.0.0.1:{self.port}"

    def also(self, headers: Optional[Mapping[str, str]] = None, cookies: Optional[Mapping[str, str]] = None) -> Client:
        """Return a client that sends these, too."""
        return Client(
            self.port,
            self.base_path,
            {**self.headers, **(headers or {})},
            {**self.cookies, **(cookies or {})},
            keeps_cookies=self._keeps_cookies,
        )

    def keeping_cookies(self) -> Client:
        """Return a client that sends back the cookies it gets, as a browser or a session does."""
        return Client(self.port, self.base_path, self.headers, self.cookies, keeps_cookies=True)

    def get(self, path: str, **query: Any) -> Response:
        """Send a GET."""
        return self.send("GET", path, query=query)

    def post(self, path: str, json: Any = None, form: Optional[Mapping[str, Any]] = None, **query: Any) -> Response:
        """Send a POST with a JSON body, a form, or nothing."""
        return self.send("POST", path, query=query, json=json, form=form)

    def read(self, operation: str, **arguments: Any) -> Response:
        """Call an operation of the typed API that reads."""
        return self.get(f"{TYPED}{operation}", **arguments)

    def write(self, operation: str, **arguments: Any) -> Response:
        """Call an operation of the typed API that changes something."""
        return self.post(f"{TYPED}{operation}", json=arguments)

    def legacy(self, api: str, **arguments: Any) -> Response:
        """Call the legacy API with GET, as most of its clients do."""
        return self.get(LEGACY, api=api, **arguments)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Union[str, Mapping[str, Any], None] = None,
        json: Any = None,
        form: Optional[Mapping[str, Any]] = None,
        body: Union[bytes, Iterable[bytes], None] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Response:
        """Send a request; a *query* that is text is sent verbatim, an iterable *body* in chunks."""
        encoded = query if isinstance(query, str) else urlencode(query or {})
        target = f"{self.base_path}{path}" + (f"?{encoded}" if encoded else "")
        sent = {**self.headers, **(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if json is not None:
            body, sent = _dumped(json), {"Content-Type": "application/json", **sent}
        elif form is not None:
            body, sent = urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded", **sent}
        response = self._exchange(method, target, body, sent)
        declared_errors.note_response(target, response.status, response.text)
        if self._keeps_cookies:
            self._keep(response)
        return response

    def _exchange(
        self, method: str, target: str, body: Union[bytes, Iterable[bytes], None], headers: Dict[str, str]
    ) -> Response:
        connection = _Connection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            # A server that refuses a body can respond before it has read all of it.
            with suppress(BrokenPipeError):
                connection.request(method, target, body, headers)
            response = connection.getresponse()
            return Response(target, response.status, response.msg, response.read())
        finally:
            connection.close()

    def _keep(self, response: Response) -> None:
        for line in response.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()
