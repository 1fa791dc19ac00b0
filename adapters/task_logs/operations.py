"""Task logs, read by Airflow's own log handlers: completely, in parts, or the log tail."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from sqlalchemy import select

from native_api.adapters.compat import airflow, text_of
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import LARGEST, DateTime, Whole
from native_api.adapters.fields.texts import Text
from native_api.adapters.fields.versions import limited
from native_api.adapters.lookup import missing_instance, named_instance, of_key
from native_api.adapters.task_instances.operations import OneTaskInstance
from native_api.adapters.task_logs.lines import LOG_BYTES, head, line_of, tail
from native_api.effects import Effect
from native_api.errors import Invalid, NotSupported, TaskInstanceNotFound, TryNotFound
from native_api.errors.groups import OF_A_TASK
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy.orm import Session

    from native_api.adapters.compat.objects import InstanceKey


class AskedLog(OneTaskInstance):
    """The log to return, and the part of it."""

    try_number = Whole(
        validate=validate.Range(min=1, max=LARGEST),
        metadata={"description": "The try number. By default, that of the latest try."},
    )
    tail_lines = Whole(
        validate=validate.Range(min=1, max=LARGEST), metadata={"description": "Return only this number of last lines."}
    )
    tail_bytes = Whole(
        validate=validate.Range(min=1, max=LARGEST),
        metadata={"description": "Return only the last lines that fit into this number of bytes."},
    )
    continuation_token = Text(
        texts.TOKEN,
        metadata={"description": "The continuation_token of an earlier response, to continue after it."},
    )

    @validates_schema
    def _one_part(self, data: Mapping[str, object], **kwargs: object) -> None:
        given = [name for name in ("tail_lines", "tail_bytes", "continuation_token") if name in data]
        if len(given) > 1:
            raise ValidationError(
                f"Cannot be combined with {given[0]}, which selects another part of the log.", given[-1]
            )


class Line(Schema):
    """A line of a log."""

    timestamp = DateTime(
        allow_none=True, metadata={"description": "The timestamp; null if the line does not begin with one."}
    )
    level = fields.String(
        allow_none=True, metadata={"description": "The level, for example info; null if the line has none."}
    )
    logger = fields.String(allow_none=True, metadata=limited("The name of the logger.", since=(3, 0)))
    event = fields.String(required=True, metadata={"description": "The message."})
    context = fields.Dict(
        required=True, metadata={"description": "Further fields of the line: filename, lineno, error_detail, …"}
    )


class TaskLog(Schema):
    """The log of one try of a task instance, or a part of it."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    task_id = fields.String(required=True)
    map_index = fields.Integer(required=True)
    try_number = fields.Integer(
        required=True, metadata={"description": "The try number; 0 if the task has not run yet."}
    )
    latest_try_number = fields.Integer(required=True)
    state = fields.String(allow_none=True, metadata={"description": "The current state of the task instance."})
    content = fields.String(required=True, metadata={"description": "The log as text."})
    lines = fields.List(fields.Nested(Line), required=True, metadata={"description": "The parsed lines of the log."})
    sources = fields.List(
        fields.String(), required=True, metadata={"description": "The source of the log, in Airflow's words."}
    )
    truncated = fields.Boolean(
        required=True,
        metadata={"description": f"Whether the response was truncated to its maximum of {LOG_BYTES} bytes."},
    )
    end_of_log = fields.Boolean(required=True, metadata={"description": "Whether the end of the log is reached."})
    continuation_token = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Send it to continue from here; null at the end of the log."},
    )


@dataclass(frozen=True)
class Place:
    """A position in the log of a try: the metadata of the log handler, and the number of lines to skip."""

    try_number: int
    metadata: Mapping[str, object]
    lines: int


