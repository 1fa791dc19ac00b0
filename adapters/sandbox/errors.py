"""What came of a job that did not succeed, as one of our errors."""

from __future__ import annotations

from typing import Any, Mapping

from native_api import errors
from native_api.errors import JobCancelled, JobTimedOut, NativeApiError, TooManyJobs, UserCodeCrashed, UserCodeFailed


def error_of(outcome: Mapping[str, Any], request: Mapping[str, Any]) -> NativeApiError:
    """
    Return the error that the outcome stands for.

    :param request: what the supervisor was told; its ``seconds`` are the limit that a job may have passed.
    """
    state, log = outcome["state"], outcome.get("log", "")
    if state == "refused":
        return TooManyJobs()
    if state == "timeout":
        return JobTimedOut(log, request["seconds"])
    if state == "cancelled":
        return JobCancelled(log)
    if state == "failed":
        return _raised(outcome["error"], log)
    return UserCodeCrashed(log, outcome.get("exit_code", -9))


def _raised(error: Mapping[str, Any], log: str) -> NativeApiError:
    if "ours" in error:
        ours: NativeApiError = getattr(errors, error["ours"])(**error["data"])
        return ours
    return UserCodeFailed(log, **error)
