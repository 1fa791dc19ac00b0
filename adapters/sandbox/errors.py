"""The error of a job that did not succeed."""

from __future__ import annotations

from native_api import errors
from native_api.adapters.sandbox.messages import ErrorData, Message
from native_api.errors import JobCancelled, JobTimedOut, NativeApiError, TooManyJobs, UserCodeCrashed, UserCodeFailed


def error_of(outcome: Message, limit_seconds: float, *, in_background: bool = False) -> NativeApiError:
    """
    Return the error for an outcome.

    :param outcome: the last message of the supervisor; its state is not success.
    :param limit_seconds: the timeout of the job.
    :param in_background: whether that is the timeout of asynchronous jobs.
    """
    state, printed = outcome["state"], (outcome.get("log", ""), outcome.get("log_cut", False))
    if state == "refused":
        return TooManyJobs(in_background, bool(outcome.get("caller_is_full")))
    if state == "timeout":
        return JobTimedOut(*printed, limit_seconds, in_background)
    if state == "cancelled":
        return JobCancelled(*printed)
    if state == "failed":
        return raised(outcome["error"], *printed)
    return UserCodeCrashed(*printed, outcome.get("exit_code", -9))


def raised(error: ErrorData, log: str = "", log_cut: bool = False) -> NativeApiError:
    """Return the error that the function of a job has raised: a NativeApiError, or else a UserCodeFailed."""
    if "ours" in error:
        ours: NativeApiError = getattr(errors, error["ours"])(**error["data"])
        return ours
    return UserCodeFailed(
        log, log_cut, error["exception"], error["message"], error.get("traceback"), error.get("exit_code")
    )
