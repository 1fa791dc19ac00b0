"""Runs that have ended, for a test to change."""

from __future__ import annotations

from tests.support.dag_runs import runs

__all__ = ["runs"]
