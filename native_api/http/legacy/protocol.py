"""The names of the old protocol: their arguments, their operations and their output."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Type

from marshmallow import fields
from werkzeug.datastructures import MultiDict

from native_api.errors import BadRequest, NativeApiError
from native_api.registry import Operation
from native_api.suggestions import suggestion
from native_api.uploads import Upload

#: Arguments of every name.
ALWAYS = frozenset(("api", "csrf_token"))
#: Other spellings of arguments, besides those with hyphens.
_SPELLINGS = {"dryrun": "dry_run"}


@dataclass(frozen=True)
class Arguments:
    """The arguments of a request: the query string, and the form and the files of a POST."""

    query: MultiDict[str, str]
    form: MultiDict[str, str]
    files: Mapping[str, Upload] = field(default_factory=dict)

    def get(self, name: str) -> Optional[str]:
        """Return an argument, or None if it is missing or empty."""
        return self.query.get(name) or self.form.get(name) or None

    def text(self, name: str) -> Optional[str]:
        """Return an argument, which can be empty, or None if it is missing."""
        return self.query.get(name, self.form.get(name))

    def flag(self, name: str) -> bool:
        """
        Return whether a checkbox is checked: the argument is present and not ``off``.

        :raises BadRequest: it is neither on nor off.
        """
        text = self.text(name)
        if text is None:
            return False
        word = text.strip().lower()
        if word in ("", "on", "true", "1", "yes"):
            return True
        if word in ("off", "false", "0", "no"):
            return False
        raise BadRequest(f"The argument '{name}' is a checkbox: send on or off, not '{text}'")

    def given(self, *names: str) -> Dict[str, str]:
        """Return the arguments that are present and not empty."""
        values = {name: self.get(name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def unknown(self, name: LegacyName) -> List[str]:
        """Return the arguments that the name does not have; JSON that was sent as a form is ignored."""
        sent = {word for word in (*self.query, *self.form, *self.files) if not word.lstrip().startswith("{")}
        return sorted(sent - name.arguments - ALWAYS)

    def value(self, name: str, schema_field: Any) -> Any:
        """Return an argument in the form that the field loads, or None if it is missing."""
        if schema_field.metadata.get("upload"):
            return self._uploaded(name, schema_field)
        if isinstance(schema_field, fields.List):
            return self.query.getlist(name) or self.form.getlist(name) or None
        # A checkbox is checked if it is present, even if empty.
        return self.text(name) if isinstance(schema_field, fields.Boolean) else self.get(name)

    def _uploaded(self, name: str, schema_field: Any) -> Any:
        file = self.files.get(name)
        return file.content() if file is not None and schema_field.metadata["upload"] != "file" else file


@dataclass(frozen=True)
class Plan:
    """
    The operation of a call, its arguments and how its output is made.

    *text* returns the output for a result. *no_error* has the output for errors that the old command printed with exit
    code 0. *failure* returns the standard error if the result is that of failed DAG code, otherwise None. *defaults*
    are arguments that the client can override.
    """

    operation: str
    arguments: Dict[str, Any]
    text: Callable[[Mapping[str, Any]], str] = lambda result: ""
    no_error: Mapping[Type[NativeApiError], str] = field(default_factory=dict)
    failure: Callable[[Mapping[str, object]], Optional[str]] = lambda result: None
    defaults: Mapping[str, object] = field(default_factory=dict)

    def with_operation_arguments(
        self, name: LegacyName, arguments: Arguments, operation: Operation
    ) -> Tuple[Plan, List[str]]:
        """
        Return the plan with the arguments that only the operation has, and a warning about unknown ones.

        :raises BadRequest: an argument was sent in two spellings with different values.
        """
        known = {
            request_field.data_key or key: request_field for key, request_field in operation.request.fields.items()
        }
        passed: Dict[str, object] = {}
        ignored = []
        for sent in arguments.unknown(name):
            known_name = _SPELLINGS.get(sent, sent.replace("-", "_"))
            value = arguments.value(sent, known[known_name]) if known_name in known else None
            if known_name not in known or known_name in self.arguments or (sent in arguments.files and value is None):
                ignored.append(sent)
            elif passed.setdefault(known_name, value) != value:
                raise BadRequest(f"The argument '{known_name}' was sent twice, in two spellings")
        whole = {
            **self.defaults,
            **{key: value for key, value in passed.items() if value is not None},
            **self.arguments,
        }
        hint = "".join(suggestion(sent, name.arguments) for sent in ignored[:1])
        warning = f"Ignored the argument(s) {ignored}, which '{name.name}' does not have{hint}"
        return replace(self, arguments=whole), [warning] if ignored else []


Planner = Callable[[Arguments], Plan]


@dataclass(frozen=True)
class LegacyName:
    """
    A name of the protocol.

    *prints* is whether the output is an object with stdin, stdout and stderr, as of a command, and not a plain text.
    *operation* is the operation that it calls, or empty if that depends on the arguments.
    """

    name: str
    arguments: frozenset[str]
    required: List[str]
    prints: bool
    operation: str
    planner: Planner

    def plan(self, arguments: Arguments) -> Plan:
        """
        Return the plan of a call.

        :raises BadRequest: a required argument is missing.
        """
        missing = [name for name in self.required if not arguments.get(name)]
        if missing:
            raise BadRequest(f"The argument(s) {missing} are required")
        return self.planner(arguments)


_NAMES: Dict[str, LegacyName] = {}


def legacy_name(
    name: str, arguments: str = "", *, required: str = "", prints: bool = True, operation: str = ""
) -> Callable[[Planner], Planner]:
    """
    Register the decorated function as the planner of a name.

    :param arguments: the optional arguments, separated by spaces.
    :param required: the required arguments, separated by spaces.
    :param prints: see :class:`LegacyName`.
    :param operation: see :class:`LegacyName`.
    """

    def register(planner: Planner) -> Planner:
        known = frozenset(arguments.split()) | frozenset(required.split())
        _NAMES[name] = LegacyName(name, known, required.split(), prints, operation, planner)
        return planner

    return register


def every() -> Dict[str, LegacyName]:
    """Return all names of the protocol."""
    return _NAMES


def find(arguments: Arguments) -> LegacyName:
    """
    Return the name of a call, its argument ``api``.

    :raises BadRequest: it is missing or unknown.
    """
    name = (arguments.get("api") or "").strip().lower()
    if not name:
        raise BadRequest("API should be provided")
    if name not in every():
        raise BadRequest(f"API '{name}' was not found{suggestion(name, every())}")
    return _NAMES[name]


def command_line(operation: Operation, loaded: Mapping[str, object]) -> Optional[str]:
    """Return the equivalent command of this version of Airflow, or None if there is none."""
    words = operation.command(loaded)
    return None if words is None else shlex.join(["airflow", *words])
