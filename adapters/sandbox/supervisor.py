"""The process that supervises one job: it waits for a slot, starts the job, writes its log, and ends its processes."""

from __future__ import annotations

import os
import select
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import List, Optional

from native_api.adapters.sandbox import job_store, process_tree
from native_api.adapters.sandbox.capture import Capture, Secrets, tail
from native_api.adapters.sandbox.channel import Channel
from native_api.adapters.sandbox.job_process import JobProcess, wake_on_signals
from native_api.adapters.sandbox.job_store import Record
from native_api.adapters.sandbox.messages import Message, Request, State
from native_api.adapters.sandbox.slots import Bounds, Slots


class Supervisor:
    """
    The supervisor of one job.

    :param channel: the channel to the web worker. It carries the request, and then messages with the state of the job.
        When it closes, a job within a request is cancelled; one in the background continues.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel: Optional[Channel] = channel
        self._cancel_requested = False
        #: Descriptors that the worker closes.
        self._own_descriptors: List[int] = [channel.fileno()]
        self._slot: Optional[int] = None
        self._reserved: Optional[int] = None

    def run(self) -> None:
        """Run the job, store its outcome, and delete old records."""
        os.setsid()
        process_tree.adopt_orphans()
        self._woken = self._watch_signals()
        assert self._channel is not None
        self._request: Request = self._channel.receive(10)
        self._in_background = self._request["in_background"]
        self._jobs = Path(self._request["jobs"])
        self._record = self._begin_record()
        self._wait_and_work()
        self._disconnect()
        self._sweep()

    @property
    def grace_seconds(self) -> float:
        """The seconds between SIGTERM and SIGKILL."""
        return self._request["grace_seconds"]

    @property
    def watch_seconds(self) -> float:
        """The interval at which timeout and cancellation are checked, in seconds."""
        return self._request["watch_seconds"]

    def _begin_record(self) -> Record:
        record = Record.create(self._jobs, self._request["facts"])
        self._register(record.lock_descriptor)
        return record

    def _wait_and_work(self) -> None:
        refused = self._wait_for_slot()
        if self._slot is None:
            self._finish(refused)
            return
        self._record.set_state(state="running", started_at=time.time())
        self._send({"state": "running"})
        self._finish(self._run_job())

    # The slot

    def _wait_for_slot(self) -> State:
        """Take a slot. The result is the outcome of a job that got none: it was refused or cancelled."""
        slots = self._slots(self._in_background)
        if self._request["outlive"]:
            # It can continue in the background without a slot, but counts for the share of its caller there.
            self._reserved = self._register(self._slots(True).reserve())
            if self._reserved is None:
                return {"state": "refused", "caller_is_full": True}
        entered = slots.enter()
        if entered.slot is None and entered.turn is None:
            return {"state": "refused", "caller_is_full": entered.caller_is_full}
        if self._in_background:
            self._record.keep()
        self._slot = self._register(entered.slot)
        self._send({"state": "queued"})
        if entered.turn is not None:
            self._slot = self._register(self._wait_in_queue(slots))
            os.close(entered.turn)
        return {"state": self.stop_reason() or "refused", "caller_is_full": slots.is_reserved_for_others()}

    def _wait_in_queue(self, slots: Slots) -> Optional[int]:
        until = None if self._in_background else time.monotonic() + self._request["queue_seconds"]
        while (until is None or time.monotonic() < until) and self.stop_reason() is None:
            self.wait(self._request["poll_seconds"], [])
            slot = slots.slot()
            if slot is not None:
                return slot
        return None

    def _slots(self, in_background: bool) -> Slots:
        kind = "background" if in_background else "requests"
        host = self._request["facts"]["hostname"].replace(os.sep, "-")
        folder = self._jobs / ".places" / host / kind
        return Slots(folder, Bounds(*self._request["bounds"][kind]), self._request["caller"])

    def _register(self, descriptor: Optional[int]) -> Optional[int]:
        if descriptor is not None:
            self._own_descriptors.append(descriptor)
        return descriptor

    def _free(self, *descriptors: Optional[int]) -> None:
        for descriptor in descriptors:
            if descriptor is not None:
                self._own_descriptors.remove(descriptor)
                os.close(descriptor)

    def _free_slot(self) -> None:
        self._free(self._slot, self._reserved)
        self._slot = self._reserved = None

    # The work

    def _run_job(self) -> State:
        """Run the job and, if its process did not end by itself, its cleanup; return the outcome."""
        secrets = Secrets()
        output = Capture(self._record.log, self._request["log_bytes"], secrets)
        outcome = self._process(self._record, output, secrets).run()
        output.close()
        return outcome

    def _process(self, record: Record, output: Capture, secrets: Secrets) -> JobProcess:
        return JobProcess(self, self._request, output, secrets, record.result, self._own_descriptors)

    # Signals and messages

    def _watch_signals(self) -> int:
        woken, wake = wake_on_signals()
        self._own_descriptors += [woken, wake]
        signal.signal(signal.SIGTERM, self._on_sigterm)
        return woken

    def _on_sigterm(self, number: int, frame: Optional[FrameType]) -> None:
        self._cancel_requested = True

    def wait(self, seconds: float, descriptors: List[int]) -> List[int]:
        """
        Wait for a message of the web worker, a signal, or data; return the descriptors that have data.

        :param seconds: the timeout.
        :param descriptors: pipes of the worker.
        """
        self._record.heartbeat()
        ends = [self._channel.fileno()] if self._channel else []
        readable, _, _ = select.select([*descriptors, self._woken, *ends], [], [], seconds)
        if self._woken in readable:
            os.read(self._woken, 4096)
        if ends and ends[0] in readable:
            self._receive()
        return [descriptor for descriptor in descriptors if descriptor in readable]

    def stop_reason(self) -> Optional[str]:
        """Return ``cancelled`` if the job is to be cancelled, or None."""
        return "cancelled" if self._cancel_requested or self._record.is_cancel_requested() else None

    def _receive(self) -> None:
        """Receive from the web worker that the job continues in the background, or that the channel is closed."""
        assert self._channel is not None
        try:
            self._channel.receive(1)
        except (EOFError, TimeoutError):
            self._abandon()
        else:
            self._go_to_background()

    def _go_to_background(self) -> None:
        self._record.keep()
        self._in_background = True
        # It can run for hours: free the slot of requests, and take one of the background if there is one.
        slot = self._register(self._slots(True).slot_out_of_turn())
        self._free(self._slot)
        self._slot = slot
        if slot is not None:
            self._free(self._reserved)
            self._reserved = None
        self._send({"state": "in_background"})

    def _abandon(self) -> None:
        self._disconnect()
        self._cancel_requested = self._cancel_requested or not self._in_background

    def _disconnect(self) -> None:
        if self._channel:
            self._own_descriptors.remove(self._channel.fileno())
            self._channel.close()
            self._channel = None

    # The end

    def _send(self, message: Message) -> None:
        if self._channel:
            try:
                self._channel.send(message)
            except OSError:
                self._abandon()

    def _finish(self, outcome: State) -> None:
        started_at = self._record.state().get("started_at")
        self._record.set_state(**outcome, started_at=started_at, ended_at=time.time())
        log, cut = tail(self._record.log, self._request["tail_bytes"])
        # Before the web worker gets the outcome, the record is deleted and the slot is free.
        if not self._record.is_kept():
            self._record.remove()
        self._free_slot()
        self._send({**outcome, "log": log, "log_cut": cut})

    def _sweep(self) -> None:
        """Clean up after killed supervisors, with the cleanup of their jobs, and delete old records."""
        ended = []
        for record in job_store.every(self._jobs):
            if record.has_ended() and record.is_kept():
                ended.append(record)
            elif record.take_over():
                self._sweep_one(record)
        kept = self._request["kept"]
        since = time.time() - kept["seconds"]
        for record in job_store.expired(ended, since=since, number=kept["number"], size=kept["bytes"]):
            # The record of this job stays locked until this process ends.
            if record == self._record:
                record.remove()
            elif record.take_over():
                record.remove()
                record.release()
        for left in self._jobs.glob(".[0-9a-f]*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > self._request["cleanup_seconds"]:
                    shutil.rmtree(left, ignore_errors=True)

    def _sweep_one(self, record: Record) -> None:
        job_state = record.state()
        if job_state["state"] == "lost":
            secrets = Secrets()
            output = Capture(record.log, self._request["log_bytes"], secrets)
            self._process(record, output, secrets).clean_up(record.facts["cleanup"])
            output.close()
            record.set_state(**{**job_state, "ended_at": time.time()})
        if not record.is_kept():
            record.remove()
        record.release()
