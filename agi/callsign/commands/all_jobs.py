"""The jobs of all hosts for `jobs`, `retry` and `drop`: PostgreSQL's, and this host's that are not there yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callsign.commands.all_hosts import Silent, silence, view_of
from callsign.commands.common import complain, store_is_there
from callsign.commands.job_names import JobName
from callsign.commands.job_rows import life_of, values_of
from callsign.notification import State
from callsign.outbox import edits
from callsign.outbox.edits import MAY_BE_RETRIED, WAITS, Edit, Wish, why_not
from callsign.outbox.reader import OutboxReader
from callsign.outbox.shown import JobRow, facts_filter, facts_of
from callsign.record import Record, replace
from callsign.settings.sections import Cluster

if TYPE_CHECKING:
    from callsign.cluster.view import SharedJob, View

FAILED = ("refused", "expired")


class HostJob(Record):
    """A job of one of the hosts."""

    host: str  # that was told
    owner: str  # that delivers; empty: whichever comes first
    row: JobRow
    is_here: bool = False  # in this host's store, with its life


class HostEdit(Record):
    """What became of the wish for one job."""

    host: str
    job: int
    done: bool
    words: str
    retried_as: str | None = None


def found(section: Cluster, store: Path, wanted: Mapping[str, Any], options: Any) -> tuple[list[dict[str, Any]], str]:
    """The jobs that fit, the newest first; and why those of other hosts are not among them.  Raises OutboxError."""
    jobs, trouble = _jobs(section, store, wanted, options.job, options.host)
    rows = []
    for job in jobs:
        row = {"host": job.host, "owner": job.owner, **values_of(job.row, options.show_numbers)}
        if job.is_here and options.job is not None:
            with closing(OutboxReader(store)) as reader:
                row["life"] = life_of(reader, job.row.job)
        rows.append(row)
    return rows, trouble


def _jobs(
    section: Cluster, store: Path, wanted: Mapping[str, Any], name: JobName | None, host: str | None
) -> tuple[list[HostJob], str]:
    """`name` is the one that is asked for, `host` the one that was told or delivers."""
    me = section.host
    named = (name.host or me) if name else host
    own, store_id = _of_store(store, wanted) if named in (None, me) else ([], "")
    alone = [HostJob(me, me, row, True) for row in own]
    try:
        with view_of(section) as view:
            shared = [] if own and name else _shared(view, wanted, name, host, me)
            known = view.known(store_id, [row.job for row in own]) if store_id else {}
    except Silent as fault:
        return alone, silence(str(fault))
    jobs = {(job.store, job.job): _host_job(job) for job in shared}
    for one in alone:
        if (job := known.get(one.row.job)) is None:
            jobs["", one.row.job] = one
        elif _is_in(job.state, wanted.get("state")):
            jobs[job.store, job.job] = _host_job(job, one.row.facts)
    newest = sorted(jobs.values(), key=lambda one: (-one.row.at, -one.row.job))
    most = wanted.get("most", -1)
    return newest[:most] if most >= 0 else newest, ""


def _of_store(store: Path, wanted: Mapping[str, Any]) -> tuple[list[JobRow], str]:
    """This host's jobs that fit, and its store's name among the others; nothing where it has none yet."""
    if not store_is_there(store):
        return [], ""
    with closing(OutboxReader(store)) as reader:
        return reader.jobs(**wanted), reader.store_id()


def _shared(
    view: View, wanted: Mapping[str, Any], name: JobName | None, host: str | None, me: str
) -> Sequence[SharedJob]:
    if name is not None:
        return list(view.jobs_of(name.host or me, [name.number]).values())
    fits = wanted.get("fits")
    look = None if fits is None else facts_filter(wanted.get("hint", ""), fits)
    most = wanted.get("most", -1)
    return view.jobs({**wanted, "host": host}, most if most >= 0 else None, look)


def _host_job(job: SharedJob, facts: Mapping[str, str] | None = None) -> HostJob:
    told = job.job, job.system, job.action, job.call, job.at, job.attempts, job.state, job.ended
    deadline = job.deadline if job.state == "waiting" else None
    row = JobRow(*told, job.next_try, deadline, job.reason, facts_of(job.facts) if facts is None else facts)
    return HostJob(job.host, job.owner, row, facts is not None)


def _is_in(state: str, wanted: str | None) -> bool:
    return wanted is None or state == wanted or (wanted == "failed" and state in FAILED)


def failed(section: Cluster, store: Path, system: str | None, since: float | None, host: str | None) -> list[JobName]:
    """All that have failed, the oldest first.  Raises OutboxError."""
    wanted = {"state": "failed", "system": system, "since": since, "most": -1}
    jobs, trouble = _jobs(section, store, wanted, None, host)
    if trouble:
        complain("failed jobs", trouble)
    return [JobName(job.host, job.row.job) for job in reversed(jobs)]


def edit(section: Cluster, store: Path, names: Sequence[JobName], wish: Wish) -> list[HostEdit]:
    """What became of each.  Raises OutboxError."""
    done: list[HostEdit] = []
    trouble = ""
    try:
        with view_of(section) as view:
            hosts = AllHosts(section.host, store, view, wish)
            for name in names:
                done.append(hosts.edit(name))
    except Silent as fault:
        trouble = silence(str(fault))
    for name in names[len(done) :]:
        if name.host in ("", section.host):
            done.append(_of_this_host(section.host, wish(store, [name.number])[0]))
        else:
            done.append(HostEdit(name.host, name.number, False, trouble))
    return done


class AllHosts:
    """Changes jobs while PostgreSQL answers.  Raises DatabaseFault, OutboxError."""

    def __init__(self, me: str, store: Path, view: View, wish: Wish) -> None:
        self._me = me
        self._store = store
        self._view = view
        self._wish = wish  # retry or drop, as it is done in the own store

    def edit(self, name: JobName) -> HostEdit:
        """What became of it."""
        host, number = name.host or self._me, name.number
        here, job = self._found(host, number)
        if job is None and here:
            return self._here(number)
        if job is None:
            return HostEdit(host, number, False, "there is no such job")
        return self._retry(job, here) if self._wish is edits.retry else self._drop(job, here)

    def _found(self, host: str, number: int) -> tuple[State | None, SharedJob | None]:
        """Its state in this host's store, and what the others know of it."""
        if host == self._me and store_is_there(self._store):
            with closing(OutboxReader(self._store)) as reader:
                if state := reader.state_of(number):
                    return state[0], self._view.known(reader.store_id(), [number]).get(number)
        return None, self._view.jobs_of(host, [number]).get(number)

    def _here(self, number: int) -> HostEdit:
        return _of_this_host(self._me, self._wish(self._store, [number])[0])

    def _retry(self, job: SharedJob, here: State | None) -> HostEdit:
        """By its own store where that has it as failed: as without other hosts."""
        words = WAITS if job.state == "waiting" else why_not(job.state, job.reason, job.deadline)
        if words:
            return HostEdit(job.host, job.job, False, words)
        if here is not None and here.value in MAY_BE_RETRIED:
            done = self._here(job.job)
            if done.done and not self._view.note_retried(job, f"as job {done.retried_as}"):
                return replace(done, words=f"{done.words}; the other hosts list it as {job.state} still")
            return done
        number = self._view.retry(job)
        if number is None:
            return HostEdit(job.host, job.job, False, "somebody has retried or dropped it meanwhile")
        again = f"retry:{number}"
        return HostEdit(job.host, job.job, True, f"goes out once more as job {again}, by any host", again)

    def _drop(self, job: SharedJob, here: State | None) -> HostEdit:
        may_be_dropped = here is None or here.value in ("waiting", *FAILED)
        if not (may_be_dropped and self._view.drop(job)):
            refused = HostEdit(job.host, job.job, False, f"it has ended already: {job.state}")
            return refused if here is None else self._here(job.job)
        if here is not None:
            self._here(job.job)
        was = "an attempt under way may still reach the vendor" if job.state == "waiting" else f"it was {job.state}"
        return HostEdit(job.host, job.job, True, f"given up; {was}")


def _of_this_host(me: str, done: Edit) -> HostEdit:
    again = None if done.retried_as is None else f"{me}:{done.retried_as}"
    return HostEdit(me, done.job, done.done, done.words, again)
