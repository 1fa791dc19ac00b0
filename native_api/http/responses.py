"""Where a request ends: whatever went wrong becomes one of our errors, in the shape of its face."""

from __future__ import annotations

import json
import logging
import uuid
from functools import wraps
from http import HTTPStatus
from typing import Any, Callable, Mapping, Optional

from flask import Response
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.fields import strict_json
from native_api.errors import BadRequest, NativeApiError, Unforeseen
from native_api.http import request_reading
from native_api.http.request_body import BodyWanted

log = logging.getLogger(__name__)

View = Callable[..., Response]


def in_shape(shape: Callable[[NativeApiError], Response]) -> Callable[[View], View]:
    """Decorate a view, so that each error becomes a response made by *shape*."""

    def decorate(view: View) -> View:
        @wraps(view)
        def answer(*args: Any, **kwargs: Any) -> Response:
            try:
                with airflow().errors_as_ours():
                    request_reading.quote_query()
                    response = view(*args, **kwargs)
            except BodyWanted:
                # The event loop, which asked, receives the body and asks again.
                return Response(status=HTTPStatus.NO_CONTENT)
            except NativeApiError as exc:
                response = shape(exc)
            except HTTPException as exc:
                response = shape(_ours(exc))
            except Exception:
                error = Unforeseen(uuid.uuid4().hex)
                log.exception("Unforeseen error %s", error.error_id)
                response = shape(error)
            request_reading.close_well(response)
            return response

        return answer

    return decorate


def _ours(exc: HTTPException) -> NativeApiError:
    """Return our error for one of werkzeug's, which come from reading the body."""
    if isinstance(exc, RequestEntityTooLarge):
        return request_reading.too_large_a_form()
    return BadRequest(exc.description or exc.name)


def json_response(
    body: Mapping[str, Any],
    status: int = 200,
    *,
    content_type: str = "application/json",
    headers: Optional[Mapping[str, str]] = None,
) -> Response:
    """Return *body* as JSON; the same text on every Airflow, whose web apps have JSON providers of their own."""
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, default=str)
    except (TypeError, ValueError, RecursionError):
        # What somebody has stored past this API: other keys than text, no number of JSON, or nested too deeply.
        text = json.dumps(strict_json.plain(body, MASK), ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, which a conf may have in it.
        text = json.dumps(json.loads(text))
    response = Response(text, status=status, content_type=content_type)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.update(headers or {})
    return response
