"""The audit log: each call that changes something writes a row to Airflow's ``log`` table."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Mapping

from marshmallow import Schema

from native_api.adapters.compat import airflow
from native_api.registry import Context, Operation

#: The maximum size of the column ``extra``, in bytes; MySQL stores 64 KiB.
EXTRA_BYTES = 8192
#: Bytes of it for the name of an argument and the remark that its value was truncated.
_NAME_BYTES = 96
_OWNER_LENGTH = 500


def record(
    context: Context, operation: Operation, arguments: Mapping[str, object], result: Mapping[str, object]
) -> None:
    """
    Write the row in the session of the operation, so that both are committed or neither.

    :param arguments: the loaded arguments, from which the columns dag_id, task_id, map_index, run_id and logical_date
        are set. The column ``extra`` has the masked arguments of the context.
    :param result: the result, which can name a run that the operation has created; empty before the operation runs.
    """
    extra = {**context.arguments, **({"disclosed": context.disclosed} if context.disclosed else {})}
    facts = {**arguments, **{name: result[name] for name in ("run_id", "logical_date") if result.get(name)}}
    airflow().add_log_row(
        context.session,
        event=f"native_api.{operation.name}",
        owner=context.caller.name[:_OWNER_LENGTH],
        extra=bounded(extra),
        dag_id=facts.get("dag_id"),
        task_id=facts.get("task_id"),
        map_index=facts.get("map_index"),
        run_id=facts.get("run_id"),
        logical_date=_parsed_date(facts.get("logical_date")),
    )


def bounded(facts: Mapping[str, object], size: int = EXTRA_BYTES) -> str:
    """Return a JSON object of at most *size* bytes; if it is larger, its largest values are truncated."""
    text = json.dumps(facts, default=str)
    if len(text) <= size:
        return text
    room = size // len(facts) - _NAME_BYTES
    return json.dumps({name: _cut(value, room) for name, value in facts.items()}, default=str)


def _cut(value: object, size: int) -> Any:
    """Return a value, or the beginning of its text, or else of its JSON, if its JSON is longer than *size*."""
    whole = json.dumps(value, default=str)
    if len(whole) <= size:
        return value
    text = value if isinstance(value, str) else whole
    kept = text[:size]
    while len(json.dumps(kept)) > size + 2:
        kept = kept[: len(kept) * size // len(json.dumps(kept))]
    return f"{kept}… ({len(text)} characters)"


def _parsed_date(date: Any) -> Any:
    return datetime.fromisoformat(date) if isinstance(date, str) else date


def hides(name: str, schema_field: Any) -> bool:
    """Return whether the audit log masks an argument, at least for some values."""
    metadata = schema_field.metadata
    return "named_by" in metadata or "masked" in metadata or airflow().is_sensitive(name)


def masked(request: Schema, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """
    Return loaded arguments with secrets masked.

    An argument is masked by its name, as Airflow masks by the names of variables and fields. In the metadata of the
    schema's field, ``named_by`` is another argument that has the name, and ``masked`` a function that masks the value.
    """
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
