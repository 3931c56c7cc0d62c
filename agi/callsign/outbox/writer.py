"""The one thread that writes to the store: all that is queued in one transaction, under the write lock.

A call that finds it idle commits in its own thread, in its turn (`commit_at_once`).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from callsign import thread_starts
from callsign.log_text import own_fault
from callsign.outbox import schema as sql
from callsign.outbox.access import StoreAccess
from callsign.outbox.after_loss import AfterLoss
from callsign.outbox.file import LOCK_SECONDS
from callsign.outbox.hand_over import AFTER_SECONDS, HandOver
from callsign.outbox.jobs import insert
from callsign.outbox.others import NOTHING_SEEN, JobsOfOthers, SeenUpTo
from callsign.outbox.sync import WalSync
from callsign.outbox.unwritten import Unwritten, ends_in
from callsign.outbox.upkeep import Tidying
from callsign.outbox.values import Added, Change, Job, Listen, NewJob
from callsign.outbox.write_queue import Batch, WriteQueue

if TYPE_CHECKING:
    from callsign.outbox.check import StoreCheck

QUIET_SECONDS = 1.0  # without work, after which the writer looks for jobs of other processes and tidies up
CLOSE_SECONDS = 2 * LOCK_SECONDS + 1  # two waits for the lock, and the last commit

log = logging.getLogger("callsign.outbox")


class OutboxWriter:
    """Owns the connection; everything comes to it through `queue`."""

    def __init__(self, path: Path, full: bool, keep_seconds: float, checks: bool) -> None:
        """`checks`: the whole store is looked at now and then, whether it is in order."""
        self.queue = WriteQueue()
        self._path = path
        self._store = StoreAccess(path, full)
        self._sync = None if full else WalSync(path)
        self.has_looked = threading.Event()
        """Whether the store was opened, or found to be broken."""
        self._check: StoreCheck | None = None
        if checks:
            from callsign.outbox.check import StoreCheck  # no plain script does

            self._check = StoreCheck(path, self.has_looked, self._store.file.report)
        self._turn = threading.Lock()  # around every use of the connection and of what is below
        self._hand_over = HandOver(path, self._store.file.report)
        self._others = JobsOfOthers(self._store.file)
        self._after_loss = AfterLoss(self._store.file)
        self._unwritten: list[Change] = []
        self._kept = Unwritten(path)
        self._logged: set[str] = set()  # what the log has said since the store worked last
        self._tidying = Tidying(self._store, keep_seconds)
        self._thread = thread_starts.Thread("outbox-writer", self._run)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    @property
    def is_stuck(self) -> bool:
        """Whether the store could not be written when that was last tried."""
        return bool(self._logged)

    def close(self) -> None:
        """Writes what is queued, closes the store and ends."""
        if self._check is not None:
            self._check.close()
        self.queue.put(None)
        self._thread.join(CLOSE_SECONDS)
        if self._sync is not None:
            self._sync.close()

    def _run(self) -> None:
        last = False
        while not last:
            owes = self._hand_over.is_due
            batch = self.queue.next_batch(AFTER_SECONDS if owes else QUIET_SECONDS)
            last = batch.last
            try:
                if batch.timed_out or not batch.is_empty:
                    with self._turn:
                        self._serve(batch, quiet=batch.timed_out and not owes)
            except Exception as fault:  # our own fault must not end the thread that every call depends on
                log.error("the store's writer: %s", own_fault(fault))
                self._unwritten = []
                for new in batch.new_jobs:
                    if new.added is None and not new.trouble:
                        new.answer(None, "a fault in callsign itself, see its log")
            self.has_looked.set()
            for done in batch.waiting:
                done.set()
        self._close()

    def _serve(self, batch: Batch, quiet: bool) -> None:
        self._hand_over.now()
        for listen in batch.listens:
            self._set_listener(listen)
        if quiet or not batch.is_empty:
            self._commit(batch, quiet)
            self._tidy_up(quiet)

    def _set_listener(self, listen: Listen) -> None:
        self._hand_over.listen(listen.on_jobs, listen.on_new_store)
        self._others.seen = NOTHING_SEEN
        if listen.on_jobs is not None:
            self._unwritten = self._kept.found() + self._unwritten

    # -- one call ------------------------------------------------------------------------------------

    def commit_at_once(self, new: NewJob) -> bool:
        """Commits in the caller's thread: two changes of hands fewer.  False: nothing was done, it is to be queued.

        Only where nothing can make it wait but the kernel, which takes the bytes.  That can hang with the
        disk, so the caller needs a guard (`steps.call_guard`).
        """
        if not self._turn.acquire(blocking=False):
            return False
        try:
            if not self.queue.is_empty or self._unwritten or not self._store.file.is_open:
                return False
            ((_, new.added),), jobs, seen = self._write([new], [], patient=False)
            self._tidying.writes += 1
            if self._sync is not None:
                self._sync.committed()
            self._note(jobs, seen)
        except Exception:  # whatever it is, the thread meets it too: it has the patience, and the words
            return False
        finally:
            self._turn.release()
        return True

    def hand_over(self) -> None:
        """Hands over what was committed at once; for any thread, which never waits.

        The thread that has the turn then hands over itself: the writer behind its commit, another call at its end.
        """
        if self._hand_over.is_due and self._turn.acquire(blocking=False):
            try:
                self._hand_over.now()
            finally:
                self._turn.release()

    # -- one batch -----------------------------------------------------------------------------------

    def _commit(self, batch: Batch, quiet: bool) -> None:
        if quiet and self._hand_over.listener is None and not self._unwritten:
            return
        changes = self._unwritten + batch.changes
        trial: list[Change] = [(sql.WRITE_NOTHING, ())] if self._logged else []  # a full disk takes what is empty
        try:
            try:
                added, jobs, seen = self._write(batch.new_jobs, changes + trial)
            except (sqlite3.Error, OSError) as fault:
                if not self._store.is_mended(fault):
                    raise
                added, jobs, seen = self._write(batch.new_jobs, changes + trial)
        except (sqlite3.Error, OSError, TimeoutError) as fault:
            self._unwritten = changes
            if changes and self._hand_over.listener is None:  # before the next deliverer may look
                self._kept.keep(changes)
            self._refuse(batch.new_jobs, fault)
            return
        if self._logged:
            log.warning("the store %s works again", self._path)
            self._logged.clear()
        for new, result in added:
            new.answer(result)
        self._unwritten = []
        self._kept.forget()
        for statement, values in changes:
            if statement is sql.DELETE_JOB:
                self._hand_over.open.pop(values, None)
        if batch.new_jobs or changes:
            self._tidying.writes += len(batch.new_jobs) + len(changes)
            if self._sync is not None:
                self._sync.committed()
        self._note(jobs, seen)

    def _write(
        self, new_jobs: list[NewJob], changes: list[Change], patient: bool = True
    ) -> tuple[list[tuple[NewJob, Added]], list[Job], SeenUpTo]:
        jobs: list[Job] = []
        added: list[tuple[NewJob, Added]] = []
        claimed: list[NewJob] = []
        kept = 0
        try:
            with self._store.transaction(bool(new_jobs), patient) as db:
                seen, known = NOTHING_SEEN, self._hand_over.open
                if self._hand_over.listener is not None:
                    found, seen = self._others.look(db)
                    jobs += [job for job in found if (job.id, job.notification.created_at) not in known]
                is_new = self._after_loss.is_due
                if is_new:
                    kept = self._after_loss.fill(db, known.values())
                if is_new and known:
                    seen = SeenUpTo(seen.data_version, max(seen.highest_id, self._store.highest_id))
                for new in new_jobs:
                    if new.claim.acquire(blocking=False):
                        claimed.append(new)
                        added.append((new, insert(db, new, jobs)))
                for statement, values in changes:
                    db.execute(statement, values)
        except BaseException:
            for new in claimed:  # to be had by the next try, or by its caller who goes on without
                new.claim = threading.Lock()
            raise
        if is_new:
            self._go_on_with_new_store(kept)
        return added, jobs, seen

    def _go_on_with_new_store(self, kept: int) -> None:
        """Committed: the store that is there now has all that is known to be open."""
        if not self._after_loss.is_over():
            return
        log.warning("the store %s is a new one; jobs that waited and are in it now: %d", self._path, kept)
        if self._hand_over.on_new_store is not None:
            self._hand_over.on_new_store()

    def _note(self, jobs: list[Job], seen: SeenUpTo) -> None:
        """What was committed is to be handed over; how far we have seen."""
        newest = max(seen.highest_id, jobs[-1].id if jobs else 0)
        self._store.highest_id = max(self._store.highest_id, newest)
        if self._hand_over.listener is not None:
            self._others.seen = SeenUpTo(seen.data_version, newest)
            for job in jobs:
                self._hand_over.open[job.id, job.notification.created_at] = job
        self._hand_over.add(jobs, seen.highest_id)

    def _refuse(self, new_jobs: list[NewJob], fault: Exception) -> None:
        """A full disk, a locked or broken file: the new jobs are refused, the rest is kept for the next try."""
        words = f"{fault.strerror}: {fault.filename}" if isinstance(fault, OSError) and fault.filename else str(fault)
        reason = f"the store {self._path} cannot be written: {words}{self._store.file.whose()}"
        if reason not in self._logged:
            log.error("%s; calls go on with ERROR until it can: see [outbox] path", reason)
            self._logged.add(reason)
        for new in new_jobs:
            new.answer(None, reason)

    def _tidy_up(self, quiet: bool) -> None:
        if self.queue.is_empty and self._store.file.is_open:
            self._tidying.do(quiet, prune=self._hand_over.listener is not None)

    def _close(self) -> None:
        with self._turn:
            self._set_listener(Listen(None))
            if ends := ends_in(self._unwritten):
                kept = self._kept.keep(self._unwritten)
                what = "the next start writes them down" if kept else "those jobs go out again after the next start"
                log.error("ends of jobs that the store %s could not take: %d; %s", self._path, ends, what)
        self._store.close()
