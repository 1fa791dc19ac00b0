"""Connection URIs and extras: their validation and masking."""

from __future__ import annotations

import json
import re
from typing import Any, Optional
from urllib.parse import parse_qsl, urlencode, urlsplit

from marshmallow import ValidationError, fields

from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.fields import strict_json
from native_api.adapters.fields.texts import Text

#: The part of a URI's query that holds an extra which is more than names and texts, as Airflow writes it.
EXTRA = "__extra__"

#: In characters: the parts that Airflow's columns bound, and an extra with a certificate or two.
LONGEST_URI = 65536

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Uri(Text):
    """A connection URI, validated alike on every Airflow."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(LONGEST_URI, **kwargs)

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Any:
        uri = super()._deserialize(value, attr, data, **kwargs)
        wrong = complaint(uri)
        if wrong:
            raise ValidationError(wrong)
        return uri


class Extra(fields.Raw):
    """
    The extra of a connection: a JSON object, or the text of one, which is stored verbatim; empty text means no extra.
    """

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Optional[str]:
        if isinstance(value, dict):
            return json.dumps(value)
        if not isinstance(value, str):
            raise ValidationError("Must be a JSON object, or the text of one.")
        if not value.strip():
            return None
        if not _is_object(value):
            raise ValidationError("Must be a JSON object, or the text of one; this text is not JSON.")
        return value


def complaint(uri: str) -> Optional[str]:
    """
    Return the reason why the URI is invalid, which does not quote it since it can have a password; None if it is valid.
    """
    if _CONTROL.search(uri):
        return "Has control characters; percent-encode them, for example as %0A."
    if not _SCHEME.match(uri):
        return "Must begin with a scheme and '://'. A scheme has letters, digits and hyphens, no underscores."
    scheme, _, rest = uri.partition("://")
    before, protocol, _ = rest.partition("://")
    if rest.count("://") > 1 or (protocol and ("@" in before or ":" in before)):
        return "Has '://' more than once; percent-encode it in a password or in the query, as %3A%2F%2F."
    try:
        parts = urlsplit(rest if protocol else f"//{rest}")
        _ = parts.port, parts.hostname
    except ValueError:
        return "The host or port is invalid; percent-encode special characters in a password, for example '@' as %40."
    if not _is_object(dict(parse_qsl(parts.query, keep_blank_values=True)).get(EXTRA, "{}")):
        return f"Its {EXTRA} must be a JSON object."
    return None


def masked_uri(uri: Optional[str]) -> Optional[str]:
    """Return the URI with ``***`` for its password and for the sensitive parameters of its query."""
    if not uri:
        return uri
    if complaint(uri):
        return MASK
    whole, _, fragment = uri.partition("#")
    head, _, query = whole.partition("?")
    scheme, _, rest = head.rpartition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    login, colon, _ = user.partition(":")
    shown = f"{scheme}://{login}{colon}{MASK if colon else ''}{at}{host}{slash}{path}"
    return shown + (f"?{_masked_query(query)}" if query else "") + (f"#{MASK}" if fragment else "")


def masked_extra(text: Optional[str]) -> Optional[str]:
    """Return an extra with ``***`` for its sensitive values, or for all of it if it is not a JSON object."""
    if not text:
        return text
    shown: str = airflow().masked(text) if _is_object(text) else MASK
    return shown


def _masked_query(query: str) -> str:
    named = parse_qsl(query, keep_blank_values=True)
    shown = [(name, airflow().masked(value, name)) for name, value in named]
    return query if shown == named else urlencode(shown, safe="*")


def _is_object(text: str) -> bool:
    try:
        return isinstance(strict_json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
