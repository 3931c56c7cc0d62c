"""The durable store: a notification that `add` returned for survives kill -9, an outage and a restart.

SQLite in WAL, one writer thread that commits in batches (`writer`).  A commit needs no disk to
survive a dead process; for a power cut the WAL is put on disk every 50 ms beside the call path
(`durability = "interval"`, `sync`), or before `add` returns ("full").

Where the files are removed, cut or broken under a running process, or found broken, they are set aside
(`watch`, `aside`), and what the deliverer knows to be open goes into a new store: with the next
commit, after a second at the latest.  Lost is what was committed since the last look if the process is killed before.
"""

from __future__ import annotations

import threading
from pathlib import Path

from callsign import clocks
from callsign.notification import Notification, State
from callsign.outbox import schema as sql
from callsign.outbox.jobs import new_job_of
from callsign.outbox.values import Added, Job, Listen, OnJobs, OnNewStore, OutboxError
from callsign.outbox.writer import OutboxWriter

__all__ = ["ADD_SECONDS", "COMMIT_SECONDS", "Added", "Job", "OnJobs", "Outbox", "OutboxError"]

ADD_SECONDS = 0.5
"""How long the path of a call may wait for the store before it goes on with ERROR."""

COMMIT_SECONDS = 0.5
"""And for a commit that has begun by then: its word counts."""

MOST_NUMBER = 2**53
"""No store comes that far: what is above is a mistake, and would leave no number for the next job."""


class Outbox:
    """One process's hand on the store.  Opening never raises: a broken store refuses each `add` instead."""

    def __init__(self, path: Path, durability: str = "interval", keep_days: float = 7.0, at_once: bool = False) -> None:
        """`at_once`: an `add` that finds the writer idle commits in its own thread, which is quicker.

        A disk that hangs holds that thread too, so the caller needs a guard (`steps.call_guard`); and it must call
        `hand_over`, or the job goes to delivery up to a second later.
        """
        self.path = path
        self._at_once = at_once and durability != "full"  # which waits for the disk: in batches
        self._writer = OutboxWriter(path, durability == "full", keep_days * 86400, checks=at_once)
        self._queue = self._writer.queue
        self._closed = False
        self.poll()

    def add(self, notification: Notification, patience_seconds: float = ADD_SECONDS) -> Added:
        """Stores the notification; when this returns it is safe.

        A notification whose `dedupe_key` is known already is not stored again.  Raises OutboxError, and then
        nothing is stored; only a commit that hangs in the disk may still come through, and the text says so.
        """
        if self._closed:
            raise OutboxError(f"the store {self.path} is closed: callsign is stopping")
        new = new_job_of(notification)
        if self._at_once and self._writer.commit_at_once(new) and new.added is not None:
            return new.added
        new.ready.acquire()
        self._queue.put(new)
        if not new.ready.acquire(timeout=patience_seconds):
            if new.claim.acquire(blocking=False):
                late = f"the store {self.path} did not answer within {patience_seconds:g} s"
                raise OutboxError(f"{late}: a slow disk, or another process holds it; see [outbox] path")
            new.ready.acquire(timeout=COMMIT_SECONDS)  # the writer had just begun with it
        if new.added is None:
            hangs = f"the store {self.path} hangs in a commit: it may be stored all the same; see [outbox] path"
            raise OutboxError(new.trouble or hangs)
        return new.added

    def hand_over(self) -> None:
        """Jobs that were committed at once go to who delivers: where a call goes on, or waits for the vendor."""
        self._writer.hand_over()

    def note_attempt(self, job: Job, next_try_seconds: float, reason: str, milliseconds: float) -> None:
        """Writes down that an attempt ended without a verdict."""
        now, which = clocks.wall(), (job.id, job.notification.created_at)
        self._queue.put(
            [
                (sql.NOTE_ATTEMPT, (job.attempts, now + next_try_seconds, reason, *which)),
                (sql.ADD_EVENT, (now, "try later", milliseconds, reason, *which)),
            ]
        )

    def end(self, job: Job, state: State, reason: str, milliseconds: float | None = None) -> None:
        """Moves the job from what waits to what has ended, without waiting for that: a lost one is only a repeat."""
        now, which = clocks.wall(), (job.id, job.notification.created_at)
        self._queue.put(
            [
                (sql.ADD_EVENT, (now, state.value, milliseconds, reason, *which)),
                (sql.END_JOB, (job.attempts, state.value, now, reason, *which)),
                (sql.DELETE_JOB, which),
            ]
        )

    @property
    def is_stuck(self) -> bool:
        """Whether the store could not be written when that was last tried."""
        return self._writer.is_stuck

    def note_question(self, system: str, action: str, status: str, reason: str) -> None:
        """Counts a question and what became of it; not while the store cannot be written."""
        if self._closed or self.is_stuck:
            return
        now = clocks.wall()
        self._queue.put([(sql.NOTE_ASKED, (system, status, int(now // 60), now, action, reason))])

    def note_known(self, up_to: int | None) -> None:
        """Writes down up to which job the other hosts may know of those here; None: of all."""
        self._queue.put([(sql.NOTE_KNOWN, (up_to,))])

    def give_above(self, number: int) -> None:
        """The next job has a higher number: the other hosts know a job by this one, which the store has lost."""
        if number <= MOST_NUMBER:
            self._queue.put([(sql.KEEP_IDS_RISING, (number, number))])

    def wait_written(self, seconds: float) -> None:
        """Waits up to `seconds` until all that has ended is written, as far as the store can be."""
        done = threading.Event()
        self._queue.put(done)
        done.wait(seconds)

    def listen(self, on_jobs: OnJobs, on_new_store: OnNewStore | None = None) -> None:
        """From now on `on_jobs` gets every open job, at once, and then every new one, of any process, as stored.

        It is called after the commit in a thread of the store's, mostly the writer's, and must be quick.
        `on_new_store` is called in the writer's thread, when the store was lost while in use and made again.
        """
        self._queue.put(Listen(on_jobs, on_new_store))

    def stop_listening(self, seconds: float) -> None:
        """The jobs are somebody else's from now on; waits up to `seconds` until all that was ended is written."""
        self._queue.put(Listen(None))
        self.wait_written(seconds)

    @property
    def is_alive(self) -> bool:
        """Whether the thread that writes still runs: without it every `add` would be refused, for ever."""
        return self._writer.is_alive

    def wait_open(self, seconds: float) -> None:
        """Returns when the store is open, or broken, or after `seconds`: making one takes a slow disk a second."""
        self._writer.has_looked.wait(seconds)

    def poll(self) -> None:
        """Lets the writer look for jobs that another process stored."""
        self._queue.put(threading.Event())

    def close(self) -> None:
        """Writes what is still to be written and closes the store."""
        self._closed = True
        self._writer.close()
