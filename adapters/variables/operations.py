"""Variables: set, get, list, delete."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional

from marshmallow import Schema, ValidationError, fields

from native_api.adapters.compat import airflow
from native_api.adapters.fields import strict_json, texts
from native_api.adapters.fields.common import Flag
from native_api.adapters.fields.paging import contains, page_fields, page_of
from native_api.adapters.fields.texts import Text, pattern
from native_api.effects import Effect
from native_api.errors import Invalid, Refused, VariableNotFound
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

KEY_LENGTH = texts.ID


def _key() -> Text:
    return Text(KEY_LENGTH, shortest=1, required=True, metadata={"description": "The variable's key."})


class Value(fields.Raw):
    """Any JSON value; text is kept as it is, anything else as its JSON."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> str:
        if value is None:
            raise ValidationError("Must not be null; delete_variable removes a variable.")
        return value if isinstance(value, str) else json.dumps(value, indent=2)


class SetVariable(Schema):
    """What a variable is to hold."""

    key = _key()
    value = Value(
        required=True,
        metadata={"description": "Text is stored as it is; another JSON value as its JSON.", "named_by": "key"},
    )
    description = Text(
        texts.DESCRIPTION,
        allow_none=True,
        metadata={"description": "Replaces the description; left out, the present one stays."},
    )


class GetVariable(Schema):
    """Which variable to read, and how."""

    key = _key()
    json = Flag(load_default=False, metadata={"description": "Read the value as JSON and give what it says."})
    default = fields.Raw(
        allow_none=True, metadata={"description": "The value to give where there is no such variable."}
    )


class DeleteVariable(Schema):
    """Which variable to delete."""

    key = _key()


class ListVariables(Schema.from_dict(page_fields("key", "id"))):  # type: ignore[misc]
    """Which variables to list."""

    key_pattern = pattern("Only keys that contain this")


class Variable(Schema):
    """A variable."""

    key = fields.String(required=True)
    value = fields.Raw(allow_none=True, metadata={"description": "Text, or with json what the text says."})
    description = fields.String(allow_none=True)
    is_encrypted = fields.Boolean(allow_none=True)


class Variables(Schema):
    """A page of variables."""

    variables = fields.List(fields.Nested(Variable), required=True)
    total_entries = fields.Integer(required=True)


class DeletedVariable(Schema):
    """What was deleted."""

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
def set_variable(context: Context, key: str, value: str, **changes: Any) -> Dict[str, Any]:
    """
    Create or update a variable.

    The value is kept to the letter. The answer shows it unless its name is one that Airflow hides. A new variable
    needs the permission to create one besides.
    """
    from airflow.models.variable import Variable as AirflowVariable

    present = _stored(context.session, key)
    if present is None:
        context.caller.require(Access(Resource.VARIABLE, "POST"), key)
        context.created = True
    description = changes.get("description", present.description if present else None)
    team = airflow().rights.team_of(present)
    AirflowVariable.set(key, value, description=description, session=context.session, **team)
    context.session.flush()
    context.session.expire_all()
    return _shown(_stored(context.session, key))


@operation(
    request=GetVariable,
    result=Variable,
    access=Access(Resource.VARIABLE, "GET"),
    effect=Effect.READ,
    tag="Variables",
    command=_get_command,
    example={"key": "greeting", "default": "hello"},
)
def get_variable(context: Context, key: str, json: bool, **fallback: Any) -> Dict[str, Any]:
    """
    Return the value of a variable of the metadata database.

    The secrets backends and the environment are asked first where the option read_secrets_backends says so, and in
    Python. Where there is no such variable the answer is the default, if one is named, else 404. Where the value is
    sensitive it is given in full to those who may edit the variable, and refused to others.
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
def list_variables(context: Context, key_pattern: Optional[str] = None, **asked: Any) -> Dict[str, Any]:
    """List the variables of the metadata database, with sensitive values masked."""
    from airflow.models.variable import Variable as AirflowVariable
    from sqlalchemy import select

    statement = select(AirflowVariable)
    if key_pattern is not None:
        statement = statement.where(contains(AirflowVariable.key, key_pattern))
    keys = context.caller.names(Resource.VARIABLE)
    if keys is not None:
        statement = statement.where(AirflowVariable.key.in_(keys))
    columns = {"key": AirflowVariable.key, "id": AirflowVariable.id}
    rows, total = page_of(context, statement, asked, columns, AirflowVariable.id)
    return {"variables": [_shown(row) for row in rows], "total_entries": total}


@operation(
    request=DeleteVariable,
    result=DeletedVariable,
    access=Access(Resource.VARIABLE, "DELETE"),
    effect=Effect.WRITE,
    tag="Variables",
    command=lambda arguments: ["variables", "delete", arguments["key"]],
    example={"key": "greeting"},
)
def delete_variable(context: Context, key: str) -> Dict[str, Any]:
    """Delete a variable from the metadata database."""
    from airflow.models.variable import Variable as AirflowVariable

    team = airflow().rights.team_of(_stored(context.session, key))
    if not AirflowVariable.delete(key, session=context.session, **team):
        raise VariableNotFound(key)
    return {"key": key}


def _value(context: Context, key: str, stored: Any) -> Optional[str]:
    """Return the variable's value as text, or None where there is none."""
    from airflow.models.variable import Variable as AirflowVariable

    if not context.caller.asks_secrets_backends(key):
        return None if stored is None else decrypted(stored)
    try:
        text: str = AirflowVariable.get(key, **airflow().rights.team_of(stored))
    except KeyError:
        return None
    return text


def decrypted(row: Any) -> str:
    """
    Return a row's value.

    :raises Refused: it was encrypted with another key.
    """
    if row.val is None:
        raise Refused(f"The value of the variable '{row.key}' cannot be decrypted.")
    text: str = row.val
    return text


def require_unmasked(context: Context, key: str, text: str) -> None:
    """Raise where the value is sensitive and not for the caller; else note that it was given unmasked."""
    if airflow().masked(text, key) != text:
        context.caller.require_secret(Resource.VARIABLE, key)
        context.disclosed.append(key)


def _stored(session: Any, key: str) -> Any:
    """Return the variable's row in the metadata database, or None."""
    from airflow.models.variable import Variable as AirflowVariable
    from sqlalchemy import select

    return session.scalars(select(AirflowVariable).where(AirflowVariable.key == key)).first()


def _shown(row: Any) -> Dict[str, Any]:
    """Return a row as lists show it: masked where Airflow would."""
    return {
        "key": row.key,
        "value": airflow().masked(row.val, row.key),
        "description": row.description,
        "is_encrypted": row.is_encrypted,
    }


def _read_json(key: str, text: str) -> Any:
    try:
        return strict_json.loads(text)
    except ValueError as exc:
        raise Invalid({"json": [f"The value of the variable '{key}' is not JSON: {exc}"]}) from exc
