"""The row that every call which changes something leaves in Airflow's ``log`` table."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Mapping

from marshmallow import Schema

from native_api.adapters.compat import airflow
from native_api.registry import Context, Operation

#: How long a row's text may be; MySQL's column holds 64 KiB.
EXTRA_BYTES = 8192
#: What an argument's name takes of it, and what says that its value was cut.
_NAME_BYTES = 96
_OWNER_LENGTH = 500


def record(context: Context, operation: Operation, arguments: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Add the row to the operation's own session, so that both are written or neither."""
    told = {**context.arguments, **({"disclosed": context.disclosed} if context.disclosed else {})}
    facts = {**arguments, **{name: result[name] for name in ("run_id", "logical_date") if result.get(name)}}
    airflow().add_log_row(
        context.session,
        event=f"native_api.{operation.name}",
        owner=context.caller.name[:_OWNER_LENGTH],
        extra=bounded(told),
        dag_id=facts.get("dag_id"),
        task_id=facts.get("task_id"),
        map_index=facts.get("map_index"),
        run_id=facts.get("run_id"),
        logical_date=_moment(facts.get("logical_date")),
    )


def bounded(facts: Mapping[str, Any], size: int = EXTRA_BYTES) -> str:
    """Return *facts* as a JSON object of at most *size* bytes; where they are more, the largest values are cut."""
    text = json.dumps(facts, default=str)
    if len(text) <= size:
        return text
    room = size // len(facts) - _NAME_BYTES
    return json.dumps({name: _cut(value, room) for name, value in facts.items()}, default=str)


def _cut(value: Any, size: int) -> Any:
    """Return a value whose JSON is longer than *size* as the beginning of its text; what is no text as its JSON."""
    whole = json.dumps(value, default=str)
    if len(whole) <= size:
        return value
    text = value if isinstance(value, str) else whole
    kept = text[:size]
    while len(json.dumps(kept)) > size + 2:
        kept = kept[: len(kept) * size // len(json.dumps(kept))]
    return f"{kept}… ({len(text)} characters)"


def _moment(date: Any) -> Any:
    return datetime.fromisoformat(date) if isinstance(date, str) else date


def hides(name: str, schema_field: Any) -> bool:
    """Return whether the argument may hold what is masked."""
    metadata = schema_field.metadata
    return "named_by" in metadata or "masked" in metadata or airflow().is_sensitive(name)


def masked(request: Schema, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the loaded *arguments*, masked; the schema says which names another, or is masked in its own way."""
    hidden = dict(arguments)
    for name, schema_field in request.fields.items():
        if hidden.get(name) is None:
            continue
        named_by, its_own = schema_field.metadata.get("named_by"), schema_field.metadata.get("masked")
        if its_own:
            hidden[name] = its_own(hidden[name])
        else:
            hidden[name] = airflow().masked(hidden[name], arguments.get(named_by) if named_by else name)
    return hidden
