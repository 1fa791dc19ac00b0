"""Which errors an operation can raise: those of every operation, and those that it declares."""

from __future__ import annotations

from typing import Dict, List, Tuple, Type

from native_api import errors
from native_api.effects import Effect
from native_api.errors import NativeApiError
from native_api.registry import Operation

#: Errors of every operation.
OF_EVERY = (
    errors.BadRequest,
    errors.Unauthorized,
    errors.TokenRefused,
    errors.Forbidden,
    errors.EffectNotAllowed,
    errors.MethodNotAllowed,
    errors.NotAcceptable,
    errors.Unforeseen,
    errors.DatabaseBusy,
    errors.DatabaseUnavailable,
)
#: Errors of every operation that changes something, which is a POST with a body.
OF_CHANGES = (
    errors.BodyCutOff,
    errors.CrossSiteRequest,
    errors.BodyTooSlow,
    errors.Refused,
    errors.BodyTooLarge,
    errors.FormTooLarge,
    errors.UnsupportedMediaType,
    errors.Invalid,
    errors.TooManyBodies,
)


def common_errors(operation: Operation) -> Tuple[Type[NativeApiError], ...]:
    """Return the errors that the operation has in common with the others that read, or that change something."""
    if operation.effect is not Effect.READ:
        return (*OF_EVERY, *OF_CHANGES)
    return (*OF_EVERY, errors.Invalid) if operation.request.fields else OF_EVERY


def possible_errors(operation: Operation) -> Dict[int, List[Type[NativeApiError]]]:
    """Return the errors of the operation by status, and by code."""
    by_status: Dict[int, List[Type[NativeApiError]]] = {}
    every = {*common_errors(operation), *operation.errors}
    for error in sorted(every, key=lambda error: (error.status, error.code)):
        by_status.setdefault(int(error.status), []).append(error)
    return by_status
