"""
The console: a page with a form for each operation that the user can call.

``pages.py`` serves the page and its assets, and ``offers.py`` the list of operations for a caller. The assets in
``static/`` are HTML, CSS and ES modules, which read the OpenAPI document and need no build. One of them is RapiDoc,
unmodified, which shows the API reference.
"""

from __future__ import annotations

from native_api.http.console.offers import command, offers
from native_api.http.console.pages import asset, docs, page

__all__ = ["asset", "command", "docs", "offers", "page"]