@operation(
    request=AskedLog,
    result=TaskLog,
    access=Access(Resource.TASK_LOG, "GET"),
    effect=Effect.READ,
    tag="Task Logs",
    errors=(*OF_A_TASK, TaskInstanceNotFound, TryNotFound, NotSupported),
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00", "task_id": "extract"},
)
def task_log(
    context: Context,
    try_number: Optional[int] = None,
    continuation_token: Optional[str] = None,
    tail_lines: int = LARGEST,
    tail_bytes: int = LARGEST,
    **instance: Any,
) -> Dict[str, object]:
    """
    Return the log of a task instance from wherever Airflow is configured to store it.

    A response has a maximum of 1 MiB of text. If ``end_of_log`` is false, send ``continuation_token`` to continue. A
    task that has not run yet has the try number 0 and an empty log. After the end of a try, the last lines of a large
    file are read from its end.
    """
    session = context.session
    _, key = named_instance(context, **instance)
    row, latest = _instance(session, key)
    place = _place(continuation_token, key, try_number) or Place(latest if try_number is None else try_number, {}, 0)
    if place.try_number > latest:
        raise TryNotFound(**key, try_number=place.try_number, latest_try_number=latest)
    state = text_of(row.state)
    content, next_place = _read(session, row, place, latest, tail_lines, tail_bytes)
    return {
        **key,
        "try_number": place.try_number,
        "latest_try_number": latest,
        "state": state,
        **content,
        "continuation_token": None if content["end_of_log"] else _token(key, next_place),
    }


def _instance(session: Session, key: InstanceKey) -> Tuple[Any, int]:
    """Return a task instance and its latest try number."""
    from airflow.models.taskinstance import TaskInstance

    # Up to 2.9 the attribute try_number is a property that gives the next try's number; the column is the latest's.
    statement = select(TaskInstance, TaskInstance.__table__.c.try_number).options(*airflow().logs.relations())
    row = session.execute(statement.where(*of_key(TaskInstance, key))).unique().first()
    if row is None:
        raise missing_instance(session, **key)
    return row[0], airflow().logs.latest_try(row[0], row[1] or 0)


def _read(
    session: Session,
    instance: TaskInstance,
    place: Place,
    latest: int,
    tail_lines: int,
    tail_bytes: int,
) -> Tuple[Dict[str, Any], Place]:
    """Return the requested part of the log, and the position after it."""
    from airflow.utils.state import State

    if place.try_number == 0:
        nothing = {"content": "", "lines": [], "sources": [], "truncated": False}
        return {**nothing, "end_of_log": instance.state in State.finished}, place
    logs = airflow().logs
    goes_on = place.try_number == latest and instance.state in logs.open_states()
    if place.try_number < latest:
        instance = logs.as_it_was(instance, place.try_number, session)
    of_the_end = min(tail_lines, tail_bytes) < LARGEST
    # While the task runs, the token needs a position from the beginning of the log.
    part = logs.read(instance, place.try_number, place.metadata, session, end_only=of_the_end and not goes_on)
    following = map(line_of, islice(part.lines, place.lines, None))
    if not of_the_end:
        lines, truncated = head(following)
        count, left = len(lines), truncated
    else:
        lines, truncated, count = tail(following, tail_lines, tail_bytes)
        truncated = truncated or (part.is_cut and len(lines) == count and tail_bytes > LOG_BYTES)
        left = False
    content = {
        "content": "".join(f"{line.text}\n" for line in lines),
        "lines": lines,
        "sources": part.sources,
        "truncated": truncated,
        "end_of_log": bool(part.metadata.get("end_of_log", True)) and not goes_on and not left,
    }
    if left or part.is_whole:
        return content, Place(place.try_number, place.metadata, place.lines + count)
    return content, Place(place.try_number, part.metadata, 0)


def end_of_log(session: Session, key: InstanceKey, size: int) -> Tuple[str, bool]:
    """Return the log tail of the latest try, at most *size* bytes, and whether there is more."""
    row, latest = _instance(session, key)
    content, _ = _read(session, row, Place(latest, {}, 0), latest, LARGEST, size)
    return content["content"], content["truncated"]


def _token(key: InstanceKey, place: Place) -> str:
    token = _serializer().dumps([list(key.values()), *astuple(place)])
    return token if isinstance(token, str) else token.decode("ascii")


def _place(token: Optional[str], key: InstanceKey, try_number: Optional[int]) -> Optional[Place]:
    """
    Return the position of a token, None if there is no token or the task had not run.

    :raises Invalid: the token is invalid, or for another log.
    """
    from itsdangerous import BadData

    if token is None:
        return None
    try:
        names, *place = _serializer().loads(token)
    except BadData as exc:
        raise Invalid({"continuation_token": ["Is not a continuation_token of this operation."]}) from exc
    found = Place(*place)
    if names != list(key.values()) or (try_number is not None and found.try_number not in (0, try_number)):
        raise Invalid({"continuation_token": ["Is the continuation_token of another log."]})
    return found if found.try_number else None


def _serializer() -> Any:
    from itsdangerous import URLSafeSerializer

    return URLSafeSerializer(airflow().logs.signing_key(), salt="native_api.task_log")
