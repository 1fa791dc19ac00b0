"""The functions that a job on the executor can run: no other is ever called, whatever a request names."""

from __future__ import annotations

from typing import Any, Callable, Dict, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

_FUNCTIONS: Dict[str, Callable[..., Any]] = {}


def runs_on_executor(function: Function) -> Function:
    """Declare that a job on the executor can run the decorated function."""
    _FUNCTIONS[import_path(function)] = function
    return function


def is_allowed(path: str) -> bool:
    """Return whether ``module:function`` is one of those functions; importing the operations declares them."""
    return path in _FUNCTIONS


def import_path(function: Callable[..., Any]) -> str:
    """Return ``module:function``, which the process of the job imports."""
    return f"{function.__module__}:{function.__qualname__}"
