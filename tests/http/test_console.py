"""The console: who can open the page, its headers, and the operations that it offers."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any, Dict
from urllib.parse import parse_qs, urlsplit

import pytest

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
STATIC = Path(__file__).resolve().parents[2] / "native_api/http/console/static"
PAGES = ["/native_api/", "/admin/rest_api/", "/native_api/docs"]
#: What is loaded before the list of operations is shown.
FIRST_PAINT_BYTES = 100_000

#: What other pages load; the first is RapiDoc, as its authors publish it.
OF_OTHER_PAGES = ("rapidoc-min.js", "docs.js", "login.js")


def offers(web: Any, login: str) -> Any:
    response = web.request("GET", "/native_api/console.json", login=login)
    assert response.status == 200, response.text
    return response.json


def assets(page: str) -> Any:
    return re.findall(r'(?:src|href)="(/[^"]+/static/[^"]+)"', page)


class TestThePage:
    @pytest.mark.parametrize("path", PAGES)
    def test_requires_authentication(self, web: Any, path: str) -> None:
        response = web.request("GET", path, login="viewer", headers=BROWSER)
        assert response.status == 200 and header(response, "Content-Type") == "text/html; charset=utf-8"
        assert re.search("<title>.*Native API</title>", response.text)

    @pytest.mark.parametrize("path", PAGES)
    def test_redirects_browsers_to_the_login_page_and_back(self, web: Any, airflow: Any, path: str) -> None:
        response = web.request("GET", path, login=None, headers=BROWSER)
        if (3, 0) <= airflow.version() < (3, 1):
            # Its pages have the session in their storage, where only the page itself can look.
            assert response.status == 200 and 'content="storage"' in response.text
            return
        assert response.status == 200 and header(response, "Cache-Control") == "no-store"
        (link,) = re.findall(r'id="login" href="([^"]+)"', response.text)
        location = urlsplit(unescape(link))
        assert "login" in location.path and parse_qs(location.query)["next"] == [path]
        assert any(path.endswith("/login.js") for path in assets(response.text))

    @pytest.mark.parametrize("path", PAGES)
    def test_returns_401_to_other_clients(self, web: Any, path: str) -> None:
        response = web.request("GET", path, login=None)
        assert response.status == 401 and response.json["code"] == "unauthorized"

    def test_allows_get_only(self, web: Any) -> None:
        response = web.request("POST", "/native_api/", json={})
        assert response.status == 405 and header(response, "Allow") == "GET"

    def test_loads_its_own_assets_only(self, web: Any) -> None:
        response = web.request("GET", "/native_api/", login="admin", headers=BROWSER)
        policy = dict(part.split(" ", 1) for part in header(response, "Content-Security-Policy").split("; "))
        assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'self'"
        assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script>|<script (?!src=|type=\"module\" src=)", response.text)
        assert "://" not in response.text
        assert header(response, "Cache-Control") == "no-store"
        assert header(response, "X-Content-Type-Options") == "nosniff"

    def test_of_the_reference_loads_its_own_assets_only(self, web: Any) -> None:
        """RapiDoc has inline styles, and would load fonts and the document itself."""
        response = web.request("GET", "/native_api/docs", login="admin", headers=BROWSER)
        policy = dict(part.split(" ", 1) for part in header(response, "Content-Security-Policy").split("; "))
        assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
        assert 'load-fonts="false"' in response.text and "spec-url=" not in response.text

    def test_transfers_less_than_100_kb(self, web: Any) -> None:
        page = web.request("GET", "/native_api/", login="admin", headers=BROWSER).text
        modules = [path.read_text() for path in STATIC.glob("*.js") if path.name not in OF_OTHER_PAGES]
        styles = (STATIC / "console.css").read_text()
        listed = web.request("GET", "/native_api/console.json", login="admin").text
        assert sum(len(text.encode()) for text in (page, styles, listed, *modules)) < FIRST_PAINT_BYTES


class TestAssets:
    def test_are_cached_and_need_no_authentication(self, web: Any) -> None:
        page = web.request("GET", "/native_api/", login="admin", headers=BROWSER).text
        found = assets(page)
        assert len(found) >= 4
        for path in found:
            response = web.request("GET", path, login=None)
            assert response.status == 200 and "immutable" in header(response, "Cache-Control")
            assert header(response, "X-Content-Type-Options") == "nosniff"
            assert header(response, "Content-Type").split(";")[0] in ("text/css", "text/javascript", "image/svg+xml")

    def test_of_another_version_are_not_cached(self, web: Any) -> None:
        response = web.request("GET", "/native_api/static/older/console.js", login=None)
        assert response.status == 200 and header(response, "Cache-Control") == "no-store"

    @pytest.mark.parametrize(
        "name",
        [
            "../pages.py",
            "..%2Fpages.py",
            "%2e%2e/pages.py",
            "..%5Cpages.py",
            "console.html",
            "/etc/passwd",
            "%00",
            "x.js",
        ],
    )
    def test_other_files_are_not_found(self, web: Any, name: str) -> None:
        response = web.request("GET", f"/native_api/static/x/{name}", login="viewer")
        assert response.status in (400, 404), response.text
        assert "import" not in response.text

    def test_import_existing_modules_and_nothing_of_another_host(self) -> None:
        for path in STATIC.iterdir():
            if path.name.startswith("rapidoc"):
                continue
            text = path.read_text()
            for name in re.findall(r'from "\./([^"]+)"', text):
                assert (STATIC / name).is_file(), (path.name, name)
            assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}, path.name
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path.name


class TestOffers:
    def test_are_the_operations_that_a_role_can_call(self, web: Any) -> None:
        by_role = {name: {operation["name"] for operation in offers(web, name)["operations"]} for name in ROLES}
        assert by_role["viewer"] < by_role["user"] < by_role["op"] <= by_role["admin"]
        assert "list_dags" in by_role["viewer"] and "trigger_dag" not in by_role["viewer"]
        assert "trigger_dag" in by_role["user"] and "set_variable" not in by_role["user"]

    def test_and_refusals_are_all_operations_with_reasons(self, web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        from native_api import registry

        monkeypatch.setenv("AIRFLOW__NATIVE_API__ALLOW_DEPLOY", "False")
        found = offers(web, "admin")
        refused = {operation["name"]: operation["reason"] for operation in found["refused"]}
        every = {operation["name"] for operation in found["operations"]} | set(refused)
        assert every == {operation.name for operation in registry.every()}
        assert "allow_deploy" in refused["deploy_dag"]

    def test_have_the_secret_arguments_and_the_legacy_names(self, web: Any) -> None:
        operations: Dict[str, Any] = {operation["name"]: operation for operation in offers(web, "admin")["operations"]}
        assert {"password", "extra", "conn_uri"} <= set(operations["add_connection"]["secret"])
        assert "value" in operations["set_variable"]["secret"]
        assert operations["clear_tasks"]["legacy"] == ["clear"] and operations["add_connection"]["legacy"] == [
            "connections"
        ]

    def test_require_authentication(self, web: Any) -> None:
        assert web.request("GET", "/native_api/console.json", login=None).status == 401


ROLES = ("viewer", "user", "op", "admin")


class TestCommand:
    def command(self, web: Any, **body: Any) -> Any:
        response = web.request("POST", "/native_api/console/command", login="viewer", json=body)
        assert response.status == 200, response.text
        return response.json["command"]

    def test_is_equivalent_to_a_call(self, web: Any) -> None:
        command = self.command(web, operation="trigger_dag", arguments={"dag_id": "a b"})
        assert command == "airflow dags trigger 'a b'"

    @pytest.mark.parametrize("operation, arguments", [("trigger_dag", {}), ("health", {}), ("version", {"no": 1})])
    def test_is_null_if_there_is_none(self, web: Any, operation: str, arguments: Dict[str, Any]) -> None:
        assert self.command(web, operation=operation, arguments=arguments) is None

    def test_masks_secrets(self, web: Any) -> None:
        arguments = {"conn_id": "c", "conn_uri": "http://user:hunter2@host"}
        assert "hunter2" not in self.command(web, operation="add_connection", arguments=arguments)

    def test_refuses_an_invalid_request(self, web: Any) -> None:
        for body, status in (
            ({}, 422),
            ({"operation": 1, "arguments": {}}, 422),
            ({"operation": "x", "arguments": {}}, 404),
        ):
            response = web.request("POST", "/native_api/console/command", login="viewer", json=body)
            assert response.status == status, response.text
        assert web.request("POST", "/native_api/console/command", login=None, json={}).status == 401
        assert web.request("GET", "/native_api/console/command", login="viewer").status == 405


def test_every_argument_has_an_input_element() -> None:
    """For each schema in the OpenAPI document."""
    document = json.loads((STATIC.parents[3] / "docs/openapi.json").read_text())
    known = {"string", "boolean", "integer", "number", "object", "array", None}
    for path, methods in document["paths"].items():
        for described in methods.values():
            for parameter in described.get("parameters", ()):
                assert parameter["schema"].get("type") in known, path
            for content in described.get("requestBody", {}).get("content", {}).values():
                reference = content["schema"].get("$ref", "").rpartition("/")[2]
                schema = document["components"]["schemas"].get(reference, content["schema"])
                for field in schema.get("properties", {}).values():
                    assert field.get("type") in known and "$ref" not in field, path


def test_aliases_are_marked_for_the_form() -> None:
    """The form has the argument that they stand for, and links may have either."""
    document = json.loads((STATIC.parents[3] / "docs/openapi.json").read_text())
    aliases = {}
    for name in ("BackfillDag", "ClearTasks", "TriggerDag"):
        for field, schema in document["components"]["schemas"][name]["properties"].items():
            if "x-alias-of" in schema:
                aliases[name, field] = schema["x-alias-of"]
    assert aliases == {
        ("BackfillDag", "end_date"): "to_date",
        ("BackfillDag", "start_date"): "from_date",
        ("ClearTasks", "execution_date"): "logical_date",
        ("TriggerDag", "execution_date"): "logical_date",
    }
    assert '"x-alias-of"' in (STATIC / "spec.js").read_text()


def header(response: Any, name: str) -> str:
    """Return a header of a response, whatever the case of its name."""
    return str({key.lower(): value for key, value in response.headers.items()}[name.lower()])
