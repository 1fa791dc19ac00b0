"""What the imports and exports of variables, connections and pools share."""

from __future__ import annotations

import json
from typing import Any, Callable, ClassVar, Collection, Dict, List, Mapping, Optional, Type

from marshmallow import Schema, ValidationError, fields, pre_load, validates_schema

from native_api import settings
from native_api.adapters import server_files
from native_api.adapters.compat.masking import MASK
from native_api.adapters.fields import strict_json, texts
from native_api.adapters.fields.texts import OneOf, Text
from native_api.errors import Invalid, Refused, SomeExist
from native_api.permissions import Access, Resource
from native_api.registry import Context

#: How many names the audit row of an import has.
NAMES_LOGGED = 100

#: One entry of an import.
Entry = Dict[str, Any]
Entries = Dict[str, Entry]

#: Reads one entry by its name; raises ValidationError.
ReadEntry = Callable[[Any, Any], Entry]


def file_field(**kwargs: object) -> Text:
    """Return the field of a file on the server."""
    return Text(
        texts.PATH,
        shortest=1,
        metadata={
            "description": "A file on the server: its path relative to the option files_dir, or its absolute path."
        },
        **kwargs,
    )


class EntriesField(fields.Raw):
    """Entries by name: a JSON object, the text of one, or an uploaded file with one."""

    def __init__(self, read_entries: Callable[[object], Entries], description: str) -> None:
        self.read_entries = read_entries
        super().__init__(metadata={"description": description, "upload": True, "masked": names_logged})

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Entries:
        return self.read_entries(value)


def names_logged(entries: Mapping[str, object]) -> List[str]:
    """Return the names of the entries, for the audit log."""
    more = len(entries) - NAMES_LOGGED
    return [*sorted(entries)[:NAMES_LOGGED], *([f"and {more} more"] if more > 0 else [])]


class Import(Schema):
    """The source of an import, and the action on conflict."""

    #: The field of the entries.
    entries: ClassVar[str]

    file = file_field()
    on_conflict = fields.String(
        load_default="overwrite",
        validate=OneOf(["overwrite", "fail", "skip"]),
        metadata={"description": "Action if an entry exists already: overwrite it, fail, or skip it."},
    )

    @pre_load
    def _of_an_export(self, data: Mapping[str, object], **kwargs: object) -> Dict[str, object]:
        """Drop the warnings of an export, whose result is a valid import."""
        return {name: value for name, value in data.items() if name != "warnings"}

    @validates_schema
    def _says_it_once(self, data: Mapping[str, object], **kwargs: object) -> None:
        if (self.entries in data) == ("file" in data):
            raise ValidationError(f"Send either '{self.entries}' or the name of a file on the server.", self.entries)


class Imported(Schema):
    """The result of an import, by name."""

    created = fields.List(fields.String(), required=True)
    updated = fields.List(fields.String(), required=True)
    skipped = fields.List(fields.String(), required=True)
    total_entries = fields.Integer(required=True)


def import_entries(
    context: Context,
    sent: Optional[Entries],
    file: Optional[str],
    read_entries: Callable[[Any], Entries],
    *,
    resource: Resource,
    present: Collection[str],
    on_conflict: str,
    exist: Type[SomeExist],
    store: Callable[[Entries], None],
) -> Dict[str, Any]:
    """
    Store all entries, or none if one cannot be stored, and return the fields of :class:`Imported`.

    :param sent: the entries in the request; None reads those of *file* with *read_entries*.
    :param present: the names that exist.
    :param exist: the error to raise if some exist and on_conflict is fail.
    :param store: stores entries; raises ValidationError, keyed by their names, if some are invalid.
    :raises Invalid: entries are invalid.
    """
    entries = _entries_of_file(str(file), read_entries) if sent is None else sent
    there = sorted(set(entries) & set(present))
    if there and on_conflict == "fail":
        raise exist(there)
    skipped = there if on_conflict == "skip" else []
    wanted = sorted(set(entries) - set(skipped))
    # Check all permissions before the first write: in multi-team mode Airflow's check closes this session.
    for name in wanted:
        context.caller.require(Access(resource, "PUT" if name in present else "POST"), name)
    try:
        store({name: entries[name] for name in wanted})
    except ValidationError as exc:
        raise Invalid({"file" if sent is None else f"{resource.noun}s": exc.messages}) from exc
    created = [name for name in wanted if name not in present]
    context.created = bool(created)
    return {
        "created": created,
        "updated": [name for name in wanted if name in present],
        "skipped": skipped,
        "total_entries": len(entries),
    }


