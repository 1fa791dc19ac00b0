"""A browser, with users that are logged in to Airflow."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from .console import URL, Console, log_in

#: Generous: a busy machine takes long.
expect.set_options(timeout=20_000)

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=os.environ["CONSOLE_CHROMIUM"], args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def sessions(browser: Browser) -> Iterator[Dict[str, BrowserContext]]:
    """Users that are logged in, by name, each with a window."""
    found: Dict[str, BrowserContext] = {}
    yield found
    for context in found.values():
        context.close()


@contextmanager
def opened(sessions: Dict[str, BrowserContext], browser: Browser, name: str) -> Iterator[Console]:
    if name not in sessions:
        context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB")
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(20_000)
        page = context.new_page()
        page.goto(f"{URL}/native_api/")
        log_in(page, name)
        page.close()
        sessions[name] = context
    page = sessions[name].new_page()
    invalid_options: List[str] = []
    page.on("pageerror", lambda error: invalid_options.append(str(error)))
    page.on("console", lambda message: invalid_options.extend(_complaint(message)))
    yield Console(page, AXE)
    page.close()
    assert invalid_options == []


def _complaint(message: ConsoleMessage) -> List[str]:
    """Return a message of the browser's console, except for refused calls."""
    is_refusal = (
        "the server responded with a status of 4" in message.text and "/native_api/v1/" in message.location["url"]
    )
    return [message.text] if message.type in ("error", "warning") and not is_refusal else []


@pytest.fixture
def admin(sessions: Dict[str, BrowserContext], browser: Browser) -> Iterator[Console]:
    """The console of an administrator; the browser's console must be empty at the end."""
    with opened(sessions, browser, "admin") as console:
        yield console


@pytest.fixture
def viewer(sessions: Dict[str, BrowserContext], browser: Browser) -> Iterator[Console]:
    with opened(sessions, browser, "viewer") as console:
        yield console


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window without login."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB")
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def pytest_report_header(config: Any) -> str:
    return f"console of Airflow {os.environ['CONSOLE_AIRFLOW']} at {URL}"
