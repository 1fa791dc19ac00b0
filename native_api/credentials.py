"""Who sends a request: the first credential that is present, alone; and whether a browser sends it by itself."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from native_api import settings
from native_api.adapters.compat import airflow
from native_api.effects import Effect
from native_api.errors import CrossSiteRequest, TokenRefused, Unauthorized
from native_api.permissions import Caller, TokenHolder

if TYPE_CHECKING:
    from flask import Request

#: Browsers send these schemes again by themselves.
_REMEMBERED_SCHEMES = ("basic", "negotiate")
#: What browsers send and programs do not. Over plain HTTP a link that is followed carries the last two alone.
_SENT_BY_PAGES = (
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Dest",
    "Origin",
    "Referer",
    "Upgrade-Insecure-Requests",
    "Accept-Language",
)


@dataclass(frozen=True)
class Identity:
    """The caller of a request; *ambient* where a browser may have sent the credential without being asked."""

    caller: Caller
    ambient: bool


def identify(request: Request) -> Identity:
    """
    Return who sends the request.

    The static token comes before the ``Authorization`` header, that before the session; one that is present and wrong
    is not made good by another.

    :raises native_api.errors.Unauthorized: nobody that is known here.
    """
    rights = airflow().rights
    if _token_is_sent(request):
        rights.keep_no_session()
        return Identity(_token_holder(request), ambient=False)
    if "Authorization" in request.headers:
        rights.keep_no_session()
        ambient = rights.adds_authorization(request) or _is_remembered(request)
        return Identity(rights.by_authorization(request), ambient)
    try:
        return Identity(rights.by_session(request), ambient=True)
    except Unauthorized:
        rights.keep_no_session()
        raise


def require_intent(request: Request, identity: Identity, effect: Effect) -> None:
    """
    Raise where a page of another site, or a link, may have made a browser send the request.

    :raises CrossSiteRequest: the credential is ambient, the operation changes something, and the proof is missing.
    """
    if not identity.ambient or effect is Effect.READ:
        return
    if request.method != "POST":
        raise CrossSiteRequest(
            "Changing something by GET needs a credential that no browser sends by itself: the static token, or a "
            "Bearer token. With this credential use POST."
        )
    airflow().rights.require_same_site(request)


def token_header() -> str:
    """Return the name of the header that carries the static token."""
    name: str = settings.get("rest_api_plugin_http_token_header_name")
    # WSGI makes the same key of hyphens and underscores.
    return name.replace("_", "-")


def _token_is_sent(request: Request) -> bool:
    return bool(settings.get("rest_api_plugin_expected_http_token")) and token_header() in request.headers


def _token_holder(request: Request) -> Caller:
    expected: str = settings.get("rest_api_plugin_expected_http_token")
    if not hmac.compare_digest(request.headers[token_header()].encode(), expected.encode()):
        raise TokenRefused()
    return TokenHolder(settings.get("token_effects"))


def _is_remembered(request: Request) -> bool:
    scheme = request.headers["Authorization"].split(" ", 1)[0].lower()
    return scheme in _REMEMBERED_SCHEMES and any(name in request.headers for name in _SENT_BY_PAGES)
