"""Read a request: quote its query string, and receive its complete body within the limits."""

from __future__ import annotations

import socket
import string
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any, Iterator, Mapping, Optional
from urllib.parse import quote

from flask import Response, request
from werkzeug.datastructures import MultiDict

from native_api import credentials, settings
from native_api.adapters.compat import airflow
from native_api.credentials import Identity
from native_api.errors import BodyCutOff, BodyTooLarge, BodyTooSlow, FormTooLarge
from native_api.http import request_body
from native_api.http.request_body import Limit
from native_api.permissions import Caller
from native_api.registry import Operation

_CHUNK_BYTES = 65536
#: Seconds for which the body of a refused request is read before the connection is closed, and without data at most.
_LINGER_SECONDS = 1.0
_SILENT_SECONDS = 0.1
#: The key of the received body in the WSGI environment.
_RECEIVED = "native_api.received"
#: The maximum number of fields of a form, which is werkzeug's default for multipart forms.
_PARTS = 1000


def quote_query() -> None:
    """Quote the bytes of the query string that the client has not quoted."""
    request.query_string = quote(request.query_string, safe=string.printable).encode()


def receive_body(identity: Identity, operation: Optional[Operation] = None) -> None:
    """
    Receive the complete body of the request, after proof that a page of Airflow sent it where that is required.

    :param operation: the operation, if it is known without the body.
    :raises BodyRequired: Airflow 3: the event loop receives the body and calls the app again.
    :raises native_api.errors.NativeApiError: the body is too large, too slow or incomplete, or the proof is missing.
    """
    if operation is not None and not airflow().rights.proof_is_in_form:
        credentials.require_intent(request, identity, operation.effect)
    _receive(identity.caller, operation)
    if operation is not None:
        credentials.require_intent(request, identity, operation.effect)


def looks_like_json(form: Mapping[str, str]) -> bool:
    """Return whether a form is JSON, which curl sends as a form by default."""
    return any(name.lstrip().startswith("{") for name in form)


def _receive(caller: Caller, operation: Optional[Operation]) -> None:
    limit = _limit(operation)
    body: Optional[request_body.Body] = request.environ.get(request_body.KEY)
    length = request.content_length if body is None else body.length
    if length is not None and length > limit.bytes:
        if body is not None:
            body.is_refused = True
        raise BodyTooLarge(limit.bytes, limit.option)
    if body is None:
        _receive_from_wsgi(limit)
    elif body.error is not None:
        raise body.error
    elif not body.is_received:
        body.requested = request_body.BodyRequest(caller.name, limit)
        raise request_body.BodyRequired()
    # Werkzeug's default is 500 kB, which includes the buffered chunks of files.
    request.max_form_memory_size = settings.get("body_bytes") + 2 * _CHUNK_BYTES
    request.max_form_parts = _PARTS


def form() -> MultiDict[str, str]:
    """
    Return the fields of the form.

    :raises FormTooLarge: it has too many fields. Werkzeug limits them in multipart forms only.
    """
    if len(request.form) > _PARTS:
        raise too_large_a_form()
    return request.form


def too_large_a_form() -> FormTooLarge:
    """Return the error for a form that werkzeug refuses."""
    return FormTooLarge(_PARTS, settings.get("body_bytes"), "[native_api] body_bytes")


def close_gracefully(response: Response) -> None:
    """
    Have the rest of an unread body received after the response.

    On Airflow 2 gunicorn closes the connection, and a client that is still sending does not see the response. On
    Airflow 3 :class:`~native_api.http.request_body.ReceiveBodyFirst` does it.
    """
    environ = request.environ
    client: Optional[socket.socket] = environ.get("gunicorn.socket")
    received: Optional[IO[bytes]] = environ.get(_RECEIVED)
    if received is not None:
        response.call_on_close(received.close)
    elif client is not None and not environ["wsgi.multithread"] and _is_sent_a_body():
        response.call_on_close(lambda: _linger(client))


def _is_sent_a_body() -> bool:
    return bool(request.content_length) or "HTTP_TRANSFER_ENCODING" in request.environ


def _limit(operation: Optional[Operation]) -> Limit:
    """Return the maximum size of the body, which is larger for a DAG file."""
    limit = Limit(settings.get("body_bytes"), "[native_api] body_bytes")
    if operation is not None and operation.takes_file and request.mimetype == "multipart/form-data":
        largest = request_body.largest_upload()
        limit = largest if largest.bytes > limit.bytes else limit
    own = request.max_content_length
    # Airflow's value is a float.
    return Limit(int(own), airflow().payload_option) if own is not None and own < limit.bytes else limit


def _receive_from_wsgi(limit: Limit) -> None:
    """Replace the stream of the server by the complete body."""
    environ = request.environ
    length = request.content_length
    if length is None and not environ.get("wsgi.input_terminated"):
        # The stream has no end then.
        length = 0
    seconds = settings.get("body_seconds")
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(tempfile.SpooledTemporaryFile(request_body.MEMORY_BYTES))
        with _deadline(environ.get("gunicorn.socket"), seconds) as is_late:
            size = _copy(environ["wsgi.input"], file, length, limit, is_late)
        if is_late.is_set():
            raise BodyTooSlow(seconds, "[native_api] body_seconds")
        if length not in (None, size):
            raise BodyCutOff()
        # From here on the response closes it.
        stack.pop_all()
    file.seek(0)
    environ.update({"wsgi.input": file, "CONTENT_LENGTH": str(size), _RECEIVED: file})
    # Werkzeug would wrap it with Airflow's limit, which is a float, and fail.
    request.stream = file


def _copy(source: Any, target: IO[bytes], length: Optional[int], limit: Limit, is_late: threading.Event) -> int:
    """Copy the body and return its size; the server's stream ends with a chunked body."""
    size = 0
    while length is None or size < length:
        try:
            chunk = source.read(_CHUNK_BYTES if length is None else min(_CHUNK_BYTES, length - size))
        except OSError as exc:
            # An error of gunicorn about chunks, or of the connection.
            if is_late.is_set():
                return size
            raise BodyCutOff() from exc
        if not chunk:
            return size
        size += len(chunk)
        if size > limit.bytes:
            raise BodyTooLarge(limit.bytes, limit.option)
        target.write(chunk)
    return size


@contextmanager
def _deadline(client: Optional[socket.socket], seconds: float) -> Iterator[threading.Event]:
    """Stop receiving after the timeout; the context manager returns an event that is set then."""
    is_late = threading.Event()
    if client is None:
        yield is_late
        return

    def stop() -> None:
        is_late.set()
        with suppress(OSError):
            # Not the method of an SSL socket, which could not send the response then.
            socket.socket.shutdown(client, socket.SHUT_RD)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()


def _linger(client: socket.socket) -> None:
    """Read the rest of the body for a while."""
    end = time.monotonic() + _LINGER_SECONDS
    with suppress(OSError):
        client.settimeout(_SILENT_SECONDS)
        while time.monotonic() < end and client.recv(_CHUNK_BYTES):
            pass
