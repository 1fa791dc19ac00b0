"""The one path of every call: look up, load, authorize, run, serialise, audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Mapping

from marshmallow import RAISE, ValidationError

from native_api import audit, operations
from native_api.access import Caller, Effect
from native_api.adapters.seam import airflow
from native_api.errors import Invalid
from native_api.operations import Context, Operation

#: What becomes of arguments that the schema does not have.
Unknown = Literal["raise", "exclude"]


@dataclass(frozen=True)
class Answer:
    """What a call gave, for a face to put into its own shape."""

    operation: Operation
    arguments: Mapping[str, Any]
    result: Dict[str, Any]
    created: bool

    @property
    def warnings(self) -> List[str]:
        """What the caller should know besides."""
        warnings: List[str] = self.result.get("warnings", [])
        return warnings


def call(
    name: str, arguments: Mapping[str, Any], *, caller: Caller, unknown: Unknown = RAISE, whole_lists: bool = False
) -> Answer:
    """
    Run the operation *name* for *caller* and return its answer.

    :param arguments: what the operation's request schema loads.
    :param whole_lists: give lists whole where the caller names no limit, as the legacy protocol does.
    :param unknown: marshmallow's RAISE or EXCLUDE: what becomes of arguments the schema does not have.
    :raises native_api.errors.NativeApiError: whatever went wrong, Airflow's own errors included.
    """
    operation = operations.get(name)
    caller.require_effect(operation.effect)
    with airflow().errors_as_ours(), airflow().session() as session:
        loaded = load(operation, arguments, unknown)
        if operation.access is not None:
            caller.require(operation.access, operation.access.identifier(loaded))
        context = Context(session, caller, whole_lists)
        result = operation.result.dump(operation.function(context, **loaded))
        if context.warnings:
            result["warnings"] = context.warnings
        if operation.effect is not Effect.READ:
            audit.record(context, operation, {**loaded, **context.meant}, result)
    return Answer(operation, {**loaded, **context.meant}, result, context.created)


def load(operation: Operation, arguments: Mapping[str, Any], unknown: Unknown = RAISE) -> Dict[str, Any]:
    """Return *arguments* as the operation's request schema loads them, or raise :class:`Invalid`."""
    try:
        loaded: Dict[str, Any] = operation.request.load(arguments, unknown=unknown)
    except ValidationError as exc:
        raise Invalid(exc.normalized_messages()) from exc
    return loaded
