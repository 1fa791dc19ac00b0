"""An Airflow with a base path."""

from __future__ import annotations

import re

import pytest

from tests.servers.calls import Call, reads_and_writes
from tests.servers.client import Client
from tests.servers.deployment import Server
from tests.support.versions import on, with_fab_on_33

pytestmark = [on("2.11", "3.0", "3.3"), with_fab_on_33]


@reads_and_writes
def test_both_apis_are_below_the_base_path(server_below_base: Server, call: Call) -> None:
    assert server_below_base.base_path == "/base"
    call(server_below_base.user("admin")).result()
    call(server_below_base.anonymous).refusal(401)


def test_the_openapi_document_names_the_base_path(server_below_base: Server) -> None:
    document = server_below_base.user("admin").get("/native_api/openapi.json").result()
    assert document["servers"] == [{"url": "/base/native_api/v1"}]
    path = document["servers"][0]["url"] + "/version"
    assert Client(server_below_base.port, headers=server_below_base.user("admin").headers).get(path).result()


def test_the_console_and_its_assets_are_below_the_base_path(server_below_base: Server) -> None:
    browser = {"Accept": "text/html"}
    page = server_below_base.holder().also(browser).get("/native_api/")
    assets = re.findall(r'"(/base/native_api/static/[^"]+)"', page.text)
    assert page.status == 200 and len(assets) >= 4, page
    assert Client(server_below_base.port).get(assets[0]).status == 200
    anonymous = server_below_base.anonymous.also(browser).get("/native_api/")
    if anonymous.status != 200:
        assert anonymous.headers["Location"].split("?")[0] in ("/base/login/", "/base/auth/login"), anonymous


@pytest.mark.parametrize("path", ["/native_api/v1/nothing", "/native_api/nothing", "/admin/rest_api/nothing"])
def test_an_unknown_url_is_404_in_the_format_of_its_api(server_below_base: Server, path: str) -> None:
    """For all URLs below the prefixes."""
    admin = server_below_base.user("admin")
    response = admin.get(path)
    assert response.status == 404 and response.headers["Content-Type"] in (
        "application/problem+json",
        "application/json",
    )
    anonymous = server_below_base.anonymous.get(path)
    assert anonymous.status == 401 and "Location" not in anonymous.headers


@on("3.0", "3.3")
@reads_and_writes
def test_pages_of_airflow_can_write_with_the_cookie(server_below_base: Server, call: Call) -> None:
    """The origin has no base path."""
    browser = server_below_base.anonymous.also(cookies={"_token": server_below_base.jwt("admin")})
    response = call(browser.also({"Origin": browser.origin}))
    assert response.status == 200 or "POST" in response.refusal(403)
