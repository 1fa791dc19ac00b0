"""The effects of operations."""

from __future__ import annotations

from enum import Enum
from typing import Optional


class Effect(str, Enum):
    """
    What an operation does.

    It determines the HTTP method, whether proof against cross-site requests is required, whether and when the audit log
    is written, and the option that enables the operation.
    """

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"
    DEPLOY = "deploy"
    DAEMON = "daemon"

    @property
    def needs_administrator(self) -> bool:
        """Whether the operation requires an administrator: no permission of Airflow's covers deploying DAG code."""
        return self in (Effect.DEPLOY, Effect.DAEMON)

    @property
    def is_audited_before(self) -> bool:
        """Whether the audit log is written before the operation runs, which may never return."""
        return self in (Effect.EXECUTE, Effect.DEPLOY, Effect.DAEMON)

    @property
    def option(self) -> Optional[str]:
        """The option that enables such operations; None for those that are always enabled."""
        return _OPTIONS.get(self)

    @property
    def doing(self) -> str:
        """What such operations do, as a phrase for messages."""
        return _DOING[self]


_OPTIONS = {Effect.EXECUTE: "allow_execute", Effect.DEPLOY: "allow_deploy", Effect.DAEMON: "allow_daemons"}
_DOING = {
    Effect.READ: "read",
    Effect.WRITE: "write to the database",
    Effect.EXECUTE: "execute DAG code",
    Effect.DEPLOY: "deploy code",
    Effect.DAEMON: "start or stop processes",
}
