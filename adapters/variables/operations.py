"""Variables: set, get, list, delete."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from marshmallow import Schema, ValidationError, fields
from sqlalchemy import bindparam, select

from native_api.adapters.compat import airflow
from native_api.adapters.encryption import decrypted, undecryptable
from native_api.adapters.fields import strict_json, texts
from native_api.adapters.fields.common import Flag
from native_api.adapters.fields.paging import page_fields, page_of, readable
from native_api.adapters.fields.texts import Text, pattern
from native_api.effects import Effect
from native_api.errors import Invalid, Refused, VariableNotFound
from native_api.errors.groups import OF_SECRETS
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

KEY_LENGTH = texts.ID


def _key() -> Text:
    return Text(KEY_LENGTH, shortest=1, required=True, metadata={"description": "The key of the variable."})


class Value(fields.Raw):
    """Any JSON value; text is stored verbatim, another value as its JSON."""

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> str:
        if value is None:
            raise ValidationError("Must not be null; use delete_variable to delete a variable.")
        return value if isinstance(value, str) else json.dumps(value, indent=2)


class SetVariable(Schema):
    """The variable to set."""

    key = _key()
    value = Value(
        required=True,
        metadata={
            "description": "The value. Text is stored verbatim, another JSON value as its JSON.",
            "named_by": "key",
        },
    )
    description = Text(
        texts.DESCRIPTION,
        allow_none=True,
        metadata={"description": "The description. By default, the present one is retained."},
    )


class GetVariable(Schema):
    """The variable to return."""

    key = _key()
    json = Flag(load_default=False, metadata={"description": "If true, decode the value as JSON."})
    default = fields.Raw(
        allow_none=True, metadata={"description": "The value to return if the variable does not exist."}
    )


class DeleteVariable(Schema):
    """The variable to delete."""

    key = _key()


class ListVariables(Schema.from_dict(page_fields("key", "id"))):  # type: ignore[misc]
    """Filters of the list of variables."""

    key_pattern = pattern("Only variables whose key contains this text")


class Variable(Schema):
    """A variable."""

    key = fields.String(required=True)
    value = fields.Raw(allow_none=True, metadata={"description": "The value as text or, if json is true, decoded."})
    description = fields.String(allow_none=True)
    is_encrypted = fields.Boolean(allow_none=True)


class Variables(Schema):
    """A page of variables."""

    variables = fields.List(fields.Nested(Variable), required=True)
    total_entries = fields.Integer(required=True)


class DeletedVariable(Schema):
    """The deleted variable."""

    key = fields.String(required=True)


def _set_command(arguments: Mapping[str, Any]) -> List[str]:
    return ["variables", "set", arguments["key"], airflow().masked(arguments["value"], arguments["key"])]


def _get_command(arguments: Mapping[str, Any]) -> List[str]:
    words = ["variables", "get", arguments["key"]]
    if arguments["json"]:
        words.append("--json")
    if "default" in arguments:
        default = arguments["default"]
        words += ["--default", default if isinstance(default, str) else json.dumps(default)]
    return words


@operation(
    request=SetVariable,
    result=Variable,
    access=Access(Resource.VARIABLE, "PUT"),
    effect=Effect.WRITE,
    tag="Variables",
    creates=True,
    command=_set_command,
    example={"key": "greeting", "value": "hello"},
)
def set_variable(context: Context, key: str, value: str, **changes: Any) -> Dict[str, object]:
    """
    Create or update a variable.

    The value is stored verbatim. The response masks it if Airflow treats the key as sensitive. Creating a variable
    requires the permission to create variables, in addition to that to edit them.
    """
    from airflow.models.crypto import get_fernet
    from airflow.models.variable import Variable as AirflowVariable

    present = _stored(context.session, key)
    if present is None:
        context.caller.require(Access(Resource.VARIABLE, "POST"), key)
        context.created = True
    description = changes.get("description", present.description if present else None)
    team = airflow().rights.team_of(present)
    AirflowVariable.set(key, value, description=description, session=context.session, **team)
    return _as_response(key, value, description, get_fernet().is_encrypted)


@operation(
    request=GetVariable,
    result=Variable,
    access=Access(Resource.VARIABLE, "GET"),
    effect=Effect.READ,
    tag="Variables",
    errors=(*OF_SECRETS, VariableNotFound),
    command=_get_command,
    example={"key": "greeting", "default": "hello"},
)
def get_variable(context: Context, key: str, json: bool, **fallback: object) -> Dict[str, object]:
    """
    Return the value of a variable of the metadata database.

    The secrets backends and the environment are searched first if the option read_secrets_backends is true, and always
    in the Python API. If the variable does not exist, the default is returned, or 404 without a default. A sensitive
    value is returned unmasked and requires the permission to edit the variable.
    """
    stored = _stored(context.session, key)
    facts = {"description": stored.description, "is_encrypted": stored.is_encrypted} if stored else {}
    text = _value(context, key, stored)
    if text is None:
        if "default" not in fallback:
            raise VariableNotFound(key)
        return {"key": key, "value": fallback["default"]}
    require_unmasked(context, key, text)
    return {"key": key, "value": _read_json(key, text) if json else text, **facts}


@operation(
    request=ListVariables,
    result=Variables,
    access=Access(Resource.VARIABLE, "GET"),
    effect=Effect.READ,
    tag="Variables",
    command=lambda arguments: ["variables", "list"],
)
def list_variables(context: Context, key_pattern: Optional[str] = None, **arguments: object) -> Dict[str, object]:
    """List the variables of the metadata database, with sensitive values masked."""
    from airflow.models.variable import Variable as AirflowVariable

    statement = readable(
        context, select(AirflowVariable.__table__), AirflowVariable.key, Resource.VARIABLE, key_pattern
    )
    columns = {"key": AirflowVariable.key, "id": AirflowVariable.id}
    rows, total = page_of(context, statement, arguments, columns, AirflowVariable.id)
    listed = [_as_response(row.key, _decrypted(row), row.description, row.is_encrypted) for row in rows]
    return {"variables": listed, "total_entries": total}


@operation(
    request=DeleteVariable,
    result=DeletedVariable,
    access=Access(Resource.VARIABLE, "DELETE"),
    effect=Effect.WRITE,
    tag="Variables",
    errors=(VariableNotFound,),
    command=lambda arguments: ["variables", "delete", arguments["key"]],
    example={"key": "greeting"},
)
def delete_variable(context: Context, key: str) -> Dict[str, object]:
    """Delete a variable from the metadata database."""
    from airflow.models.variable import Variable as AirflowVariable

    team = airflow().rights.team_of(_stored(context.session, key))
    if not AirflowVariable.delete(key, session=context.session, **team):
        raise VariableNotFound(key)
    return {"key": key}


def _value(context: Context, key: str, stored: Any) -> Optional[str]:
    """
    Return the value of the variable as text, None if it does not exist.

    :raises Refused: it was encrypted with another Fernet key.
    """
    from airflow.models.variable import Variable as AirflowVariable

    if context.caller.reads_secrets_backends(key):
        try:
            text: str = AirflowVariable.get(key, **airflow().rights.team_of(stored))
        except KeyError:
            return None
        return text
    value = None if stored is None else _decrypted(stored)
    if value is None and stored is not None:
        raise Refused(f"The value of the variable '{key}' cannot be decrypted with [core] fernet_key.")
    return value


def _as_response(key: str, value: Optional[str], description: Optional[str], is_encrypted: bool) -> Dict[str, object]:
    """Return a variable with its value masked if its key is sensitive."""
    masked = airflow().masked(value, key)
    return {"key": key, "value": masked, "description": description, "is_encrypted": is_encrypted}


def _decrypted(row: Any) -> Optional[str]:
    """Return the value of a row, None if it was encrypted with another Fernet key."""
    try:
        return decrypted(row.val, row.is_encrypted)
    except undecryptable():
        return None


def require_unmasked(context: Context, key: str, text: str) -> None:
    """Require the permission to read a sensitive value, and note for the audit log that it is returned unmasked."""
    if airflow().masked(text, key) != text:
        context.caller.require_secret(Resource.VARIABLE, key)
        context.disclosed.append(key)


def _stored(session: Session, key: str) -> Any:
    """Return the variable's row in the metadata database, or None."""
    return session.execute(_of_key(), {"key": key}).first()


@lru_cache(maxsize=None)
def _of_key() -> Any:
    from airflow.models.variable import Variable as AirflowVariable

    table = AirflowVariable.__table__
    return select(table).where(table.c.key == bindparam("key"))


def _read_json(key: str, text: str) -> Any:
    try:
        return strict_json.loads(text)
    except ValueError as exc:
        raise Invalid({"json": [f"The value of the variable '{key}' is not JSON: {exc}"]}) from exc
