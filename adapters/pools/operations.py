"""Pools: set, get, list, delete."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from marshmallow import Schema, fields, validate
from sqlalchemy import func, select

from native_api.adapters.fields import texts
from native_api.adapters.fields.common import LARGEST, Flag, Whole
from native_api.adapters.fields.paging import page_fields, page_of, readable
from native_api.adapters.fields.texts import Text, pattern
from native_api.effects import Effect
from native_api.errors import DefaultPool, PoolNotFound
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NAME_LENGTH = 256

#: The states of task instances that occupy slots of a pool, or wait for one.
COUNTED = ("running", "queued", "scheduled", "deferred")


def _name() -> Text:
    return Text(NAME_LENGTH, shortest=1, required=True, metadata={"description": "The name of the pool."})


class SetPool(Schema):
    """The pool to set."""

    name = _name()
    slots = Whole(
        required=True,
        validate=validate.Range(min=-1, max=LARGEST),
        metadata={"description": "Number of slots; -1 for infinite."},
    )
    description = Text(
        texts.DESCRIPTION,
        allow_none=True,
        metadata={"description": "The description. By default, the present one is retained."},
    )
    include_deferred = Flag(
        metadata={
            "description": "If true, deferred tasks occupy slots. By default, the present value is retained; "
            "false for a new pool."
        }
    )


class OnePool(Schema):
    """Identify a pool."""

    name = _name()


class ListPools(Schema.from_dict(page_fields("name", "slots", "id"))):  # type: ignore[misc]
    """Filters of the list of pools."""

    name_pattern = pattern("Only pools whose name contains this text")


class Pool(Schema):
    """A pool, and the number of its slots in use."""

    name = fields.String(required=True)
    slots = fields.Integer(required=True, metadata={"description": "Number of slots; -1 for infinite."})
    description = fields.String(allow_none=True)
    include_deferred = fields.Boolean(required=True)
    occupied_slots = fields.Integer(
        required=True,
        metadata={
            "description": "Number of slots that running, queued and, with include_deferred, deferred tasks occupy."
        },
    )
    running_slots = fields.Integer(required=True)
    queued_slots = fields.Integer(required=True)
    scheduled_slots = fields.Integer(
        required=True, metadata={"description": "Number of slots that scheduled tasks wait for."}
    )
    deferred_slots = fields.Integer(required=True)
    open_slots = fields.Integer(required=True, metadata={"description": "Number of free slots; -1 for infinite."})


class Pools(Schema):
    """A page of pools."""

    pools = fields.List(fields.Nested(Pool), required=True)
    total_entries = fields.Integer(required=True)


class DeletedPool(OnePool):
    """The deleted pool."""

    slots = fields.Integer(required=True)
    description = fields.String(allow_none=True)


def _set_command(arguments: Mapping[str, Any]) -> List[str]:
    words = ["pools", "set", arguments["name"], str(arguments["slots"]), arguments.get("description") or ""]
    return [*words, "--include-deferred"] if arguments.get("include_deferred") else words


@operation(
    request=SetPool,
    result=Pool,
    access=Access(Resource.POOL, "PUT"),
    effect=Effect.WRITE,
    tag="Pools",
    creates=True,
    command=_set_command,
    example={"name": "narrow", "slots": 2, "description": "for what must not run at once"},
)
def set_pool(context: Context, name: str, slots: int, **changes: object) -> Dict[str, object]:
    """
    Create or update a pool.

    Creating a pool requires the permission to create pools, in addition to that to edit them.
    """
    row = _stored(context.session, name)
    if row is None:
        context.caller.require(Access(Resource.POOL, "POST"), name)
        context.created = True
    row = update_pool(context.session, row, name=name, slots=slots, **changes)
    context.session.flush()
    return _as_response(row, _used_slots(context.session, name))


@operation(
    request=OnePool,
    result=Pool,
    access=Access(Resource.POOL, "GET"),
    effect=Effect.READ,
    tag="Pools",
    errors=(PoolNotFound,),
    command=lambda arguments: ["pools", "get", arguments["name"]],
    example={"name": "narrow"},
)
def get_pool(context: Context, name: str) -> Dict[str, object]:
    """Return a pool and the number of its slots in use."""
    return _as_response(_find(context.session, name), _used_slots(context.session, name))


@operation(
    request=ListPools,
    result=Pools,
    access=Access(Resource.POOL, "GET"),
    effect=Effect.READ,
    tag="Pools",
    command=lambda arguments: ["pools", "list"],
)
def list_pools(context: Context, name_pattern: Optional[str] = None, **arguments: object) -> Dict[str, object]:
    """List the pools and the number of their slots in use."""
    from airflow.models.pool import Pool as AirflowPool

    statement = readable(context, select(AirflowPool), AirflowPool.pool, Resource.POOL, name_pattern)
    columns = {"name": AirflowPool.pool, "slots": AirflowPool.slots, "id": AirflowPool.id}
    rows, total = page_of(context, statement, arguments, columns, AirflowPool.id)
    used = _used_slots(context.session)
    return {"pools": [_as_response(row, used) for row in rows], "total_entries": total}


@operation(
    request=OnePool,
    result=DeletedPool,
    access=Access(Resource.POOL, "DELETE"),
    effect=Effect.WRITE,
    tag="Pools",
    errors=(PoolNotFound, DefaultPool),
    command=lambda arguments: ["pools", "delete", arguments["name"]],
    example={"name": "narrow"},
)
def delete_pool(context: Context, name: str) -> Dict[str, object]:
    """Delete a pool; the default pool cannot be deleted."""
    row = _find(context.session, name)
    if name == row.DEFAULT_POOL_NAME:
        raise DefaultPool(name)
    context.session.delete(row)
    return {"name": name, "slots": row.slots, "description": row.description}


def update_pool(session: Session, row: Any, *, name: str, **changes: object) -> Any:
    """Set the given fields of a pool, of a new one if *row* is None, and return its row."""
    # Airflow's own create_or_update_pool commits before 3.3, and from 3.3 on takes the pool from its team.
    from airflow.models.pool import Pool as AirflowPool

    if row is None:
        row = AirflowPool(pool=name, include_deferred=False)
        session.add(row)
    for field, value in changes.items():
        setattr(row, field, value)
    return row


def stored_pools(session: Any) -> Dict[str, object]:
    """Return all rows by name."""
    from airflow.models.pool import Pool as AirflowPool

    return {row.pool: row for row in session.scalars(select(AirflowPool))}


def require_pool(context: Context, name: str) -> None:
    """
    Raise if the pool does not exist, or the caller cannot read it.

    Call this first: in multi-team mode, Airflow looks up the team of the pool in a session that closes the current one.
    """
    context.caller.require(Access(Resource.POOL, "GET"), name)
    _find(context.session, name)


def _stored(session: Session, name: str) -> Any:
    """Return the pool's row, or None."""
    from airflow.models.pool import Pool as AirflowPool

    return session.scalars(select(AirflowPool).where(AirflowPool.pool == name)).first()


