"""What a caller must be allowed to, in Airflow's own terms, and the callers that are no Airflow users."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Any, FrozenSet, Iterable, Mapping, Optional, Set

from native_api import settings
from native_api.effects import Effect
from native_api.errors import EffectNotAllowed, Forbidden, SensitiveForToken, SensitiveValue


class Resource(Enum):
    """
    What rights are about: the noun, and the argument that names one of them.

    Airflow's auth managers know most; what they do not know is the administrator's.
    """

    DAG = ("DAG", "dag_id")
    DAG_RUN = ("DAG run", "dag_id")
    DAG_CODE = ("DAG code", "dag_id")
    TASK = ("task", "dag_id")
    TASK_INSTANCE = ("task instance", "dag_id")
    TASK_LOG = ("task log", "dag_id")
    XCOM = ("XCom", "dag_id")
    IMPORT_ERROR = ("import error", "import_error_id")
    VARIABLE = ("variable", "key")
    CONNECTION = ("connection", "conn_id")
    POOL = ("pool", "name")
    DEPLOYMENT = ("deployment", "path", Effect.DEPLOY)
    DAEMON = ("daemon", "name", Effect.DAEMON)

    def __init__(self, noun: str, argument: str, effect: Optional[Effect] = None) -> None:
        self.noun = noun
        self.argument = argument
        #: Whoever may do this is the one who may see what came of it; None for what Airflow has rights on.
        self.effect = effect

    @property
    def of_a_dag(self) -> bool:
        """Whether the right is given per DAG."""
        return self.argument == "dag_id"


_VERBS = {"GET": "read", "POST": "create", "PUT": "edit", "DELETE": "delete"}


@dataclass(frozen=True)
class Access:
    """A right on a resource; *method* is GET, POST, PUT or DELETE, as Airflow's auth managers have it."""

    resource: Resource
    method: str

    def identifier(self, arguments: Mapping[str, Any]) -> Optional[str]:
        """Return the id in *arguments* that the right is asked for; None stands for every one."""
        return arguments.get(self.resource.argument)

    def describe(self, identifier: Optional[str]) -> str:
        """Return the right as words that follow 'the permission to'."""
        which = f" of the DAG '{identifier}'" if self.resource.of_a_dag else f" '{identifier}'"
        if self.resource is Resource.DAG:
            which = f" '{identifier}'"
        words = f"{_VERBS[self.method]} the {self.resource.noun}{which if identifier else 's'}"
        return words if self.resource.effect is None else f"{words} as an administrator of Airflow"


#: A name that means the same in a path, which Vault's backend and others make of it.
_PLAIN_NAME = re.compile(r"(?!\.+(/|\Z))[\w.@:+-]+(/(?!\.+(/|\Z))[\w.@:+-]+)*\Z")

#: What executing the code of a DAG takes.
EXECUTE_DAG = (Access(Resource.DAG, "PUT"), Access(Resource.DAG_RUN, "POST"))


