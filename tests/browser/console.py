"""The console as a user operates it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, expect

URL = os.environ["CONSOLE_URL"]
AIRFLOW: Tuple[int, ...] = tuple(int(number) for number in os.environ["CONSOLE_AIRFLOW"].split("."))


def log_in(page: Page, name: str) -> None:
    """Log in with Airflow's own page; the password is the name."""
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(name)
    page.locator("[type=submit]").click()
    page.wait_for_url(lambda url: "login" not in url)


@dataclass
class Console:
    """A window with the console."""

    page: Page
    axe: str

    def open(self, operation: str = "", **arguments: Any) -> Console:
        """Open an operation with its link, with arguments in the form."""
        query = urlencode(
            {name: json.dumps(value) if isinstance(value, (dict, bool)) else value for name, value in arguments.items()}
        )
        self.page.goto("about:blank")
        self.page.goto(f"{URL}/native_api/#{operation}{'?' if query else ''}{query}")
        expect(self.page.locator("main h1")).to_be_visible()
        return self

    def field(self, name: str) -> Locator:
        """Return the input of an argument."""
        return self.page.get_by_label(name, exact=True).or_(self.page.get_by_label(f"{name} required", exact=True))

    @property
    def output(self) -> Locator:
        """The response."""
        return self.page.locator(".output")

    def send(self, *, dry: bool = False) -> Locator:
        """Press the button, and that of the notice; return the response."""
        buttons = self.page.locator("main .card > .buttons").first
        if dry:
            buttons.get_by_role("button", name="Dry run").click()
        else:
            buttons.get_by_role("button").filter(has_not_text="Dry run").first.click()
            dialog = self.page.locator("dialog")
            if not self.reads:
                dialog.locator("button.primary, button.danger").last.click()
        expect(self.output.locator(".result-head")).to_be_visible(timeout=90_000)
        return self.output

    @property
    def reads(self) -> bool:
        """Whether the operation only reads."""
        return self.page.locator(".title .badge").inner_text() == "Reads"

    def violations(self, frame: Any = None) -> List[Dict[str, Any]]:
        """Return the violations that axe-core reports."""
        where = frame or self.page
        where.evaluate(self.axe)
        found = where.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            {
                "rule": violation["id"],
                "nodes": [node["html"][:200] + node["failureSummary"] for node in violation["nodes"][:4]],
            }
            for violation in found["violations"]
        ]
