"""The process that watches over one job: it waits for a slot, starts it, takes its output, and ends all of it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from native_api.adapters.sandbox import job_store, process_tree, worker
from native_api.adapters.sandbox.capture import Capture, Secrets, tail
from native_api.adapters.sandbox.channel import Channel
from native_api.adapters.sandbox.job_store import Record
from native_api.adapters.sandbox.slots import Bounds, Slots
from native_api.adapters.sandbox.watched_process import Process


class Supervisor:
    """
    What happens to one job, from its request to its end.

    *link* leads to the web worker: the request comes in by it, and what becomes of it goes out. When it closes, a job
    that somebody waited for is ended; one in the background goes on.
    """

    def __init__(self, channel: Channel) -> None:
        self._link: Optional[Channel] = channel
        self._told_to_end = False
        #: Descriptors that no job may have.
        self._own: List[int] = [channel.fileno()]
        self._slot: Optional[int] = None
        self._reserved: Optional[int] = None

    def run(self) -> None:
        """Do all of it."""
        os.setsid()
        process_tree.adopt_orphans()
        self._woken = self._watch_signals()
        self._request: Dict[str, Any] = self._link.receive(10) if self._link else {}
        self._in_background: bool = self._request["in_background"]
        self._jobs = Path(self._request["jobs"])
        self._record = self._begin_record()
        self._wait_and_work()
        self._hang_up()
        self._sweep()

    @property
    def grace_seconds(self) -> float:
        """How long a process that is told to end may take to do so by itself."""
        seconds: float = self._request["grace_seconds"]
        return seconds

    @property
    def watch_seconds(self) -> float:
        """How often it looks whether somebody has asked to end the job, and for the time."""
        seconds: float = self._request["watch_seconds"]
        return seconds

    def _begin_record(self) -> Record:
        record = Record.create(self._jobs, self._request["facts"])
        self._hold(record.lock_descriptor)
        return record

    def _wait_and_work(self) -> None:
        refused = self._wait_for_slot()
        if self._slot is None:
            self._finish(refused)
            return
        self._record.set_state(state="running", started_at=time.time())
        self._tell({"state": "running"})
        self._finish(self._work())

    # The slot

    def _wait_for_slot(self) -> Dict[str, Any]:
        """Take a slot; where none comes free in time, or nobody wants it any more, return what becomes of the job."""
        slots = self._slots(self._in_background)
        if self._request["outlive"]:
            # In the background it goes on in any case: its caller must have a part of its share left for that.
            self._reserved = self._hold(self._slots(True).reserve())
            if self._reserved is None:
                return {"state": "refused", "caller_is_full": True}
        entered = slots.enter()
        if entered.slot is None and entered.turn is None:
            return {"state": "refused", "caller_is_full": entered.caller_is_full}
        if self._in_background:
            self._record.keep()
        self._slot = self._hold(entered.slot)
        self._tell({"state": "queued"})
        if entered.turn is not None:
            self._slot = self._hold(self._wait_in_queue(slots))
            os.close(entered.turn)
        return {"state": self.reason_to_end() or "refused", "caller_is_full": slots.is_for_others()}

    def _wait_in_queue(self, slots: Slots) -> Optional[int]:
        until = None if self._in_background else time.monotonic() + self._request["queue_seconds"]
        while (until is None or time.monotonic() < until) and self.reason_to_end() is None:
            self.look(self._request["poll_seconds"], [])
            slot = slots.slot()
            if slot is not None:
                return slot
        return None

    def _slots(self, in_background: bool) -> Slots:
        kind = "background" if in_background else "requests"
        host = self._request["facts"]["hostname"].replace(os.sep, "-")
        folder = self._jobs / ".places" / host / kind
        return Slots(folder, Bounds(*self._request["bounds"][kind]), self._request["caller"])

    def _hold(self, descriptor: Optional[int]) -> Optional[int]:
        if descriptor is not None:
            self._own.append(descriptor)
        return descriptor

    def _free(self, *descriptors: Optional[int]) -> None:
        for descriptor in descriptors:
            if descriptor is not None:
                self._own.remove(descriptor)
                os.close(descriptor)

    def _free_slot(self) -> None:
        self._free(self._slot, self._reserved)
        self._slot = self._reserved = None

    # The work

    def _work(self) -> Dict[str, Any]:
        """Run the job, and what takes back its rows where it did not return; return what came of it."""
        begun = time.monotonic()
        secrets = Secrets()
        output = Capture(self._record.log, self._request["log_bytes"], secrets)
        seconds = self._request["seconds"]
        started = self._fork(self._request["function"], self._request["arguments"], self._record, seconds)
        reason, code = Process(self, started, output, secrets).end(seconds)
        outcome = _outcome(reason, code, self._record.result)
        outcome["seconds"] = round(time.monotonic() - begun, 3)
        if outcome["state"] not in ("success", "failed"):
            self._clean_up(self._record, output, secrets)
        output.close()
        return outcome

    def _clean_up(self, record: Record, output: Capture, secrets: Secrets) -> None:
        """Take back the rows of a job that could not do so itself."""
        if record.facts["cleanup"]:
            function, arguments = record.facts["cleanup"]
            seconds = self._request["cleanup_seconds"]
            started = self._fork(function, arguments, record, seconds)
            Process(self, started, output, secrets).end(seconds, stubborn=True)

    def _fork(
        self, function: str, arguments: Mapping[str, Any], record: Record, seconds: float
    ) -> Tuple[int, int, int]:
        """Start the function; return its process id and the descriptors of its output and of its secrets."""
        parent = os.getpid()
        output, output_end = os.pipe()
        secrets, secrets_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become_worker(parent, output_end, [output, secrets])
            worker.work(
                function,
                arguments,
                result=record.result,
                secrets_to=secrets_end,
                result_bytes=self._request["result_bytes"],
                memory_mb=self._request["memory_mb"],
                seconds=seconds,
            )
        os.close(output_end)
        os.close(secrets_end)
        return pid, output, secrets

    def _become_worker(self, parent: int, output: int, others: List[int]) -> None:
        os.setsid()
        process_tree.die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        for descriptor in [*self._own, *others, output]:
            os.close(descriptor)

    # What happens meanwhile

    def _watch_signals(self) -> int:
        woken, wake = os.pipe()
        for descriptor in (woken, wake):
            os.set_blocking(descriptor, False)
            self._own.append(descriptor)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, self._be_told)
        return woken

    def _be_told(self, number: int, frame: Any) -> None:
        self._told_to_end = True

    def look(self, seconds: float, descriptors: List[int]) -> List[int]:
        """Wait for what the web worker says, a signal, or something to read; return which can be read."""
        self._record.beat()
        ends = [self._link.fileno()] if self._link else []
        readable, _, _ = select.select([*descriptors, self._woken, *ends], [], [], seconds)
        if self._woken in readable:
            os.read(self._woken, 4096)
        if ends and ends[0] in readable:
            self._hear()
        return [descriptor for descriptor in descriptors if descriptor in readable]

    def reason_to_end(self) -> Optional[str]:
        """Return why the job is to end though it has not, or None."""
        return "cancelled" if self._told_to_end or self._record.is_asked_to_end() else None

    def _hear(self) -> None:
        """Hear that the web worker does not wait any longer, or is gone."""
        assert self._link is not None
        try:
            self._link.receive(1)
        except (EOFError, TimeoutError):
            self._abandon()
        else:
            self._go_to_background()

    def _go_to_background(self) -> None:
        self._record.keep()
        self._in_background = True
        # It may run for hours now: nobody's request waits for its slot. In the background it has one if there is one.
        slot = self._hold(self._slots(True).slot_out_of_turn())
        self._free(self._slot)
        self._slot = slot
        if slot is not None:
            self._free(self._reserved)
            self._reserved = None
        self._tell({"state": "in_background"})

    def _abandon(self) -> None:
        self._hang_up()
        self._told_to_end = self._told_to_end or not self._in_background

    def _hang_up(self) -> None:
        if self._link:
            self._own.remove(self._link.fileno())
            self._link.close()
            self._link = None

    # The end

    def _tell(self, message: Mapping[str, Any]) -> None:
        if self._link:
            try:
                self._link.send(message)
            except OSError:
                self._abandon()

    def _finish(self, outcome: Dict[str, Any]) -> None:
        started_at = self._record.state().get("started_at")
        self._record.set_state(**outcome, started_at=started_at, ended_at=time.time())
        log, cut = tail(self._record.log, self._request["tail_bytes"])
        # Whoever hears of the end finds nothing left of the job, and its slot free.
        if not self._record.is_kept():
            self._record.remove()
        self._free_slot()
        self._tell({**outcome, "log": log, "log_cut": cut})

    def _sweep(self) -> None:
        """Take away what killed supervisors left, rows included, and the records that are too old or too many."""
        ended = []
        for record in job_store.every(self._jobs):
            if record.has_ended() and record.is_kept():
                ended.append(record)
            elif record.take_over():
                self._sweep_one(record)
        kept = self._request["kept"]
        since = time.time() - kept["seconds"]
        for record in job_store.beyond(ended, since=since, number=kept["number"], size=kept["bytes"]):
            # This job's own, which is one of them, is held until all is done.
            if record == self._record:
                record.remove()
            elif record.take_over():
                record.remove()
                record.let_go()
        for left in self._jobs.glob(".[0-9a-f]*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > self._request["cleanup_seconds"]:
                    shutil.rmtree(left, ignore_errors=True)

    def _sweep_one(self, record: Record) -> None:
        job_state = record.state()
        if job_state["state"] == "lost":
            secrets = Secrets()
            output = Capture(record.log, self._request["log_bytes"], secrets)
            self._clean_up(record, output, secrets)
            output.close()
            record.set_state(**{**job_state, "ended_at": time.time()})
        if not record.is_kept():
            record.remove()
        record.let_go()


def _outcome(reason: Optional[str], code: int, result: Path) -> Dict[str, Any]:
    """Return the job's state, and its result, its error or its exit code."""
    if reason:
        return {"state": reason, "exit_code": code}
    try:
        told = json.loads(result.read_text())
    except (OSError, ValueError):
        return {"state": "crashed", "exit_code": code}
    if code:
        return {"state": "crashed", "exit_code": code}
    return {"state": "failed" if "error" in told else "success", **told}
