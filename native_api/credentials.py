"""Authentication: the first credential of a request counts, and whether browsers send it automatically."""

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

#: Browsers store credentials of these schemes and send them automatically.
_REMEMBERED_SCHEMES = ("basic", "negotiate")
#: Headers that browsers send and programs do not. Over plain HTTP a click on a link sends only the last two.
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
    """The caller of a request; *ambient* is whether a browser can have sent the credential automatically."""

    caller: Caller
    ambient: bool


def identify(request: Request) -> Identity:
    """
    Authenticate a request and return its caller.

    The order is: the static token, the ``Authorization`` header, the session. If the first one that is present is
    wrong, no other is tried.

    :raises native_api.errors.Unauthorized: the credential is missing or wrong.
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
    Require proof that a page of Airflow sent the request, if a browser can have sent the credential automatically.

    The proof is that of Airflow: its CSRF token on Airflow 2, the ``Origin`` on Airflow 3.

    :param effect: that of the operation; reading needs no proof.
    :raises CrossSiteRequest: the proof is missing, or the method is not POST.
    """
    if not identity.ambient or effect is Effect.READ:
        return
    if request.method != "POST":
        raise CrossSiteRequest(
            "A browser can have sent this credential automatically, so a change requires POST. Only the static token "
            "and a Bearer token can change something with GET."
        )
    airflow().rights.require_same_site(request)


def token_header() -> str:
    """Return the name of the header that carries the static token."""
    name: str = settings.get("rest_api_plugin_http_token_header_name")
    # WSGI does not distinguish hyphens and underscores.
    return name.replace("_", "-")


def _token_is_sent(request: Request) -> bool:
    return token_header() in request.headers and bool(settings.get("rest_api_plugin_expected_http_token"))


def _token_holder(request: Request) -> Caller:
    expected: str = settings.get("rest_api_plugin_expected_http_token")
    if not hmac.compare_digest(request.headers[token_header()].encode(), expected.encode()):
        raise TokenRefused()
    return TokenHolder(settings.get("token_effects"))


def _is_remembered(request: Request) -> bool:
    scheme = request.headers["Authorization"].split(" ", 1)[0].lower()
    return scheme in _REMEMBERED_SCHEMES and any(name in request.headers for name in _SENT_BY_PAGES)
