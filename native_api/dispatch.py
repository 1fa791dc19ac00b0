"""The one path of every call: look up, load, authorize, run, serialise, audit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, Callable, Dict, List, Literal, Mapping, Optional, Tuple

from marshmallow import RAISE, ValidationError

import native_api.adapters.catalogue  # noqa: F401
from native_api import audit, registry
from native_api.adapters.compat import airflow
from native_api.adapters.fields.strict_json import DEPTH, is_too_deep
from native_api.effects import Effect
from native_api.errors import Invalid
from native_api.permissions import Access, Caller
from native_api.registry import Context, Operation
from native_api.suggestions import question

#: How many unknown arguments an error names.
_UNKNOWN = 100

#: What becomes of arguments that the schema does not have.
Unknown = Literal["raise", "exclude"]


@dataclass(frozen=True)
class Answer:
    """What a call gave, for a face to put into its own shape."""

    operation: Operation
    arguments: Mapping[str, Any]
    result: Dict[str, Any]
    created: bool
    followed: Optional[Tuple[str, Dict[str, Any]]] = None

    @property
    def warnings(self) -> List[str]:
        """What the caller should know besides."""
        warnings: List[str] = self.result.get("warnings", [])
        return warnings


def call(
    name: str,
    arguments: Mapping[str, Any],
    *,
    caller: Caller,
    unknown: Unknown = RAISE,
    whole_lists: bool = False,
    client_is_gone: Callable[[], bool] = lambda: False,
) -> Answer:
    """
    Run the operation *name* for *caller* and return its answer.

    :param arguments: what the operation's request schema loads.
    :param whole_lists: give lists whole where the caller names no limit, as the legacy protocol does.
    :param unknown: marshmallow's RAISE or EXCLUDE: what becomes of arguments the schema does not have.
    :param client_is_gone: tells whether anybody waits for the answer still.
    :raises native_api.errors.NativeApiError: whatever went wrong, Airflow's own errors included.
    """
    operation = registry.get(name)
    with airflow().errors_as_ours(), airflow().session() as session:
        admit(operation, caller)
        loaded = load(operation, arguments, unknown)
        for right in operation.access:
            if _is_of_one(right, operation):
                caller.require(right, right.identifier(loaded))
        context = Context(session, caller, whole_lists, operation=name, client_is_gone=client_is_gone)
        context.resolved_arguments.update(operation.resolve(loaded))
        told = _as_asked(operation, audit.masked(operation.request, loaded))
        context.arguments = {**told, **context.resolved_arguments}
        if operation.effect.is_told_before:
            audit.record(context, operation, loaded, {})
            session.commit()
        result = _dumped(operation, context, operation.function(context, **loaded))
        if operation.effect is Effect.WRITE or context.disclosed:
            audit.record(context, operation, {**loaded, **context.resolved_arguments}, result)
    return Answer(operation, {**loaded, **context.resolved_arguments}, result, context.created, context.followed)


def _as_asked(operation: Operation, loaded: Mapping[str, Any]) -> Dict[str, Any]:
    """Return loaded arguments by the names that callers give them."""
    fields = operation.request.fields
    return {(fields[name].data_key if name in fields else None) or name: value for name, value in loaded.items()}


def admit(operation: Operation, caller: Caller) -> None:
    """
    Raise where the caller may not call the operation, whatever its arguments are.

    :raises native_api.errors.EffectNotAllowed: the configuration forbids it.
    :raises native_api.errors.Forbidden: the caller's rights do.
    """
    caller.require_effect(operation.effect)
    for right in operation.access:
        if not _is_of_one(right, operation):
            caller.require(right)


def _is_of_one(right: Access, operation: Operation) -> bool:
    """Return whether an argument names what the right is asked for."""
    return right.resource.argument in operation.request.fields


def _dumped(operation: Operation, context: Context, given: Any) -> Dict[str, Any]:
    """Return what the function gave as its schema has it, with what the caller should know besides."""
    if context.followed and operation.accepted:
        name, arguments = context.followed
        result: Dict[str, Any] = operation.accepted.dump(given or {**arguments, "operation": name})
    else:
        result = operation.result.dump(given)
    if context.warnings:
        result["warnings"] = context.warnings
    return result


def load(operation: Operation, arguments: Mapping[str, Any], unknown: Unknown = RAISE) -> Dict[str, Any]:
    """
    Return *arguments* as the operation's request schema loads them, or raise :class:`Invalid`.

    Nothing may be nested deeper than JSON may here. No text may have a NUL in it, wherever in an argument: not every
    database can hold one.
    """
    arguments = _with_few_unknown(operation, arguments)
    deep = {name: [f"Is nested deeper than {DEPTH} levels."] for name, value in arguments.items() if is_too_deep(value)}
    if deep:
        raise Invalid(deep)
    try:
        loaded: Dict[str, Any] = operation.request.load(arguments, unknown=unknown)
    except ValidationError as exc:
        raise Invalid({**exc.normalized_messages(), **_meant(operation, arguments)}) from exc
    wrong = {name: ["Has a NUL character in it."] for name, value in loaded.items() if _holds_nul(value)}
    wrong.update({name: ["Has half of a character in it."] for name, value in loaded.items() if _is_no_text(value)})
    if wrong:
        raise Invalid(wrong)
    return loaded


def _with_few_unknown(operation: Operation, arguments: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the arguments with few that are unknown; a body of 10 MiB may have a million, and its error 40 MB."""
    known = {field.data_key or name for name, field in operation.request.fields.items()}
    few = set(islice((name for name in arguments if name not in known), _UNKNOWN))
    return {name: value for name, value in arguments.items() if name in known or name in few}


def _meant(operation: Operation, arguments: Mapping[str, Any]) -> Dict[str, List[str]]:
    """Return what to say of unknown arguments that are like a known one, also where unknown ones are ignored."""
    known = [field.data_key or name for name, field in operation.request.fields.items()]
    asked = {name: question(name, known) for name in islice(set(arguments) - set(known), len(known))}
    return {name: [f"Unknown field{meant}"] for name, meant in asked.items() if meant}


def _is_no_text(value: Any) -> bool:
    """Return whether a text, or one of a list, has half of a surrogate pair in it; databases take what JSON escapes."""
    try:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _holds_nul(value: Any) -> bool:
    """Return whether a text in *value* has a NUL in it; what is nested may be nested deeper than calls can be."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, str) and "\0" in value:
            return True
        if isinstance(value, Mapping):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            left += value
    return False
