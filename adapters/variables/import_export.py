"""Import and export of variables: inline, uploaded, or as a file on the server."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from marshmallow import Schema, ValidationError, fields
from sqlalchemy import select

from native_api.adapters import server_files
from native_api.adapters.compat import airflow
from native_api.adapters.fields.common import Nothing
from native_api.adapters.fields.import_files import (
    Entries,
    EntriesField,
    Import,
    Imported,
    file_field,
    import_entries,
    json_or_none,
    omit,
    read_content,
    read_each,
    refuse_mask,
)
from native_api.adapters.fields.paging import readable
from native_api.adapters.variables.operations import KEY_LENGTH, require_unmasked
from native_api.effects import Effect
from native_api.errors import VariablesExist
from native_api.errors.groups import OF_A_SERVER_FILE, OF_SECRETS
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

#: White space outside the strings of a JSON text.
_SPACE = re.compile(r'("(?:\\.|[^"\\])*")|\s+')


class ImportVariables(Import):
    """The variables to import, and the action on conflict."""

    entries = "variables"

    variables = EntriesField(
        lambda content: entries_of(content),
        'An object with a value, or {"value": …, "description": …}, for each key; '
        "as JSON, as its text, or as an uploaded file.",
    )


class ImportedVariables(Imported):
    """The result of an import, by key."""


class ExportedVariables(Schema):
    """All variables, in the format of import_variables."""

    variables = fields.Dict(
        keys=fields.String(),
        required=True,
        metadata={"description": 'A value for each key, or {"value": …, "description": …}.'},
    )
    warnings = fields.List(fields.String())


class SaveVariables(Schema):
    """The file to write."""

    file = file_field(required=True)


class SavedVariables(SaveVariables):
    """The written file."""

    total_entries = fields.Integer(required=True)
    warnings = fields.List(fields.String())


def _import_command(arguments: Mapping[str, Any]) -> Optional[List[str]]:
    flags = airflow().variables_import_flags(arguments["on_conflict"])
    if flags is None or "file" not in arguments:
        return None
    return ["variables", "import", *flags, server_files.path_of(arguments["file"])]


@operation(
    request=ImportVariables,
    result=ImportedVariables,
    access=Access(Resource.VARIABLE, "POST"),
    effect=Effect.WRITE,
    tag="Variables",
    errors=(*OF_A_SERVER_FILE, VariablesExist),
    creates=True,
    command=_import_command,
    example={"variables": {"region": "north", "limits": {"value": {"rows": 10}, "description": "per call"}}},
)
def import_variables(
    context: Context, on_conflict: str, variables: Optional[Entries] = None, file: Optional[str] = None
) -> Dict[str, Any]:
    """
    Import variables: all of them, or none if one cannot be set.

    If an entry has no description, the present one is retained. Masked values are refused. Overwriting a variable
    requires the permission to edit it. The results of export_variables and save_variables are accepted; ambiguous
    content is refused.
    """
    present = _present(context.session)

    def store(entries: Entries) -> None:
        for key, entry in entries.items():
            _set(context.session, key, entry, present.get(key))

    return import_entries(
        context,
        variables,
        file,
        entries_of,
        resource=Resource.VARIABLE,
        present=present,
        on_conflict=on_conflict,
        exist=VariablesExist,
        store=store,
    )


def _present(session: Session) -> Dict[str, object]:
    """Return the retained fields of the variables that exist, by key; no value is decrypted."""
    from airflow.models.variable import Variable

    team = airflow().team_column(Variable)
    return {row.key: row for row in session.execute(select(Variable.key, Variable.description, team))}


def _set(session: Session, key: str, entry: Mapping[str, Any], present: Any) -> None:
    from airflow.models.variable import Variable

    description = entry.get("description", present.description if present else None)
    Variable.set(key, entry["value"], description=description, session=session, **airflow().rights.team_of(present))


@operation(
    request=Nothing,
    result=ExportedVariables,
    access=Access(Resource.VARIABLE, "GET"),
    effect=Effect.READ,
    tag="Variables",
    errors=OF_SECRETS,
    command=lambda arguments: ["variables", "export", airflow().standard_output],
)
def export_variables(context: Context) -> Dict[str, object]:
    """
    Export all variables of the metadata database unmasked, in the format of import_variables.

    If a value is sensitive, the export requires the permission to edit that variable. Values that cannot be decrypted
    are omitted, with a warning; if no value can be decrypted, the export is refused.
    """
    return {"variables": _exported(context)}


@operation(
    request=SaveVariables,
    result=SavedVariables,
    access=Access(Resource.VARIABLE, "GET"),
    effect=Effect.WRITE,
    tag="Variables",
    errors=(*OF_A_SERVER_FILE, *OF_SECRETS),
    command=lambda arguments: ["variables", "export", server_files.path_of(arguments["file"])],
    example={"file": "variables.json"},
)
def save_variables(context: Context, file: str) -> Dict[str, object]:
    """
    Write the export of all variables to a server file, which is replaced completely.

    Only its owner can read the file. The option files_kept limits the number of files in a folder.
    """
    exported = _exported(context)
    server_files.replace(file, json.dumps(exported, sort_keys=True, indent=4).encode())
    return {"file": file, "total_entries": len(exported)}


def entries_of(content: object) -> Entries:
    """
    Return the variables of an import by key: the value as text, and the description if there is one.

    :raises ValidationError: entries are invalid; keyed by their names.
    """
    return read_each(_unwrapped(read_content(content)), _entry)


def _unwrapped(content: object) -> Any:
    """
    Return the variables of an export, or of another file.

    An export is ``{"variables": {…}}``, and so is a file with one variable of that name. An export is never ambiguous:
    _as_entry writes a variable with such a name as its value and its description.

    :raises ValidationError: it is ambiguous, or the result of another operation.
    """
    if not isinstance(content, dict):
        return content
    nouns = set(content) - {"warnings"}
    for noun, shapes, field, sentence in _OTHERS:
        within: Any = content.get(noun)
        if nouns <= {noun, "total_entries"} and within and isinstance(within, shapes):
            entries: Any = within.values() if isinstance(within, dict) else within
            if all(isinstance(entry, dict) and field in entry for entry in entries):
                raise ValidationError(sentence)
    within = content.get("variables")
    if nouns != {"variables"} or not isinstance(within, dict):
        return content
    if not _is_entry(within):
        return within
    if "description" in within and not isinstance(within["description"], dict):
        return content
    if all(_is_entry(entry) and "description" in entry for entry in within.values()):
        return within
    raise ValidationError(
        'This is ambiguous: one variable "variables", or an export of others. Write each variable as '
        '{"value": …, "description": …}.'
    )


#: What other operations return: below which name, in what, with which field in each entry; and what to say of it.
_OTHERS: Tuple[Tuple[str, Tuple[type, ...], str, str], ...] = (
    (
        "variables",
        (list,),
        "key",
        "This is a result of list_variables, whose values are masked; send a result of export_variables.",
    ),
    ("connections", (dict, list), "conn_type", "These are connections; use import_connections."),
    ("pools", (dict, list), "slots", "These are pools; use import_pools."),
)


def _is_entry(said: object) -> bool:
    """Return whether an object is the value and the description of one variable."""
    return isinstance(said, dict) and "value" in said and set(said) <= {"value", "description"}


def _entry(key: Any, said: Any) -> Dict[str, object]:
    """Return one variable; an object with no other keys than value and description is read as these."""
    if not isinstance(key, str) or not 1 <= len(key) <= KEY_LENGTH:
        raise ValidationError(f"A key must be a text of 1 to {KEY_LENGTH} characters.")
    entry = dict(said) if _is_entry(said) else {"value": said}
    if not isinstance(entry.get("description"), (str, type(None))):
        raise ValidationError("The description must be a text.")
    refuse_mask(entry["value"])
    if not isinstance(entry["value"], str):
        entry["value"] = json.dumps(entry["value"], indent=2)
    return entry


def _exported(context: Context) -> Dict[str, object]:
    """
    Return all variables that the caller can read.

    :raises SensitiveValue: one is sensitive and the caller lacks the permission to edit it.
    """
    from airflow.models.variable import Variable

    statement = readable(context, select(Variable).order_by(Variable.key), Variable.key, Resource.VARIABLE)
    exported, broken, decrypted = {}, [], 0
    for row in context.session.scalars(statement):
        text = row.val
        if text is None:
            broken.append(str(row.key))
            continue
        decrypted += bool(row.is_encrypted)
        require_unmasked(context, row.key, text)
        exported[row.key] = _as_entry(row.key, text, row.description)
    omit(context, "variables", broken, decrypted)
    return exported


def _as_entry(key: str, text: str, description: Optional[str]) -> Any:
    """Return a variable in the format of an import: the value as JSON if that is lossless, else as text."""
    value = json_or_none(text)
    if text.strip() != "null" and (value is None or _SPACE.sub(r"\1", json.dumps(value)) != _SPACE.sub(r"\1", text)):
        value = text
    doubtful = key in ("value", "description") or (
        isinstance(value, (dict, list)) and key in ("variables", "connections", "pools")
    )
    if description or doubtful or (isinstance(value, dict) and "value" in value):
        return {"value": value, "description": description}
    return value
