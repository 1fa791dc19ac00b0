"""The path of every call: look up the operation, load the arguments, authorize, run, serialize, write the audit log."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Callable, Dict, Iterator, List, Literal, Mapping, Optional, Tuple

from marshmallow import RAISE, ValidationError
from sqlalchemy import event

import native_api.adapters.catalogue  # noqa: F401
from native_api import audit, registry
from native_api.adapters.compat import airflow
from native_api.adapters.fields.strict_json import DEPTH, is_too_deep
from native_api.effects import Effect
from native_api.errors import DatabaseBusy, Invalid
from native_api.permissions import Access, Caller
from native_api.registry import Context, Operation
from native_api.suggestions import suggestion

#: How often a call is run that the database cancels because of a deadlock or a lock, before it fails.
_TRIES = 3
#: The maximum number of unknown arguments that an error names.
_UNKNOWN = 100

#: Whether unknown arguments raise an error or are ignored: marshmallow's RAISE and EXCLUDE.
Unknown = Literal["raise", "exclude"]


@dataclass(frozen=True)
class OperationResponse:
    """
    The response of an operation, which each interface formats in its own way.

    *arguments* are the loaded and the resolved ones. *created* is whether something was created. *state_call* is the
    operation, and its arguments, that returns the state of the work if that continues after the response.
    """

    operation: Operation
    arguments: Mapping[str, object]
    result: Dict[str, Any]
    created: bool
    state_call: Optional[Tuple[str, Dict[str, object]]] = None

    @property
    def warnings(self) -> List[str]:
        """The warnings in the result."""
        warnings: List[str] = self.result.get("warnings", [])
        return warnings


def call(
    name: str,
    arguments: Mapping[str, object],
    *,
    caller: Caller,
    unknown: Unknown = RAISE,
    whole_lists: bool = False,
    client_is_gone: Callable[[], bool] = lambda: False,
) -> OperationResponse:
    """
    Run an operation and return its response.

    :param name: the name of the operation.
    :param arguments: the arguments, which the request schema of the operation loads.
    :param unknown: whether unknown arguments raise an error or are ignored.
    :param whole_lists: if true, a list without a limit has all entries, as in the legacy protocol.
    :param client_is_gone: returns whether the client has disconnected.
    :raises native_api.errors.NativeApiError: any error, also an exception of Airflow.
    """
    operation = registry.get(name)
    remaining = _TRIES if operation.effect is Effect.WRITE else 1
    while True:
        remaining -= 1
        committed: List[object] = []
        try:
            with airflow().errors_as_ours(), airflow().session() as session, ExitStack() as watched:
                if remaining:
                    watched.enter_context(_commits(session, committed.append))
                context = Context(session, caller, whole_lists, operation=name, client_is_gone=client_is_gone)
                response = _run(operation, context, arguments, unknown)
            return response
        except DatabaseBusy as exc:
            # What was committed is not done twice.
            if committed or not exc.is_repeatable or not remaining:
                raise


@contextmanager
def _commits(session: Any, do: Callable[[object], None]) -> Iterator[None]:
    """Call a function with each commit of the session, but for the one at its end."""
    event.listen(session, "after_commit", do)
    try:
        yield
    finally:
        event.remove(session, "after_commit", do)


def _run(
    operation: Operation, context: Context, arguments: Mapping[str, object], unknown: Unknown
) -> OperationResponse:
    """Load the arguments, authorize the caller, run the operation, serialize its result and write the audit log."""
    caller = context.caller
    admit(operation, caller)
    loaded = load(operation, arguments, unknown)
    for right in operation.access:
        if _names_resource(right, operation):
            caller.require(right, right.identifier(loaded))
    context.resolved_arguments.update(operation.resolve(loaded))
    masked = _by_data_key(operation, audit.masked(operation.request, loaded))
    context.arguments = {**masked, **context.resolved_arguments}
    if operation.effect.is_audited_before:
        audit.record(context, operation, loaded, {})
        context.session.commit()
    result = _serialized(operation, context, operation.function(context, **loaded))
    if operation.effect is Effect.WRITE or context.disclosed:
        audit.record(context, operation, {**loaded, **context.resolved_arguments}, result)
    resolved = {**loaded, **context.resolved_arguments}
    return OperationResponse(operation, resolved, result, context.created, context.state_call)


def _by_data_key(operation: Operation, loaded: Mapping[str, object]) -> Dict[str, object]:
    """Return loaded arguments by their names in requests."""
    fields = operation.request.fields
    return {(fields[name].data_key if name in fields else None) or name: value for name, value in loaded.items()}


def admit(operation: Operation, caller: Caller) -> None:
    """
    Require that the caller can call the operation, as far as that does not depend on the arguments.

    :raises native_api.errors.EffectNotAllowed: the configuration disables the effect of the operation.
    :raises native_api.errors.Forbidden: the caller lacks a right.
    """
    caller.require_effect(operation.effect)
    for right in operation.access:
        if not _names_resource(right, operation):
            caller.require(right)


def _names_resource(right: Access, operation: Operation) -> bool:
    """Return whether an argument of the operation identifies the resource of the right."""
    return right.resource.argument in operation.request.fields


def _serialized(operation: Operation, context: Context, returned: Any) -> Dict[str, object]:
    """Return the result of the function, serialized by its schema, with the warnings."""
    if context.state_call and operation.accepted:
        name, arguments = context.state_call
        result: Dict[str, object] = operation.accepted.dump(returned or {**arguments, "operation": name})
    else:
        result = operation.result.dump(returned)
    if context.warnings:
        result["warnings"] = context.warnings
    return result


def load(operation: Operation, arguments: Mapping[str, object], unknown: Unknown = RAISE) -> Dict[str, object]:
    """
    Load arguments with the operation's request schema and return them.

    :param unknown: whether unknown arguments raise an error or are ignored.
    :raises Invalid: the schema refuses an argument, or one is nested too deeply, or has a NUL character or an unpaired
        surrogate, which not every database can store.
    """
    arguments = _with_few_unknown(operation, arguments)
    deep = {name: [f"Is nested deeper than {DEPTH} levels."] for name, value in arguments.items() if is_too_deep(value)}
    if deep:
        raise Invalid(deep)
    try:
        loaded: Dict[str, object] = operation.request.load(arguments, unknown=unknown)
    except ValidationError as exc:
        raise Invalid({**exc.normalized_messages(), **_unknown_fields(operation, arguments)}) from exc
    wrong = {name: ["Contains a NUL character."] for name, value in loaded.items() if _holds_nul(value)}
    wrong.update({name: ["Contains an unpaired surrogate."] for name, value in loaded.items() if _is_no_text(value)})
    if wrong:
        raise Invalid(wrong)
    return loaded


def _with_few_unknown(operation: Operation, arguments: Mapping[str, object]) -> Dict[str, object]:
    """Return the arguments with at most 100 unknown ones. A body of 10 MiB can have a million; its error had 40 MB."""
    known = {field.data_key or name for name, field in operation.request.fields.items()}
    few = set(islice((name for name in arguments if name not in known), _UNKNOWN))
    return {name: value for name, value in arguments.items() if name in known or name in few}


def _unknown_fields(operation: Operation, arguments: Mapping[str, object]) -> Dict[str, List[str]]:
    """Return errors for unknown arguments that resemble a known one, even if unknown arguments are ignored."""
    known = [field.data_key or name for name, field in operation.request.fields.items()]
    asked = {name: suggestion(name, known) for name in islice(set(arguments) - set(known), len(known))}
    return {name: [f"Unknown field{hint}"] for name, hint in asked.items() if hint}


def _is_no_text(value: object) -> bool:
    """Return whether a text, or one of a list, has an unpaired surrogate. Databases store an escaped one in JSON."""
    try:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _holds_nul(value: object) -> bool:
    """Return whether a text in *value* has a NUL character; not recursive, since the nesting can be too deep."""
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
