"""Delivery by a plain AGI script, where no server runs: in rounds, so that a server may take over between them."""

from __future__ import annotations

import logging
import time
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from callsign.delivery.deliverer import Delivery
from callsign.delivery.lost_sections import without_section, words
from callsign.http.messages import Reply, Request
from callsign.notification import State
from callsign.outbox.lock import FileLock
from callsign.outbox.outbox import Outbox, OutboxError
from callsign.outbox.reader import OutboxReader
from callsign.settings.load import ConfigError, load
from callsign.settings.sections import Settings

if TYPE_CHECKING:
    from callsign.http.transport import HttpTransport

LOOK_SECONDS = 0.05
DUE_SOON_SECONDS = 2.0
"""A round goes on while something is to do within this time; then the store is free for others."""

ROUND_SECONDS = 10.0
"""A round ends after this time though something is to do: a server that stands by is the better deliverer."""

GAP_SECONDS = 0.3
"""Between two rounds; longer than a server's pause between two tries."""

STOP_SECONDS = 10.0  # an attempt takes no longer

log = logging.getLogger("callsign.script")


class ScriptDelivery:
    """This process's share: its own job at least once, the rest unless somebody else takes care of it."""

    def __init__(self, outbox: Outbox, settings: Settings) -> None:
        self._outbox = outbox
        self._settings = settings
        self._watch = FileLock(outbox.path.with_name(outbox.path.name + ".linger"))
        self._in_round = False
        self._newest_known = 0
        self._has_warned = False
        self.delivery = self._new_delivery()

    def begin(self) -> None:
        """Starts to deliver beside the caller, unless another process does."""
        self._in_round = self.delivery.try_start()

    def wait_for(self, job: int, seconds: float) -> tuple[State, str] | None:
        """The job's end, None if it has not ended within `seconds`; delivers meanwhile."""
        self.begin()
        return self.delivery.outcomes.wait_for(job, seconds)

    def deliver_rest(self, linger: bool = True) -> None:
        """Returns when nothing is open, or another process delivers, or watches over what waits.

        No job is left alone, because of this order:
        1. A process that finds another one delivering has stored its job before.
        2. A process that delivers looks for new jobs after it has let go of both locks.
        3. The watcher lets go of the watch, and then tries to deliver once more, before it leaves.

        Without `linger` what is not due soon is left to a server or the next script.
        """
        watching = False
        try:
            while True:
                if not self._in_round:
                    self.begin()
                if self._in_round:
                    soon = self._finish_round()
                    if soon is not None:
                        watching = linger and (watching or self._starts_to_watch())
                        if not watching:
                            return
                        time.sleep(min(max(soon, GAP_SECONDS), DUE_SOON_SECONDS))
                        continue
                    self._watch.release()
                    if not self._is_something_new():
                        return
                elif watching:
                    self._watch.release()
                else:
                    return
                watching = False
        finally:
            self._watch.close()

    def _finish_round(self) -> float | None:
        """Ends the round.  Seconds until the next job is due, None if none is open."""
        end = time.monotonic() + ROUND_SECONDS
        while (soon := self.delivery.seconds_to_next()) is not None and soon < DUE_SOON_SECONDS:
            if time.monotonic() >= end:
                break
            time.sleep(LOOK_SECONDS)
        self.delivery.stop(STOP_SECONDS)
        self._in_round = False
        soon = self.delivery.seconds_to_next()
        self._newest_known = max(self._newest_known, self.delivery.newest_seen)
        self._read_settings_again()
        self.delivery = self._new_delivery()
        return soon

    def _starts_to_watch(self) -> bool:
        try:
            return self._watch.try_now()
        except OSError:
            return False

    def _is_something_new(self) -> bool:
        """Whether a job was stored that no look of ours has found yet."""
        with closing(OutboxReader(self._outbox.path)) as reader:
            try:
                newest = reader.newest_open()
            except OutboxError:
                return False
        is_new = newest > self._newest_known
        self._newest_known = max(self._newest_known, newest)
        return is_new

    def _read_settings_again(self) -> None:
        """A script that stays through an outage delivers others' jobs too: by the settings that hold by then.

        A file without the section of a job that waits may have been cut short: a script that runs ignores it.
        """
        with suppress(ConfigError):
            settings = load(Path(self._settings.source))[0]
            store = self._outbox.path
            lost = without_section(settings, store) - without_section(self._settings, store)
            if not lost:
                self._settings = settings
            elif not self._has_warned:
                self._has_warned = True
                log.warning("%s: this script goes on with those it began with", words(lost))

    def _new_delivery(self) -> Delivery:
        return Delivery(self._outbox, lambda: self._settings, _send)


@lru_cache(maxsize=1)
def _transport() -> HttpTransport:
    """Loaded only when something goes out: requests takes 100 ms that no call should wait for."""
    from callsign.http.transport import HttpTransport

    return HttpTransport()


def _send(request: Request, seconds: float) -> Reply:
    return _transport().send(request, seconds)
