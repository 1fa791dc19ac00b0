"""The registry of operations: each has a name, schemas, an access rule and an effect."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Type, TypeVar, Union

from marshmallow import Schema

from native_api.effects import Effect
from native_api.errors import NativeApiError, OperationNotFound
from native_api.permissions import Access, Caller
from native_api.suggestions import nearest


@dataclass
class Context:
    """The context of a call: the database session, which is committed when the operation returns, and the caller."""

    session: Any
    caller: Caller
    whole_lists: bool = False
    created: bool = False
    warnings: List[str] = field(default_factory=list)
    #: Arguments that the operation has looked up, for example the run_id of a run that the caller names by its date.
    resolved_arguments: Dict[str, Any] = field(default_factory=dict)
    #: The names of variables or connections that the result has unmasked, for the audit log.
    disclosed: List[str] = field(default_factory=list)
    #: The operation, and its arguments, that returns the state of work that continues after the response.
    state_call: Optional[Tuple[str, Dict[str, object]]] = None
    #: The name of the operation, and its arguments with secrets masked and with the resolved arguments.
    operation: str = ""
    arguments: Mapping[str, object] = field(default_factory=dict)
    #: Returns whether the client has disconnected.
    client_is_gone: Callable[[], bool] = lambda: False

    def accept(self, operation: str, **arguments: object) -> None:
        """Declare that the work continues after the response, which is then 202 with the URL of its state."""
        self.state_call = operation, arguments


Function = Callable[..., Any]
Command = Callable[[Mapping[str, Any]], Optional[List[str]]]
Resolve = Callable[[Mapping[str, Any]], Dict[str, Any]]


@dataclass(frozen=True)
class Operation:
    """A registered operation; the fields are the parameters of :func:`operation`."""

    name: str
    function: Function
    request: Schema
    result: Schema
    accepted: Optional[Schema]
    access: Tuple[Access, ...]
    effect: Effect
    tag: str
    errors: Tuple[Type[NativeApiError], ...]
    command: Command
    creates: bool
    resolve: Resolve
    example: Mapping[str, object]

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return self.text.splitlines()[0]

    @property
    def text(self) -> str:
        """The function's docstring, which is the documentation of the operation."""
        return inspect.getdoc(self.function) or ""

    @property
    def takes_file(self) -> bool:
        """Whether an argument is an uploaded file, which is not read into memory."""
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
    errors: Tuple[Type[NativeApiError], ...] = (),
    command: Command = lambda arguments: None,
    creates: bool = False,
    resolve: Resolve = lambda arguments: {},
    example: Optional[Mapping[str, object]] = None,
) -> Callable[[F], F]:
    """
    Register the decorated function as an operation with the same name.

    The function takes the :class:`Context` and the loaded arguments as keyword arguments.

    :param request: the schema that loads the arguments.
    :param result: the schema that serializes what the function returns.
    :param accepted: the schema of the response 202, when the work continues after the response.
    :param access: the right or the rights that the caller needs; None if any authenticated caller can call it.
    :param effect: what the operation does.
    :param tag: the noun of Airflow by which the OpenAPI document groups operations.
    :param errors: the errors of the operation beyond those of every operation (:mod:`native_api.possible_errors`).
    :param command: returns, from the loaded arguments, the words after ``airflow`` of the equivalent command, or None.
    :param creates: whether the operation can create something; it sets ``created`` of its context then.
    :param resolve: returns, from the loaded arguments, others that are looked up before the function runs, for the
        audit log and for the function: ``resolved_arguments`` of its context.
    :param example: arguments for the documentation and the contract tests.
    :raises ValueError: the name is already registered.
    """

    def register(function: F) -> F:
        name = function.__name__
        if name in _OPERATIONS:
            raise ValueError(f"The operation {name} is registered twice: import it from native_api.adapters only")
        rights = (access,) if isinstance(access, Access) else access or ()
        later = accepted() if accepted else None
        _OPERATIONS[name] = Operation(
            name,
            function,
            request(),
            result(),
            later,
            rights,
            effect,
            tag,
            errors,
            command,
            creates,
            resolve,
            example or {},
        )
        return function

    return register


def get(name: str) -> Operation:
    """
    Return the operation with that name.

    :raises OperationNotFound: there is none.
    """
    if name in _OPERATIONS:
        return _OPERATIONS[name]
    raise OperationNotFound(name, nearest(name, _OPERATIONS))


def every() -> List[Operation]:
    """Return all operations, sorted by name."""
    return [_OPERATIONS[name] for name in sorted(_OPERATIONS)]
