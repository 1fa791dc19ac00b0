"""The registry: every operation with its name, schemas, access rule and effect."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Type, TypeVar, Union

from marshmallow import Schema

from native_api.effects import Effect
from native_api.errors import OperationNotFound
from native_api.permissions import Access, Caller
from native_api.suggestions import nearest


@dataclass
class Context:
    """What an operation works with: a session that is committed when it returns, and who asks for it."""

    session: Any
    caller: Caller
    whole_lists: bool = False
    created: bool = False
    warnings: List[str] = field(default_factory=list)
    #: Arguments that stand for others, or that the caller has left out: the id of a run, by the one that is stored.
    resolved_arguments: Dict[str, Any] = field(default_factory=dict)
    #: Names of the things whose secrets the result has unmasked.
    disclosed: List[str] = field(default_factory=list)
    #: Work that continues after the response: the operation that returns its state, and its arguments.
    followed: Optional[Tuple[str, Dict[str, Any]]] = None
    #: The operation's name, and its arguments as they are told: what is secret masked, and with what it resolves.
    operation: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    #: Tells whether anybody waits for the answer still.
    client_is_gone: Callable[[], bool] = lambda: False

    def follow(self, operation: str, **arguments: Any) -> None:
        """Say that the work continues after the response, and which operation returns its state."""
        self.followed = operation, arguments


Function = Callable[..., Any]
Command = Callable[[Mapping[str, Any]], Optional[List[str]]]
Resolve = Callable[[Mapping[str, Any]], Dict[str, Any]]


@dataclass(frozen=True)
class Operation:
    """One operation, as every face sees it."""

    name: str
    function: Function
    request: Schema
    result: Schema
    accepted: Optional[Schema]
    access: Tuple[Access, ...]
    effect: Effect
    tag: str
    command: Command
    creates: bool
    resolve: Resolve
    example: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """The first line of the function's text."""
        return self.text.splitlines()[0]

    @property
    def text(self) -> str:
        """The function's text, which is the operation's documentation."""
        return inspect.getdoc(self.function) or ""

    @property
    def takes_file(self) -> bool:
        """Whether it takes an uploaded file as such, which may be larger than what is read into memory."""
        return any(field.metadata.get("upload") == "file" for field in self.request.fields.values())


_OPERATIONS: Dict[str, Operation] = {}

F = TypeVar("F", bound=Function)


def operation(
    *,
    request: Type[Schema],
    result: Type[Schema],
    accepted: Optional[Type[Schema]] = None,
    access: Union[Access, Tuple[Access, ...], None],
    effect: Effect,
    tag: str,
    command: Command = lambda arguments: None,
    creates: bool = False,
    resolve: Resolve = lambda arguments: {},
    example: Optional[Mapping[str, Any]] = None,
) -> Callable[[F], F]:
    """
    Register the function below as an operation of its own name.

    :param request: the schema that loads the function's keyword arguments.
    :param result: the schema that dumps what the function returns.
    :param accepted: the schema that dumps what it returns where the work goes on after the answer.
    :param access: the right that the caller needs, or the rights; None where any known caller will do.
    :param effect: what the operation does.
    :param tag: the noun of Airflow that it is about, as the OpenAPI document groups operations.
    :param command: gives, of the loaded arguments, the words after ``airflow`` that do the same on the command line.
    :param creates: it may create something; its context says then whether it did.
    :param resolve: gives, of the loaded arguments, what they stand for; it is looked up before the function runs, so
        that the audit log names it, and the function finds it in its context.
    :param example: arguments for the documentation and the contract tests.
    """

    def register(function: F) -> F:
        name = function.__name__
        if name in _OPERATIONS:
            raise ValueError(f"The operation {name} is registered twice: import it from native_api.adapters only")
        rights = (access,) if isinstance(access, Access) else access or ()
        later = accepted() if accepted else None
        _OPERATIONS[name] = Operation(
            name, function, request(), result(), later, rights, effect, tag, command, creates, resolve, example or {}
        )
        return function

    return register


def get(name: str) -> Operation:
    """
    Return the operation *name*.

    :raises OperationNotFound: nothing has that name.
    """
    if name in _OPERATIONS:
        return _OPERATIONS[name]
    raise OperationNotFound(name, nearest(name, _OPERATIONS))


def every() -> List[Operation]:
    """Return all operations by name."""
    return [_OPERATIONS[name] for name in sorted(_OPERATIONS)]