class Caller(ABC):
    """
    Whoever asks for an operation.

    *name* is for people, in the audit log above all; *identity* tells the caller from every other, whatever the name.
    """

    name: str
    identity: str
    user_id: Any = None

    @abstractmethod
    def may(self, access: Access, identifier: Optional[str] = None) -> bool:
        """Return whether the caller has the right."""

    def dag_ids(self, access: Access) -> Optional[Set[str]]:
        """Return the ids of the DAGs for which the caller has the right, a right to read; None stands for all."""
        return None

    def dag_ids_among(self, accesses: Iterable[Access], dag_ids: Set[str]) -> Set[str]:
        """Return those of the DAGs for which the caller has all of the rights."""
        return dag_ids

    def may_new(self, access: Access, bundle: Optional[str]) -> bool:
        """Return whether the caller has the right on any DAG that may yet come, in the bundle; Airflow 2 has none."""
        return True

    def names(self, resource: Resource) -> Optional[Set[str]]:
        """Return what names the things of no DAG that the caller may read; None stands for all."""
        return None

    def bundles(self) -> Optional[Set[str]]:
        """Return the names of the bundles of the caller's teams and of no team; None where there are no teams."""
        return None

    def require(self, access: Access, identifier: Optional[str] = None) -> None:
        """
        Raise where the caller lacks the right; without *identifier*, on all there is.

        :raises EffectNotAllowed: the configuration forbids what the resource comes of.
        :raises Forbidden: the caller's rights do.
        """
        if access.resource.effect is not None:
            self._require_switched_on(access.resource.effect)
        if not self.may(access, identifier) and (identifier is not None or not self._may_some(access)):
            raise Forbidden(access.describe(identifier))

    def require_of_another(self, access: Access, dag_id: str, otherwise: str) -> None:
        """
        Raise where the caller lacks the right on a DAG that it has not named itself.

        :param otherwise: the right in words that do not name the DAG, for a caller who may not know that there is one.
        :raises Forbidden: the caller's rights do.
        """
        if not self.may(access, dag_id):
            knows = self.may(Access(Resource.DAG, "GET"), dag_id)
            raise Forbidden(access.describe(dag_id) if knows else otherwise)

    def require_secret(self, resource: Resource, identifier: str) -> None:
        """
        Raise where the caller may not see what is sensitive in a thing: that takes the right to edit it.

        :raises SensitiveValue: the caller may not.
        """
        editing = Access(resource, "PUT")
        if not self.may(editing, identifier):
            raise SensitiveValue(editing.describe(identifier))

    def asks_secrets_backends(self, name: str) -> bool:
        """
        Return whether secrets backends and the environment are asked for the variable or connection of that name.

        Never by a name such as ``../x``, which leads to what lies beside a backend's variables.
        """
        return bool(settings.get("read_secrets_backends")) and _PLAIN_NAME.match(name) is not None

    def _may_some(self, access: Access) -> bool:
        """Return whether the caller has the right on some of the things that a call is about; it goes for those."""
        if not access.resource.of_a_dag:
            return access.method == "GET" and bool(self.names(access.resource))
        if access.method != "GET":
            return bool(self.dag_ids_among((access,), self.dag_ids(Access(Resource.DAG, "GET")) or set()))
        dag_ids = self.dag_ids(access)
        return dag_ids is None or bool(dag_ids)

    def is_administrator(self) -> bool:
        """Return whether the caller is an administrator of Airflow."""
        return False

    def oversees(self, effect: Effect) -> bool:
        """Return whether the caller may see, and end, what others do that has such an effect."""
        return self.is_administrator()

    def require_effect(self, effect: Effect) -> None:
        """
        Raise where the caller may do nothing that has such an effect.

        :raises EffectNotAllowed: the configuration forbids it.
        :raises Forbidden: it is for administrators only.
        """
        self._require_switched_on(effect)
        if effect.needs_administrator and not self.is_administrator():
            raise Forbidden(f"{effect.doing} as an administrator of Airflow")

    def _require_switched_on(self, effect: Effect) -> None:
        if effect.switch and not settings.get(effect.switch):
            raise EffectNotAllowed(effect.value, effect.doing, f"[native_api] {effect.switch}")


class ThisProcess(Caller):
    """The Python face: code in a process that may do with Airflow what it likes anyway."""

    name = identity = "this process"

    def may(self, access: Access, identifier: Optional[str] = None) -> bool:
        """Return True: the process has all rights."""
        return True

    def is_administrator(self) -> bool:
        """Return True: the process has all rights."""
        return True

    def asks_secrets_backends(self, name: str) -> bool:
        """Ask, as DAG code does."""
        return True

    def _require_switched_on(self, effect: Effect) -> None:
        """Allow everything: the switches are about calls from outside."""


THIS_PROCESS = ThisProcess()


class TokenHolder(Caller):
    """Whoever holds the static token; it stands for no Airflow user and has the effects configured for it."""

    name = identity = "native_api token"

    def __init__(self, effects: FrozenSet[Effect]) -> None:
        self._effects = effects

    def may(self, access: Access, identifier: Optional[str] = None) -> bool:
        """Return True: only the effects of the token are limited."""
        return True

    def is_administrator(self) -> bool:
        """Stand for one in what its effects allow."""
        return True

    def require(self, access: Access, identifier: Optional[str] = None) -> None:
        """Require the effect of the resource, if it has one."""
        if access.resource.effect is not None:
            self.require_effect(access.resource.effect)

    def require_secret(self, resource: Resource, identifier: str) -> None:
        """Require the effect write."""
        if Effect.WRITE not in self._effects:
            raise SensitiveForToken(Effect.WRITE.value, Effect.WRITE.doing, "[native_api] token_effects")

    def oversees(self, effect: Effect) -> bool:
        """Return whether the token has the effect."""
        return effect in self._effects

    def require_effect(self, effect: Effect) -> None:
        """Require that the token has the effect, and that it is enabled."""
        self._require_listed(effect)
        super().require_effect(effect)

    def _require_listed(self, effect: Effect) -> None:
        if effect not in self._effects:
            raise EffectNotAllowed(effect.value, effect.doing, "[native_api] token_effects")


#: The names of callers that are no users of Airflow.
NAMES_OF_NO_USER = frozenset((ThisProcess.name, TokenHolder.name))
