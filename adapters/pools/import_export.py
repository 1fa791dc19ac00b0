"""Import and export of pools."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from marshmallow import Schema, ValidationError, fields

from native_api.adapters import server_files
from native_api.adapters.compat import airflow
from native_api.adapters.fields.common import Nothing
from native_api.adapters.fields.import_files import (
    Entries,
    EntriesField,
    Entry,
    Import,
    Imported,
    import_entries,
    read_content,
    read_each,
    refuse_mask,
    unwrapped,
)
from native_api.adapters.fields.versions import limited
from native_api.adapters.pools.operations import SetPool, stored_pools, update_pool
from native_api.effects import Effect
from native_api.errors import PoolsExist
from native_api.errors.groups import OF_A_SERVER_FILE
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation


class ImportPools(Import):
    """The pools to import, and the action on conflict."""

    entries = "pools"

    pools = EntriesField(
        lambda content: entries_of(content),
        'An object with {"slots": …, "description": …, "include_deferred": …} for each name, as `airflow pools '
        "export` writes it; as JSON, as its text, or as an uploaded file.",
    )


class ImportedPools(Imported):
    """The result of an import, by name."""


class ExportedPool(Schema):
    """A pool, in the format of import_pools."""

    slots = fields.Integer(required=True, metadata={"description": "Number of slots; -1 for infinite."})
    description = fields.String(required=True, allow_none=True)
    include_deferred = fields.Boolean(required=True)
    team_name = fields.String(metadata=limited("The team of the pool, if any.", since=(3, 2)))


class ExportedPools(Schema):
    """All pools, in the format of import_pools."""

    pools = fields.Dict(
        keys=fields.String(), values=fields.Nested(ExportedPool), required=True, metadata={"description": "By name."}
    )


def _import_command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    # The command overwrites.
    if arguments["on_conflict"] != "overwrite" or "file" not in arguments:
        return None
    return ["pools", "import", server_files.path_of(arguments["file"])]


@operation(
    request=ImportPools,
    result=ImportedPools,
    access=Access(Resource.POOL, "POST"),
    effect=Effect.WRITE,
    tag="Pools",
    errors=(*OF_A_SERVER_FILE, PoolsExist),
    creates=True,
    command=_import_command,
    example={"pools": {"heavy": {"slots": 2, "description": "for what needs memory", "include_deferred": False}}},
)
def import_pools(
    context: Context, on_conflict: str, pools: Optional[Entries] = None, file: Optional[str] = None
) -> Dict[str, object]:
    """
    Import pools: all of them, or none if one cannot be set.

    If an entry omits the description or include_deferred, the present value is retained. Overwriting a pool requires
    the permission to edit it. An entry cannot change the team of a pool.
    """
    present = stored_pools(context.session)

    def store(entries: Entries) -> None:
        _require_same_teams(entries, present)
        for name, entry in entries.items():
            changes = {field: value for field, value in entry.items() if field != "team_name"}
            update_pool(context.session, present.get(name), **changes)

    return import_entries(
        context,
        pools,
        file,
        entries_of,
        resource=Resource.POOL,
        present=present,
        on_conflict=on_conflict,
        exist=PoolsExist,
        store=store,
    )


def _require_same_teams(entries: Entries, present: Mapping[str, Any]) -> None:
    wrong = {
        name: ["Differs from the team of the pool; use Airflow's own commands to assign a pool to a team."]
        for name, entry in entries.items()
        if entry.get("team_name") not in (None, airflow().team_name(present[name]) if name in present else None)
    }
    if wrong:
        raise ValidationError(wrong)


@operation(
    request=Nothing,
    result=ExportedPools,
    access=Access(Resource.POOL, "GET"),
    effect=Effect.READ,
    tag="Pools",
    command=lambda arguments: ["pools", "export", "/dev/stdout"],
)
def export_pools(context: Context) -> Dict[str, object]:
    """Export all pools that the caller can read, in the format of import_pools."""
    names = context.caller.names(Resource.POOL)
    rows = stored_pools(context.session)
    return {"pools": {name: _exported(rows[name]) for name in sorted(rows) if names is None or name in names}}


def entries_of(content: object) -> Entries:
    """
    Return the pools of an import by name.

    :raises ValidationError: entries are invalid; keyed by their names.
    """
    return read_each(unwrapped(read_content(content), "pools"), _entry)


def _entry(name: Any, said: object) -> Entry:
    if not isinstance(said, dict):
        raise ValidationError("Must be an object with slots.")
    if "name" in said:
        raise ValidationError({"name": ["Unknown field."]})
    refuse_mask(said)
    loaded = {**SetPool().load({"name": name, **{field: said[field] for field in said if field != "team_name"}})}
    team = said.get("team_name")
    if not isinstance(team, (str, type(None))):
        raise ValidationError({"team_name": ["Must be a text."]})
    return {**loaded, "team_name": team}


def _exported(row: Any) -> Dict[str, object]:
    team = airflow().team_name(row)
    return {
        "slots": row.slots,
        "description": row.description,
        "include_deferred": bool(row.include_deferred),
        **({"team_name": team} if team else {}),
    }
