"""What passes through the store: notifications on their way in, jobs on their way out."""

from __future__ import annotations

import threading
from collections.abc import Callable

from callsign.notification import Notification, State
from callsign.record import Record, field


class OutboxError(Exception):
    """Nothing was stored, or nothing can be read; the text says why and where to mend it."""


class StoreBroken(OutboxError):
    """What SQLite finds in the store's file makes no sense; `inode` is the file's device and number."""

    def __init__(self, words: str, inode: tuple[int, int]) -> None:
        super().__init__(words)
        self.inode = inode


class Job(Record, frozen=False):
    """An open job as the deliverer holds it; no two are equal."""

    id: int
    notification: Notification
    steady_deadline: float  # seconds of clocks.steady()
    attempts: int = 0
    due: float = 0.0  # not before this moment of clocks.steady()
    recovered: bool = False  # found in the store at the start: it may have been attempted before
    over: bool = False  # it has ended, or is about to: the deliverer's lane passes over it
    in_doubt: bool = False  # an attempt had no answer: the vendor may carry it out, and later than what follows
    unreached: bool = False  # its last attempt had no connection to the vendor
    word: tuple[State, str] | None = None  # the vendor's verdict on a job that is sent once more all the same
    held: bool = False  # it has no turn until a gate lets it go
    begun: bool = False  # it had its turn
    home: str = ""  # of another host's job: its name there
    birth: float = 0.0  # seconds of clocks.steady(); of two in one line the elder is before the younger
    hurries: int = 3  # so often it goes out before it is due because the vendor is back

    @property
    def shown(self) -> str:
        """How the log calls it."""
        return self.home or str(self.id)


class Added(Record):
    """`add`'s answer: the job's id, and whether it is an earlier one with the same `dedupe_key`."""

    job: int
    duplicate: bool


class NewJob(Record, frozen=False):
    """A notification about to be written as a job, and the caller who waits for that."""

    notification: Notification
    row: tuple[object, ...] = field(repr=False)  # for INSERT_JOB
    steady_deadline: float
    dedupe_key: str = field(repr=False)  # a digest; empty: no such limit
    claim: threading.Lock = field(default_factory=threading.Lock)  # writer or impatient caller, who is first
    ready: threading.Lock = field(default_factory=threading.Lock)  # released when there is a result
    added: Added | None = None  # set only after the commit
    trouble: str = ""

    def answer(self, added: Added | None, trouble: str = "") -> None:
        """Lets the caller go on."""
        self.added, self.trouble = added, trouble
        self.ready.release()


Change = tuple[str, tuple[object, ...]]
"""A statement and its values."""

OnJobs = Callable[[list[Job]], None]

OnNewStore = Callable[[], None]


class Listen(Record):
    """From now on `on_jobs` gets the jobs, or nobody does."""

    on_jobs: OnJobs | None
    on_new_store: OnNewStore | None = None  # the store was lost and made again: what lay beside it may be gone too
