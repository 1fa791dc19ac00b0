"""Responses: each exception becomes a NativeApiError, in the format of the interface."""

from __future__ import annotations

import json
import logging
import uuid
from functools import wraps
from http import HTTPStatus
from typing import Callable, Mapping, Optional

from flask import Response
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.fields import strict_json
from native_api.errors import BadRequest, NativeApiError, Unforeseen
from native_api.http import request_reading
from native_api.http.request_body import BodyRequired

log = logging.getLogger(__name__)

View = Callable[..., Response]


def in_shape(shape: Callable[[NativeApiError], Response]) -> Callable[[View], View]:
    """
    Decorate a view: each exception becomes a response.

    :param shape: returns the response for an error, in the format of the interface.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def handle(*args: object, **kwargs: object) -> Response:
            try:
                with airflow().errors_as_ours():
                    request_reading.quote_query()
                    response = view(*args, **kwargs)
            except BodyRequired:
                # ReceiveBodyFirst discards this response and calls the app again.
                return Response(status=HTTPStatus.NO_CONTENT)
            except NativeApiError as exc:
                response = shape(exc)
            except HTTPException as exc:
                response = shape(_native_error(exc))
            except Exception:
                error = Unforeseen(uuid.uuid4().hex)
                log.exception("Unforeseen error %s", error.error_id)
                response = shape(error)
            request_reading.close_gracefully(response)
            return response

        return handle

    return decorate


def _native_error(exc: HTTPException) -> NativeApiError:
    """Return the error for one that werkzeug has raised while it read the body."""
    if isinstance(exc, RequestEntityTooLarge):
        return request_reading.too_large_a_form()
    return BadRequest(exc.description or exc.name)


def json_response(
    body: Mapping[str, object],
    status: int = 200,
    *,
    content_type: str = "application/json",
    headers: Optional[Mapping[str, str]] = None,
) -> Response:
    """
    Return a response with JSON, which is the same on every Airflow: the JSON provider of the Flask app is not used.

    A value that is not JSON is replaced by text.
    """
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, default=str)
    except (TypeError, ValueError, RecursionError):
        # The database has values that are not JSON: keys that are not strings, NaN, or too deep nesting.
        text = json.dumps(strict_json.plain(body, MASK), ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        # An unpaired surrogate, which the conf of a run can have.
        text = json.dumps(json.loads(text))
    response = Response(text, status=status, content_type=content_type)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.update(headers or {})
    return response