def _find(session: Session, name: str) -> Any:
    """Return the pool's row, or raise :class:`PoolNotFound`."""
    row = _stored(session, name)
    if row is None:
        raise PoolNotFound(name)
    return row


def _used_slots(session: Any, name: Optional[str] = None) -> Mapping[str, Dict[str, int]]:
    """
    Return the slots by pool and state, of one pool or of all, in one query; Airflow's own counts differ by version.
    """
    from airflow.models.taskinstance import TaskInstance

    statement = (
        select(TaskInstance.pool, TaskInstance.state, func.sum(TaskInstance.pool_slots))
        .where(TaskInstance.state.in_(COUNTED))
        .group_by(TaskInstance.pool, TaskInstance.state)
    )
    if name is not None:
        statement = statement.where(TaskInstance.pool == name)
    used: Dict[str, Dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTED, 0))
    for pool, state, slots in session.execute(statement):
        # Some databases give a decimal.
        used[pool][state] = int(slots)
    return used


def _as_response(row: Any, used: Mapping[str, Dict[str, int]]) -> Dict[str, object]:
    """Return a row with the number of its slots in use."""
    slots = used[row.pool]
    occupied = slots["running"] + slots["queued"] + (slots["deferred"] if row.include_deferred else 0)
    return {
        "name": row.pool,
        "slots": row.slots,
        "description": row.description,
        "include_deferred": row.include_deferred,
        "occupied_slots": occupied,
        "open_slots": row.slots - occupied if row.slots >= 0 else -1,
        **{f"{state}_slots": slots[state] for state in COUNTED},
    }
