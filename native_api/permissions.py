"""The rights of callers, in Airflow's own terms, and the callers that are not Airflow users."""

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
    The resource of a right, and the argument that identifies one of them.

    Resources that Airflow's auth managers do not have require an administrator.
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
        #: Reading the resource requires that the caller can call operations of this effect; None for Airflow's own
        #: resources.
        self.effect = effect

    @property
    def of_a_dag(self) -> bool:
        """Whether the right is granted per DAG."""
        return self.argument == "dag_id"


_VERBS = {"GET": "read", "POST": "create", "PUT": "edit", "DELETE": "delete"}


@dataclass(frozen=True)
class Access:
    """A right on a resource; *method* is GET, POST, PUT or DELETE, as in Airflow's auth managers."""

    resource: Resource
    method: str

    def identifier(self, arguments: Mapping[str, Any]) -> Optional[str]:
        """Return the argument that identifies the resource, or None for all resources."""
        return arguments.get(self.resource.argument)

    def describe(self, identifier: Optional[str]) -> str:
        """Return the right as a phrase that follows 'the permission to'."""
        which = f" of the DAG '{identifier}'" if self.resource.of_a_dag else f" '{identifier}'"
        if self.resource is Resource.DAG:
            which = f" '{identifier}'"
        words = f"{_VERBS[self.method]} the {self.resource.noun}{which if identifier else 's'}"
        return words if self.resource.effect is None else f"{words} as an administrator of Airflow"


#: A name that is safe in a path, as secrets backends such as Vault's build it.
_PLAIN_NAME = re.compile(r"(?!\.+(/|\Z))[\w.@:+-]+(/(?!\.+(/|\Z))[\w.@:+-]+)*\Z")

#: The rights that executing the code of a DAG requires.
EXECUTE_DAG = (Access(Resource.DAG, "PUT"), Access(Resource.DAG_RUN, "POST"))


class Caller(ABC):
    """
    The caller of an operation.

    *name* is for people, for example in the audit log; *identity* is unique to the caller.
    """

    name: str
    identity: str
    user_id: Any = None

    @abstractmethod
    def may(self, access: Access, identifier: Optional[str] = None) -> bool:
        """Return whether the caller has the right."""

    def dag_ids(self, access: Access) -> Optional[Set[str]]:
        """Return the dag_ids of the DAGs on which the caller has the right, a right to read; None for all."""
        return None

    def dag_ids_among(self, accesses: Iterable[Access], dag_ids: Set[str]) -> Set[str]:
        """Return the DAGs on which the caller has all of the rights."""
        return dag_ids

    def may_new(self, access: Access, bundle: Optional[str]) -> bool:
        """Return whether the caller has the right on every future DAG, in the bundle; Airflow 2 has no bundles."""
        return True

    def names(self, resource: Resource) -> Optional[Set[str]]:
        """Return the identifiers of the resources that the caller can read, of a kind without DAG; None for all."""
        return None

    def bundles(self) -> Optional[Set[str]]:
        """Return the names of the bundles of the caller's teams and of no team; None where there are no teams."""
        return None

    def require(self, access: Access, identifier: Optional[str] = None) -> None:
        """
        Require the right on the identified resource, or on all of them.

        :raises EffectNotAllowed: the configuration disables the effect of the resource.
        :raises Forbidden: the caller lacks the right.
        """
        if access.resource.effect is not None:
            self._require_enabled(access.resource.effect)
        if not self.may(access, identifier) and (identifier is not None or not self._may_some(access)):
            raise Forbidden(access.describe(identifier))

    def require_of_another(self, access: Access, dag_id: str, otherwise: str) -> None:
        """
        Require the right on a DAG that the request does not name.

        :param otherwise: the right in words without the dag_id, for a caller who cannot read the DAG.
        :raises Forbidden: the caller lacks the right.
        """
        if not self.may(access, dag_id):
            knows = self.may(Access(Resource.DAG, "GET"), dag_id)
            raise Forbidden(access.describe(dag_id) if knows else otherwise)

    def require_secret(self, resource: Resource, identifier: str) -> None:
        """
        Require the right to read sensitive values of a resource, which is the right to edit it.

        :raises SensitiveValue: the caller lacks the right.
        """
        editing = Access(resource, "PUT")
        if not self.may(editing, identifier):
            raise SensitiveValue(editing.describe(identifier))

    def reads_secrets_backends(self, name: str) -> bool:
        """
        Return whether secrets backends and the environment are searched for the variable or connection of that name.

        A name such as ``../x`` is never searched, since it could leave the folder of a backend.
        """
        return bool(settings.get("read_secrets_backends")) and _PLAIN_NAME.match(name) is not None

    def _may_some(self, access: Access) -> bool:
        """Return whether the caller has the right on some resource; an operation on several is limited to those."""
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
        """Return whether the caller can read and cancel jobs of others with that effect."""
        return self.is_administrator()

    def require_effect(self, effect: Effect) -> None:
        """
        Require that the caller can call operations of that effect.

        :raises EffectNotAllowed: the configuration disables it.
        :raises Forbidden: it requires an administrator.
        """
        self._require_enabled(effect)
        if effect.needs_administrator and not self.is_administrator():
            raise Forbidden(f"{effect.doing} as an administrator of Airflow")

    def _require_enabled(self, effect: Effect) -> None:
        if effect.option and not settings.get(effect.option):
            raise EffectNotAllowed(effect.value, effect.doing, f"[native_api] {effect.option}")


class ThisProcess(Caller):
    """The caller of the Python API: code of the process, which has all rights anyway."""

    name = identity = "this process"

    def may(self, access: Access, identifier: Optional[str] = None) -> bool:
        """Return True: the process has all rights."""
        return True

    def is_administrator(self) -> bool:
        """Return True: the process has all rights."""
        return True

    def reads_secrets_backends(self, name: str) -> bool:
        """Return True: DAG code reads them, too."""
        return True

    def _require_enabled(self, effect: Effect) -> None:
        """Allow all effects: the options are about requests."""


THIS_PROCESS = ThisProcess()


class TokenHolder(Caller):
    """A caller with the static token, which is not an Airflow user and has the effects in token_effects."""

    name = identity = "native_api token"

    def __init__(self, effects: FrozenSet[Effect]) -> None:
        self._effects = effects

    def may(self, access: Access, identifier: Optional[str] = None) -> bool:
        """Return True: only the effects of the token are limited."""
        return True

    def is_administrator(self) -> bool:
        """Return True: only the effects of the token are limited."""
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


#: The names of callers that are not users of Airflow.
NON_USER_NAMES = frozenset((ThisProcess.name, TokenHolder.name))
