"""What web server and worker send one another: only those who have the key can make it or read it."""

from __future__ import annotations

import time
from typing import Any, Dict

import pytest

from native_api.adapters.executor import functions, sealing, task
from native_api.adapters.executor.sealing import NotSealed, seal, unseal
from native_api.adapters.sandbox import import_path
from native_api.adapters.task_execution import render_job
from native_api.errors import JobsDagUnavailable

KEY, OTHER = "ZmDfcTF7_60GrrY167zsiPd67pEvs0aGOv2oasOM1Pg=", "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs="
VARIABLE = "AIRFLOW__CORE__FERNET_KEY"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, KEY)


def request_of(job_id: str, function: str = "") -> Dict[str, Any]:
    """Return as much of a request as is checked."""
    return {
        "function": function or import_path(render_job.render),
        "facts": {"job_id": job_id, "cleanup": None},
    }


def test_a_message_is_read_by_who_has_the_key() -> None:
    """It is no plain text in between."""
    sealed = seal({"a": ["secret", 1]})
    assert "secret" not in sealed
    assert unseal(sealed) == {"a": ["secret", 1]}


def test_another_key_does_not_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does the key with which it was encrypted, where it was changed on the way."""
    sealed = seal("text")
    with pytest.raises(NotSealed):
        unseal(sealed[:-8] + "AAAAAAA=")
    monkeypatch.setenv(VARIABLE, OTHER)
    with pytest.raises(NotSealed):
        unseal(sealed)


def test_keys_can_be_rotated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of Airflow: the first of several encrypts, and all decrypt."""
    sealed = seal("text")
    monkeypatch.setenv(VARIABLE, f"{OTHER},{KEY}")
    assert unseal(sealed) == "text"


def test_what_airflow_has_encrypted_is_no_message() -> None:
    """Who can have Airflow encrypt a value, as that of a variable, can still make no request."""
    from cryptography.fernet import Fernet

    with pytest.raises(NotSealed):
        unseal(Fernet(KEY.encode()).encrypt(b"x\x9c").decode())


def test_an_old_message_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request cannot be executed again after its DAG run was deleted."""
    sealed = seal("text")
    assert unseal(sealed, lifetime=60) == "text"
    later = time.time() + 120
    monkeypatch.setattr("time.time", lambda: later)
    with pytest.raises(NotSealed):
        unseal(sealed, lifetime=60)


def test_without_a_key_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which option to set."""
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(JobsDagUnavailable, match="fernet_key"):
        seal("text")


class TestRequests:
    """What a worker executes nothing of."""

    def test_one_of_its_own_run(self) -> None:
        """It is accepted."""
        assert task._request_of(seal(request_of("this run")), "this run")["function"] == import_path(render_job.render)

    def test_one_of_another_run(self) -> None:
        """A copied request is refused."""
        with pytest.raises(task._Refused, match="another run"):
            task._request_of(seal(request_of("that run")), "this run")

    def test_one_of_another_function(self) -> None:
        """Only functions that are declared as jobs are called."""
        with pytest.raises(task._Refused, match="does not exist"):
            task._request_of(seal(request_of("this run", "os:system")), "this run")
        assert not functions.is_allowed("os:system")

    def test_one_with_another_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The worker says what it lacks."""
        sealed = seal(request_of("this run"))
        for key, sentence in ((OTHER, "another one than"), ("", "has no key")):
            monkeypatch.setenv(VARIABLE, key)
            with pytest.raises(task._Refused, match=sentence):
                task._request_of(sealed, "this run")

    def test_none(self) -> None:
        """A run that somebody has triggered executes nothing."""

        class Run:
            conf: Dict[str, Any] = {}
            run_id = "this run"

        with pytest.raises(task.JobError, match="not created by airflow-native-api"):
            task.run(Run(), None)


def test_the_lifetime_is_a_day() -> None:
    """As the worker's error says."""
    assert sealing.LIFETIME == 24 * 3600
