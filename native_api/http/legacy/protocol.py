"""What a name of the old protocol is: its arguments, the operation it stands for, the text it prints."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Type

from marshmallow import fields
from werkzeug.datastructures import MultiDict

from native_api.errors import BadRequest, NativeApiError
from native_api.registry import Operation
from native_api.suggestions import question
from native_api.uploads import Upload

#: The arguments of every name.
ALWAYS = frozenset(("api", "csrf_token"))
#: Arguments that have another spelling besides one with hyphens.
_SPELLINGS = {"dryrun": "dry_run"}


@dataclass(frozen=True)
class Arguments:
    """What a client sent: the query string, and the form and the files of a POST."""

    query: MultiDict[str, str]
    form: MultiDict[str, str]
    files: Mapping[str, Upload] = field(default_factory=dict)

    def get(self, name: str) -> Optional[str]:
        """Return an argument's text; an empty one counts as none, as it did."""
        return self.query.get(name) or self.form.get(name) or None

    def text(self, name: str) -> Optional[str]:
        """Return an argument's text, which may be empty, or None where it was not sent."""
        return self.query.get(name, self.form.get(name))

    def flag(self, name: str) -> bool:
        """
        Return whether a checkbox is ticked: it is there, and does not say otherwise.

        :raises BadRequest: it says something else.
        """
        text = self.text(name)
        if text is None:
            return False
        word = text.strip().lower()
        if word in ("", "on", "true", "1", "yes"):
            return True
        if word in ("off", "false", "0", "no"):
            return False
        raise BadRequest(f"The argument '{name}' is a checkbox: say on or off, not '{text}'")

    def given(self, *names: str) -> Dict[str, str]:
        """Return those of the arguments that are there and not empty."""
        values = {name: self.get(name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def unknown(self, name: LegacyName) -> List[str]:
        """Return the arguments that the name does not know; JSON in the place of a form has none."""
        sent = {word for word in (*self.query, *self.form, *self.files) if not word.lstrip().startswith("{")}
        return sorted(sent - name.arguments - ALWAYS)

    def value(self, name: str, schema_field: Any) -> Any:
        """Return an argument as the field takes it, or None where it counts as none."""
        if schema_field.metadata.get("upload"):
            return self._uploaded(name, schema_field)
        if isinstance(schema_field, fields.List):
            return self.query.getlist(name) or self.form.getlist(name) or None
        # A checkbox is ticked by being there.
        return self.text(name) if isinstance(schema_field, fields.Boolean) else self.get(name)

    def _uploaded(self, name: str, schema_field: Any) -> Any:
        file = self.files.get(name)
        return file.content() if file is not None and schema_field.metadata["upload"] != "file" else file


@dataclass(frozen=True)
class Plan:
    """
    Which operation a call stands for, how its result reads, and what the command printed that failed in silence.

    *begun* is how it reads where the work goes on after the answer. *failure* is what it says on its standard error
    where the result is that of user code that failed, and None where it is not. *defaults* are arguments of the
    operation that the client may set otherwise.
    """

    operation: str
    arguments: Dict[str, Any]
    text: Callable[[Mapping[str, Any]], str] = lambda result: ""
    no_failure: Mapping[Type[NativeApiError], str] = field(default_factory=dict)
    begun: Callable[[Mapping[str, Any]], str] = lambda result: ""
    failure: Callable[[Mapping[str, Any]], Optional[str]] = lambda result: None
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def completed(self, name: LegacyName, arguments: Arguments, operation: Operation) -> Tuple[Plan, List[str]]:
        """
        Return the plan with what the operation knows of the arguments that the name does not, and a warning of others.

        :raises BadRequest: one was sent twice, spelled in two ways.
        """
        known = {
            request_field.data_key or key: request_field for key, request_field in operation.request.fields.items()
        }
        passed: Dict[str, Any] = {}
        ignored = []
        for sent in arguments.unknown(name):
            meant = _SPELLINGS.get(sent, sent.replace("-", "_"))
            value = arguments.value(sent, known[meant]) if meant in known else None
            if meant not in known or meant in self.arguments or (sent in arguments.files and value is None):
                ignored.append(sent)
            elif passed.setdefault(meant, value) != value:
                raise BadRequest(f"The argument '{meant}' was sent twice, spelled in two ways")
        whole = {
            **self.defaults,
            **{key: value for key, value in passed.items() if value is not None},
            **self.arguments,
        }
        meant = "".join(question(sent, name.arguments) for sent in ignored[:1])
        warning = f"Ignored the argument(s) {ignored}, which '{name.name}' does not have{meant}"
        return replace(self, arguments=whole), [warning] if ignored else []


Planner = Callable[[Arguments], Plan]


@dataclass(frozen=True)
class LegacyName:
    """
    A name of the protocol; *prints* says whether its output is what a command printed, or a bare text.

    *operation* is what it stands for, or empty where that depends on the arguments.
    """

    name: str
    arguments: frozenset[str]
    required: List[str]
    prints: bool
    operation: str
    planner: Planner

    def plan(self, arguments: Arguments) -> Plan:
        """Return what the call stands for, or say which arguments it lacks."""
        missing = [name for name in self.required if not arguments.get(name)]
        if missing:
            raise BadRequest(f"The argument(s) {missing} are required")
        return self.planner(arguments)


_NAMES: Dict[str, LegacyName] = {}


def legacy_name(
    name: str, arguments: str = "", *, required: str = "", prints: bool = True, operation: str = ""
) -> Callable[[Planner], Planner]:
    """Register the planner below for *name*; *arguments* and *required* are names parted by spaces."""

    def register(planner: Planner) -> Planner:
        known = frozenset(arguments.split()) | frozenset(required.split())
        _NAMES[name] = LegacyName(name, known, required.split(), prints, operation, planner)
        return planner

    return register


def every() -> Dict[str, LegacyName]:
    """Return all names of the protocol."""
    return _NAMES


def find(arguments: Arguments) -> LegacyName:
    """Return the name that a call is for."""
    name = (arguments.get("api") or "").strip().lower()
    if not name:
        raise BadRequest("API should be provided")
    if name not in every():
        raise BadRequest(f"API '{name}' was not found{question(name, every())}")
    return _NAMES[name]


def command_line(operation: Operation, loaded: Mapping[str, Any]) -> Optional[str]:
    """Return the command that does the same on this Airflow, or None where it has none."""
    words = operation.command(loaded)
    return None if words is None else shlex.join(["airflow", *words])
