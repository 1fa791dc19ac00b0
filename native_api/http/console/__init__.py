"""
The console: a page with a form for every operation that its user may call.

``pages.py`` serves the page and its assets, and ``offers.py`` says what is offered to a caller. The assets in
``static/`` are plain HTML, CSS and ES modules, which read the OpenAPI document and need no build. One of them is
RapiDoc, as its authors publish it, which shows the API reference.
"""

from __future__ import annotations

from native_api.http.console.offers import command, offers
from native_api.http.console.pages import asset, docs, page

__all__ = ["asset", "command", "docs", "offers", "page"]
