"""What stands between a stored job and its vendor where several hosts share the work; here nothing does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from callsign.notification import State
from callsign.outbox.outbox import Job
from callsign.record import Record
from callsign.vendors.interface import Shared


class Load(Record):
    """What is to do for an account."""

    jobs: int  # open
    under_way: int  # those of them that are being attempted
    vendor_is_away: bool


class Lanes(Protocol):
    """What a gate may do with the jobs that are on their lanes; for any thread."""

    def let_go(self, job: Job) -> None:
        """The job may be attempted, in its turn."""

    def hold(self, job: Job) -> None:
        """Not before it is let go; an attempt under way goes on."""

    def leave(self, job: Job) -> None:
        """The same, and maybe another host sends it: no call here waits for its end."""

    def give_up(self, job: Job, state: State, reason: str) -> None:
        """It ends so, unless an attempt is under way."""

    def take_in(self, jobs: Sequence[Job]) -> None:
        """Jobs of another host: by their age, before those of ours that were not tried."""

    def limit(self, account: str, most: int, hosts: int, stands_aside: bool) -> None:
        """No more than `most` of that account's at once; `hosts` share it, each at its part of a backlog's pace.

        While the vendor is away one of them tries it, and the rest, which stand aside, hardly ever.
        """

    def loads(self) -> Mapping[str, Load]:
        """By account."""


class Gate:
    """Lets all pass: the only host there is."""

    holds = False
    """Whether a job that comes onto its lane is held until it is let go."""

    def shared(self, account: str) -> Shared | None:
        """What the hosts have in common of that account; None: there are no others."""
        return None

    def start(self, lanes: Lanes) -> None:
        """This process delivers from now on."""

    def stop(self, seconds: float) -> None:
        """This process ends its delivery; within `seconds` the others are told what has ended."""

    def admit(self, jobs: Sequence[Job]) -> None:
        """They are on their lanes, held; must be quick."""

    def may_send(self, job: Job) -> bool:
        """Whether an attempt may begin now; if not the job is held again.  With the lane's guard held."""
        return True

    def put_off(self, job: Job, seconds: float, reason: str) -> None:
        """An attempt ended without a verdict; the next one is after `seconds`."""

    def ended(self, job: Job, state: State, reason: str) -> None:
        """The job has ended so."""

    def wait_known(self, job: Job) -> None:
        """Returns when the others can know of its end, or soon: the next in order goes out behind it."""
