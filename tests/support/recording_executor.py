"""An executor of Airflow 2 that records what it gets, in place of a Celery or Kubernetes executor."""

from __future__ import annotations

from typing import Any, List

from airflow.executors.base_executor import BaseExecutor

commands: List[List[str]] = []


def use(monkeypatch: Any, broken: bool = False) -> None:
    """Let Airflow use this executor."""
    from airflow.executors.executor_loader import ExecutorLoader

    commands.clear()
    monkeypatch.setattr(RecordingExecutor, "is_broken", broken)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", f"{__name__}.RecordingExecutor")
    monkeypatch.setattr(ExecutorLoader, "_default_executor", None, raising=False)
    # From 2.10 on.
    for name, nothing in (("_executor_names", []), ("_loaded_executors", {})):
        monkeypatch.setattr(f"airflow.executors.executor_loader.{name}", nothing, raising=False)


class RecordingExecutor(BaseExecutor):
    """Records the commands and runs nothing."""

    is_broken = False
    # Airflow lets no other executor near SQLite.
    is_single_threaded = True
    supports_ad_hoc_ti_run = True

    def execute_async(self, key: Any, command: Any, queue: Any = None, executor_config: Any = None) -> None:
        """Record a command."""
        if self.is_broken:
            raise ConnectionError("there is no broker")
        commands.append(list(command))

    def end(self) -> None:
        """Do nothing."""
