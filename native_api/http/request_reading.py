"""How a request is read: what a client should have quoted is quoted, and no body but whole and within its limit."""

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

_PIECE_BYTES = 65536
#: How long a client that was refused may go on sending before its connection is closed, and how long it may be silent.
_LINGER_SECONDS = 1.0
_SILENT_SECONDS = 0.1
#: Where the environment of a request has its body, once it is here as a whole.
_RECEIVED = "native_api.received"
#: Werkzeug's limit of the parts of a form.
_PARTS = 1000


def quote_query() -> None:
    """Quote the bytes of the query string that the client should have quoted."""
    request.query_string = quote(request.query_string, safe=string.printable).encode()


def receive_body(identity: Identity, operation: Optional[Operation] = None) -> None:
    """
    Have the body of the request here, as a whole, where the caller meant to send it.

    :param operation: what the request is for, where that is known without the body.
    :raises native_api.errors.NativeApiError: it is too large, too slow or not complete, or a page of another site may
        have sent it.
    """
    if operation is not None and not airflow().rights.proof_is_in_form:
        credentials.require_intent(request, identity, operation.effect)
    _receive(identity.caller, operation)
    if operation is not None:
        credentials.require_intent(request, identity, operation.effect)


def looks_like_json(form: Mapping[str, str]) -> bool:
    """Return whether a form is JSON that was sent as one, as curl does where it is not told otherwise."""
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
    elif not body.is_here:
        body.wanted = request_body.Wanted(caller.name, limit)
        raise request_body.BodyWanted()
    # Werkzeug's own limit is half a megabyte. It counts what it has read and not yet looked at, of files too.
    request.max_form_memory_size = settings.get("body_bytes") + 2 * _PIECE_BYTES
    request.max_form_parts = _PARTS


def form() -> MultiDict[str, str]:
    """Return the fields of the form: of one that is urlencoded as many as werkzeug takes of a multipart one."""
    if len(request.form) > _PARTS:
        raise too_large_a_form()
    return request.form


def too_large_a_form() -> FormTooLarge:
    """Return the error for a form that werkzeug refuses."""
    return FormTooLarge(_PARTS, settings.get("body_bytes"), "[native_api] body_bytes")


def close_well(response: Response) -> None:
    """
    Let a client that still sends a body see its answer before the connection is closed.

    On Airflow 2 gunicorn closes it, and a client that is cut off while it sends would see that instead. On 3 the event
    loop sees to it.
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
    """Return how large the body may be: that of an upload of a DAG file, or any other."""
    limit = Limit(settings.get("body_bytes"), "[native_api] body_bytes")
    if operation is not None and operation.takes_file and request.mimetype == "multipart/form-data":
        largest = request_body.largest_upload()
        limit = largest if largest.bytes > limit.bytes else limit
    own = request.max_content_length
    # Airflow's own is a float.
    return Limit(int(own), airflow().payload_option) if own is not None and own < limit.bytes else limit


def _receive_from_wsgi(limit: Limit) -> None:
    """Put the whole body in the place of the server's stream."""
    environ = request.environ
    length = request.content_length
    if length is None and not environ.get("wsgi.input_terminated"):
        # No server says then where the body ends.
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
        # From here on it is closed with the response.
        stack.pop_all()
    file.seek(0)
    environ.update({"wsgi.input": file, "CONTENT_LENGTH": str(size), _RECEIVED: file})
    # Werkzeug would make one of its own of it, with Airflow's limit, which is a float and no number of bytes to it.
    request.stream = file


def _copy(source: Any, target: IO[bytes], length: Optional[int], limit: Limit, is_late: threading.Event) -> int:
    """Copy the body and return its size; of one that comes in chunks the server's stream knows the end."""
    size = 0
    while length is None or size < length:
        try:
            piece = source.read(_PIECE_BYTES if length is None else min(_PIECE_BYTES, length - size))
        except OSError as exc:
            # gunicorn's errors about chunks, and the connection's own.
            if is_late.is_set():
                return size
            raise BodyCutOff() from exc
        if not piece:
            return size
        size += len(piece)
        if size > limit.bytes:
            raise BodyTooLarge(limit.bytes, limit.option)
        target.write(piece)
    return size


@contextmanager
def _deadline(client: Optional[socket.socket], seconds: float) -> Iterator[threading.Event]:
    """End what the client sends after so many seconds; what is given says whether that was so."""
    is_late = threading.Event()
    if client is None:
        yield is_late
        return

    def stop() -> None:
        is_late.set()
        with suppress(OSError):
            # Not that of an SSL socket, which would forget how to send the answer.
            socket.socket.shutdown(client, socket.SHUT_RD)

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield is_late
    finally:
        timer.cancel()


def _linger(client: socket.socket) -> None:
    """Read on for a little while."""
    end = time.monotonic() + _LINGER_SECONDS
    with suppress(OSError):
        client.settimeout(_SILENT_SECONDS)
        while time.monotonic() < end and client.recv(_PIECE_BYTES):
            pass
