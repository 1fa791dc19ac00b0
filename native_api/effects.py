"""What an operation does: its effect decides its HTTP method, the CSRF rule, its audit row and its option."""

from __future__ import annotations

from enum import Enum
from typing import Optional


class Effect(str, Enum):
    """What an operation does; decides its HTTP method, the CSRF rule and the audit row."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"
    DEPLOY = "deploy"
    DAEMON = "daemon"

    @property
    def needs_administrator(self) -> bool:
        """Whether Airflow's own rights are not enough: its web users are not those who write its code."""
        return self in (Effect.DEPLOY, Effect.DAEMON)

    @property
    def is_told_before(self) -> bool:
        """Whether the audit row is written before the operation runs: what it starts may never come back."""
        return self in (Effect.EXECUTE, Effect.DEPLOY, Effect.DAEMON)

    @property
    def switch(self) -> Optional[str]:
        """The option that allows such operations at all; None where nothing forbids them."""
        return _SWITCHES.get(self)

    @property
    def doing(self) -> str:
        """What such operations do, in words."""
        return _DOING[self]


_SWITCHES = {Effect.EXECUTE: "allow_execute", Effect.DEPLOY: "allow_deploy", Effect.DAEMON: "allow_daemons"}
_DOING = {
    Effect.READ: "read",
    Effect.WRITE: "write to the database",
    Effect.EXECUTE: "execute DAG code",
    Effect.DEPLOY: "deploy code",
    Effect.DAEMON: "start or stop processes",
}
