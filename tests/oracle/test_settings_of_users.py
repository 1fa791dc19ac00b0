"""variables, connections, pools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

import pytest

import native_api
from native_api import errors
from tests.oracle import filler
from tests.oracle.cli import Failure, listed, printed
from tests.oracle.differences import compared
from tests.support.versions import by_default_on


@by_default_on("2.10", "3.1", "3.2", "3.3", "3.4")
def test_variables_list_equals_list_variables(filled: Any) -> None:
    with compared("variables list") as comparison:
        ours = native_api.call("list_variables", limit=1000, order_by="id")["variables"]
        theirs = sorted(row["key"] for row in listed("variables", "list"))
        comparison.same("keys", theirs, sorted(row["key"] for row in ours))


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@by_default_on("2.10", "3.2", "3.3", "3.4")
def test_variables_get_equals_get_variable(filled: Any, as_json: bool) -> None:
    """For every variable, and for a missing one with and without a default."""
    with compared("variables get --json" if as_json else "variables get") as comparison:
        for key in (*filler.VARIABLES, "nope"):
            for default in ({}, {"default": "7"}):
                words = [*(["--json"] if as_json else []), *(["--default", "7"] if default else [])]
                theirs = printed("variables", "get", *words, key)
                try:
                    ours: Any = f"{native_api.call('get_variable', key=key, json=as_json, **default)['value']}\n"
                except (errors.Invalid, errors.VariableNotFound) as exc:
                    ours = type(exc).__name__
                if isinstance(theirs, Failure):
                    theirs = "VariableNotFound" if "does not exist" in theirs.words else "Invalid"
                comparison.same("NaN" if key == "not_a_number" and as_json else "the value", theirs, ours, key)


@by_default_on("2.7", "2.10", "3.2", "3.3", "3.4")
def test_variables_export_equals_export_variables(filled: Any, tmp_path: Path) -> None:
    from airflow.cli.cli_parser import get_parser

    file = tmp_path / "variables.json"
    # From 2.8 on the command asks whether the file is the standard output, which must be a real one.
    arguments = get_parser().parse_args(["variables", "export", str(file)])
    arguments.func(arguments)
    theirs, ours = json.loads(file.read_text()), native_api.call("export_variables")["variables"]
    kinds = {"plain": "a description", "not_a_number": "NaN", "quoted": "a JSON text", "object": "its spelling"}
    with compared("variables export") as comparison:
        for key in sorted(set(theirs) | set(ours)):
            pair = [json.dumps(said.get(key, "is missing"), sort_keys=True) for said in (theirs, ours)]
            comparison.same(kinds.get(key, "the value"), *pair, key)


FIELDS = ("conn_id", "conn_type", "description", "host", "schema", "login", "password", "port")


@by_default_on("2.10", "3.1", "3.2", "3.3", "3.4")
def test_connections_list_equals_list_connections(filled: Any) -> None:
    ours = {row["conn_id"]: row for row in native_api.call("list_connections", limit=1000)["connections"]}
    words = ["--show-values"] if filled.version() >= (3, 2) else []
    theirs = {row["conn_id"]: row for row in listed("connections", "list", *words)}
    with compared("connections list") as comparison:
        comparison.same("ids", sorted(theirs), sorted(ours))
        for conn_id, row in theirs.items():
            _same_connection(comparison, row, ours[conn_id])


@by_default_on("2.10", "3.0", "3.3", "3.4")
def test_connections_get_equals_get_connection(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Airflow 3 sets it in the command and leaves it so.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    with compared("connections get") as comparison:
        for connection in filler.CONNECTIONS:
            conn_id = connection["conn_id"]
            (theirs,) = listed("connections", "get", conn_id)
            _same_connection(comparison, theirs, native_api.call("get_connection", conn_id=conn_id))
        comparison.same(
            "not found", printed("connections", "get", "nope"), Failure("SystemExit: Connection not found.")
        )
        with pytest.raises(errors.ConnectionNotFound):
            native_api.call("get_connection", conn_id="nope")


def _same_connection(comparison: Any, theirs: Dict[str, Any], ours: Dict[str, Any]) -> None:
    conn_id = ours["conn_id"]
    for name in FIELDS:
        shown = None if ours[name] is None else str(ours[name])
        what = "a password" if name == "password" and theirs[name] else name
        # The command prints no number and no truth value, but their texts.
        comparison.same(what, theirs[name], shown, conn_id)
    comparison.same("is_encrypted", theirs["is_encrypted"], str(ours["is_encrypted"]), conn_id)
    comparison.same("is_extra_encrypted", theirs["is_extra_encrypted"], str(ours["is_extra_encrypted"]), conn_id)
    what = "a secret in an extra" if conn_id == "with_secrets" else "extra"
    comparison.same(what, theirs["extra_dejson"], _texts(json.loads(ours["extra"] or "{}")), conn_id)


def _texts(value: Any) -> Any:
    """Return *value* as the command prints it, with each leaf as text."""
    if isinstance(value, dict):
        return {name: _texts(inner) for name, inner in value.items()}
    return str(value)


@by_default_on("2.10", "3.2", "3.3", "3.4")
def test_pools_list_and_get_equal_list_pools_and_get_pool(filled: Any) -> None:
    """For every pool, and for a missing one."""
    ours = {pool["name"]: pool for pool in native_api.call("list_pools", limit=1000)["pools"]}
    with compared("pools list") as comparison:
        theirs = {row["pool"]: row for row in listed("pools", "list")}
        comparison.same("names", sorted(theirs), sorted(ours))
        for name, row in theirs.items():
            _same_pool(comparison, row, ours[name])
    with compared("pools get") as comparison:
        for name in ours:
            (row,) = listed("pools", "get", name)
            _same_pool(comparison, row, native_api.call("get_pool", name=name))
        comparison.same("not found", listed("pools", "get", "nope"), Failure("SystemExit: Pool nope does not exist"))
        with pytest.raises(errors.PoolNotFound):
            native_api.call("get_pool", name="nope")


def _same_pool(comparison: Any, theirs: Dict[str, Any], ours: Dict[str, Any]) -> None:
    for name in ("slots", "description", "include_deferred"):
        comparison.same(name, theirs[name], str(ours[name]), ours["name"])


def _exported_by_the_command(noun: str, file: Path) -> Any:
    """Return what ``airflow <noun> export`` writes to a file."""
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args([noun, "export", str(file)])
    arguments.func(arguments)
    return json.loads(file.read_text())


@by_default_on("2.7", "2.9", "2.10", "3.3", "3.4")
def test_connections_export_equals_export_connections(filled: Any, tmp_path: Path) -> None:
    theirs = _exported_by_the_command("connections", tmp_path / "c.json")
    with compared("connections export") as comparison:
        comparison.same("the file", theirs, native_api.call("export_connections")["connections"])


@by_default_on("2.7", "2.10", "3.3", "3.4")
def test_pools_export_equals_export_pools(filled: Any, tmp_path: Path) -> None:
    theirs = _exported_by_the_command("pools", tmp_path / "p.json")
    with compared("pools export") as comparison:
        comparison.same("the file", theirs, native_api.call("export_pools")["pools"])


@pytest.mark.parametrize("noun", ["connections", "pools"])
@by_default_on("2.10", "3.3", "3.4")
def test_both_imports_of_an_export_write_the_same_rows(before: filler.Snapshot, tmp_path: Path, noun: str) -> None:
    """Of the command's export, into an Airflow that lacks one entry and has another value of one."""
    file = tmp_path / "f.json"
    exported = _exported_by_the_command(noun, file)
    (first, *_), second = [name for name in exported if name != "default_pool"], list(exported)[-1]
    one = noun[:-1]
    native_api.call(f"delete_{one}", **{"conn_id" if one == "connection" else "name": first})
    other = {"conn_type": "http"} if one == "connection" else {"slots": 7}
    native_api.call(f"import_{noun}", **{noun: {second: other}})
    changed = filler.Snapshot()
    flags = ["--overwrite"] if one == "connection" else []
    theirs = printed(noun, "import", *flags, str(file))
    assert not isinstance(theirs, Failure), theirs
    theirs_after = filler.Snapshot().rows()
    changed.put_back()
    native_api.call(f"import_{noun}", **{noun: exported})
    with compared(f"{noun} import") as comparison:
        comparison.rows(filler.unlike(_decrypted(theirs_after), _decrypted(filler.Snapshot().rows())))


def _decrypted(tables: Dict[str, Any]) -> Dict[str, Any]:
    """Return the tables with decrypted values, since each encryption has another text."""
    from airflow.models.crypto import get_fernet

    for row in tables["connection"]:
        for name in ("password", "extra"):
            if row[name] and row[f"is_{'extra_' if name == 'extra' else ''}encrypted"]:
                row[name] = get_fernet().decrypt(row[name].encode()).decode()
    return tables