def _entries_of_file(file: str, read_entries: Callable[[Any], Entries]) -> Entries:
    """
    Return the entries of a file on the server.

    :raises Invalid: the content is not valid.
    """
    try:
        return read_entries(server_files.read(file))
    except ValidationError as exc:
        raise Invalid({"file": exc.messages}) from exc


def read_content(content: object) -> Any:
    """
    Return the content of an import, decoded from JSON.

    :raises ValidationError: it is not JSON.
    """
    if not isinstance(content, (bytes, str)):
        return content
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        read = strict_json.loads(text)
        # Half of a surrogate pair is no text.
        json.dumps(read, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise ValidationError(f"Not valid JSON: {exc}") from exc
    return read


def read_each(content: object, read_entry: ReadEntry) -> Entries:
    """
    Return every entry of an import, each as *read_entry* returns it.

    :raises ValidationError: entries are invalid; keyed by their names.
    """
    if not isinstance(content, dict):
        raise ValidationError("Must be a JSON object with an entry for each name.")
    most = settings.get("import_entries")
    if len(content) > most:
        raise ValidationError(
            f"Has {len(content)} entries; the maximum is {most}, the option [native_api] import_entries."
        )
    entries, wrong = {}, {}
    for name, said in content.items():
        try:
            entries[name] = read_entry(name, said)
        except ValidationError as exc:
            wrong[str(name)] = exc.messages
    if wrong:
        raise ValidationError(wrong)
    return entries


def unwrapped(content: object, name: str) -> Any:
    """Return the entries of an export, which has them below *name*; other content is returned unchanged."""
    if isinstance(content, dict) and set(content) - {"warnings"} == {name} and isinstance(content[name], dict):
        within = content[name]
        # One entry of that name has fields, which are no objects all.
        if all(isinstance(entry, dict) for entry in within.values()):
            return within
    return content


def omit(context: Context, nouns: str, broken: List[str], decrypted: int) -> None:
    """
    Warn of the entries that an export omits.

    :param broken: the names of the entries that cannot be decrypted.
    :param decrypted: number of encrypted entries that were decrypted.
    :raises Refused: no entry could be decrypted: the Fernet key is lost, and the export would be empty.
    """
    named = ", ".join(names_logged(dict.fromkeys(broken)))
    if broken and not decrypted:
        raise Refused(f"These {nouns} were encrypted with a key that is not in [core] fernet_key: {named}.")
    if broken:
        context.warnings.append(f"Omitted these {nouns}, which cannot be decrypted: {named}.")


def refuse_mask(value: object) -> None:
    """Raise ValidationError if the value contains the mask."""
    if holds_mask(value):
        raise ValidationError(f"Contains {MASK}, the mask of a sensitive value; send the value itself.")


def holds_mask(value: object) -> bool:
    """Return whether a value, or the JSON in its text, contains the mask."""
    if isinstance(value, dict):
        return any(map(holds_mask, value.values()))
    if isinstance(value, list):
        return any(map(holds_mask, value))
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        read = json_or_none(value)
        return read is not None and holds_mask(read)
    return bool(value == MASK)


def json_or_none(text: str) -> Any:
    """Return the value of a JSON text; None for a string and for what is not JSON."""
    try:
        read = strict_json.loads(text)
        if "\\u" in text:
            # Half of a surrogate pair is no text: no import takes it.
            json.dumps(read, ensure_ascii=False).encode()
    except ValueError:
        return None
    return None if isinstance(read, str) else read
