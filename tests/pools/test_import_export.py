"""import_pools and export_pools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

import native_api
from native_api import errors, registry
from tests.support.airflow_under_test import audit_rows
from tests.support.auth_managers import USER
from tests.support.problems import assert_problem
from tests.support.uploads import send

HEAVY = {"slots": 2, "description": "Größe", "include_deferred": True}
ENDLESS = {"slots": -1, "description": None, "include_deferred": False}
DEFAULT = {"slots": 128, "description": "Default pool", "include_deferred": False}


def bring(pools: Any, **said: Any) -> Any:
    return native_api.call("import_pools", pools=pools, **said)


def export() -> Dict[str, Any]:
    exported: Dict[str, Any] = native_api.call("export_pools")["pools"]
    return exported


class TestRoundTrip:
    @pytest.fixture(autouse=True)
    def some(self, web: Any) -> None:
        bring({"heavy": HEAVY, "endless": ENDLESS})

    def test_an_export_has_the_format_of_airflow(self) -> None:
        assert export() == {"default_pool": DEFAULT, "endless": ENDLESS, "heavy": HEAVY}

    @pytest.mark.parametrize("wrapped", [True, False], ids=["the response", "the file of the command line"])
    @pytest.mark.parametrize("way", ["json", "form", "upload", "file"])
    def test_an_import_restores_an_export(self, web: Any, folder: Path, way: str, wrapped: bool) -> None:
        """However it is sent, with the field that wraps it or without."""
        exported = web.typed("export_pools").json
        for name in ("heavy", "endless"):
            native_api.call("delete_pool", name=name)
        response = send(web, folder, "pools", way, exported if wrapped else exported["pools"])
        assert response.status == 201, response.text
        assert (response.json["created"], response.json["updated"]) == (["endless", "heavy"], ["default_pool"])
        assert export() == exported["pools"]

    def test_omitted_fields_are_unchanged(self) -> None:
        assert bring({"heavy": {"slots": 3}})["updated"] == ["heavy"]
        assert export()["heavy"] == {**HEAVY, "slots": 3}

    def test_on_conflict_can_skip_or_fail(self, web: Any) -> None:
        wanted = {"heavy": ENDLESS, "new": ENDLESS}
        response = web.typed("import_pools", pools=wanted, on_conflict="fail")
        assert_problem(response, 409)
        assert response.json["keys"] == ["heavy"]
        assert "new" not in export()
        done = bring(wanted, on_conflict="skip")
        assert (done["created"], done["skipped"], export()["heavy"]) == (["new"], ["heavy"], HEAVY)

    def test_the_number_of_queries_is_fixed(self) -> None:
        from tests.support.queries import statements

        bring({f"p{number}": HEAVY for number in range(20)})
        with statements() as seen:
            assert len(export()) == 23
        assert len(seen) == 1


def test_a_pool_with_the_name_pools_can_be_imported(fresh: Any) -> None:
    """It is not taken for an export."""
    bring({"pools": {"slots": 1}})
    assert export()["pools"]["slots"] == 1


@pytest.mark.parametrize(
    "pools, wrong",
    [
        ({"": HEAVY}, ""),
        ({"x" * 257: HEAVY}, "x" * 257),
        ({"p": {}}, "p"),
        ({"p": 3}, "p"),
        ({"p": {**HEAVY, "slots": -2}}, "p"),
        ({"p": {**HEAVY, "slots": 1.5}}, "p"),
        ({"p": {**HEAVY, "description": "***"}}, "p"),
        ({"p": {**HEAVY, "name": "q"}}, "p"),
        ({"p": {**HEAVY, "no_such_field": 1}}, "p"),
        ({"p": {**HEAVY, "team_name": 1}}, "p"),
        ({"p": {**HEAVY, "team_name": "green"}}, "p"),
    ],
)
def test_one_invalid_pool_refuses_the_import(fresh: Any, pools: Any, wrong: str) -> None:
    """The error names it."""
    with pytest.raises(errors.Invalid) as caught:
        bring({"good": HEAVY, **pools})
    assert list(caught.value.errors["pools"]) == [wrong]
    assert export() == {"default_pool": DEFAULT}


def test_overwriting_requires_permission_to_edit(web: Any, mocker: Any) -> None:
    mocker.patch(
        f"{USER}.may",
        lambda self, access, identifier=None: access.method == "POST",
    )
    assert web.typed("import_pools", login="user", pools={"new": HEAVY}).status == 201
    response = web.typed("import_pools", login="user", pools={"newer": HEAVY, "new": ENDLESS})
    assert_problem(response, 403)
    assert response.json["permission"] == "edit the pool 'new'"
    assert export() == {"default_pool": DEFAULT, "new": HEAVY}


def test_the_audit_log_has_the_names(web: Any) -> None:
    web.typed("import_pools", login="admin", pools={"heavy": HEAVY})
    (row,) = audit_rows()
    assert json.loads(row.extra)["pools"] == ["heavy"]


@pytest.mark.parametrize("on_conflict", ["overwrite", "skip", "fail"])
def test_the_command_exists_for_overwrite_only(folder: Path, on_conflict: str) -> None:
    """Airflow's command always overwrites."""
    operation = registry.get("import_pools")
    words = operation.command(operation.request.load({"file": "p.json", "on_conflict": on_conflict}))
    assert words == (["pools", "import", f"{folder}/p.json"] if on_conflict == "overwrite" else None)
