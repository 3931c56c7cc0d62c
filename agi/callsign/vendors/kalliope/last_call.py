"""KalliopePBX: which extension last called a number, how that is kept, and its call register as a whole.

Source: "API REST CDR", 2.4.  Its 2.1 has URLs for whole days, which `callsign api` can ask.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping

from callsign import clocks
from callsign.http.messages import Answer, Request
from callsign.record import Record, field
from callsign.settings.sections import Kalliope, Numbers
from callsign.vendors.interface import Conversation, Probe, Probed
from callsign.vendors.kalliope.history import DAY_SECONDS, MASKED, MOST_NUMBERS, History, Window
from callsign.vendors.kalliope.pbx_clock import local_period
from callsign.vendors.kalliope.register import NoRegister, rows_of
from callsign.vendors.kalliope.signing import Signer, base_url, clock_trouble, exchange, trouble_with
from callsign.verdicts import Delivered, Found, Invalid, Outcome, Refused, TryLater, Verdict

DAYS = 7  # that a look-up goes back by default
MOST_DAYS = 31
NEW_SECONDS = 5.0
"""What was read so lately is not read again by `prefetch`."""

FRESH_SECONDS = 60.0
"""A look-up does with what was read so long ago; a PBX that is gone longer is asked, and its trouble told."""

TURN_SECONDS = 10.0
"""How long a look-up waits for another one's reading."""

MAX_BYTES = 16 << 20
"""Of a day's register: 100,000 rows of CSV; 20,000 are 3 MB, and 7 MB of JSON."""

BODY_TYPE = "application/xml"
"""The form of the body that is sent.  The document has XML and JSON, but shows `unique_id` in XML only."""

MASKED_REASON = "the PBX hides the last digits of all numbers: give [kalliope] a user with its privacyadmin role"
CROWDED_REASON = f"the PBX told of more than {MOST_NUMBERS} numbers: those that were called longest ago are not kept"

_DAYS = re.compile(r"[0-9]{1,2}")


class Memory(Record, frozen=False):
    """The history of the PBX that the settings name, and the lock that lets one thread read its register."""

    wall: Callable[[], float] = clocks.wall
    steady: Callable[[], float] = clocks.steady
    signer: Signer = field(default_factory=Signer)
    reading: threading.Lock = field(default_factory=threading.Lock)
    failed: tuple[float, Refused | TryLater] | None = None
    """The last reading that went wrong: when it ended (steady seconds), and why."""
    _history: tuple[object, History] | None = None

    def history(self, section: Kalliope, country: str) -> History:
        """A new one where the settings name another PBX, user, time zone or country."""
        held = self._history
        if held is None or held[0] != (section, country):
            self.failed = None
            held = self._history = (section, country), History(section.timezone, country, DAYS)
        return held[1]


def lastcall(section: Kalliope, numbers: Numbers, facts: Mapping[str, str], memory: Memory) -> Conversation[Verdict]:
    """The latest call to the number; the register is read only as far as is needed to know it."""
    wanted = facts.get("days", str(DAYS))
    if not _DAYS.fullmatch(wanted) or not 1 <= int(wanted) <= MOST_DAYS:
        return Invalid(f"days: wanted a whole number from 1 to {MOST_DAYS}")
    history, days = memory.history(section, numbers.country), float(wanted)
    arrived = memory.steady()
    while True:
        call = history.look_up(facts["number"])
        oldest = memory.wall() - days * DAY_SECONDS
        if history.is_fresh(memory.steady(), FRESH_SECONDS):
            assert history.since is not None  # noqa: S101
            if call is not None and call.at >= oldest:
                found = {"KALLIOPEEXTEN": call.extension, "KALLIOPETIME": call.time, "KALLIOPECALLSTATUS": call.status}
                return Found(found)
            if history.since <= oldest:
                return Found({}, _remark(history))
        history.days = max(history.days, days)
        trouble = yield from _read_on(section, memory, history, FRESH_SECONDS, arrived)
        if trouble is not None:
            return trouble


def _remark(history: History) -> str:
    if history.masked:
        return MASKED_REASON
    return CROWDED_REASON if history.crowded else ""


def prefetch(section: Kalliope, numbers: Numbers, memory: Memory) -> Conversation[Outcome]:
    """Reads what is new, and after a start as much of the past as is held."""
    history = memory.history(section, numbers.country)
    fresh_seconds = NEW_SECONDS
    while history.next_window(memory.wall(), memory.steady(), fresh_seconds) is not None:
        trouble = yield from _read_on(section, memory, history, fresh_seconds, memory.steady())
        if trouble is not None:
            return trouble
        fresh_seconds = FRESH_SECONDS  # once is enough, however long the past takes
    return Delivered(_remark(history))


def _read_on(
    section: Kalliope, memory: Memory, history: History, fresh_seconds: float, arrived: float
) -> Conversation[Refused | TryLater | None]:
    """Reads one part of the register, unless another thread has just done that or failed at it; the trouble if any."""
    if not memory.reading.acquire(timeout=TURN_SECONDS):
        return TryLater("another look-up is still waiting for the PBX's call register")
    try:
        if memory.failed is not None and memory.failed[0] >= arrived:
            return memory.failed[1]  # while this one waited for its turn
        began = memory.steady()
        window = history.next_window(memory.wall(), began, fresh_seconds)
        if window is None:
            return None
        reply = yield from register(section, memory.signer, summary(section, window))
        trouble = _taken(history, window, reply, began) if isinstance(reply, Answer) else reply
        memory.failed = None if trouble is None else (memory.steady(), trouble)
        return trouble
    finally:
        memory.reading.release()


def _taken(history: History, window: Window, reply: Answer, began: float) -> TryLater | None:
    try:
        history.take(window, rows_of(reply), began)
    except NoRegister as fault:
        return TryLater(f"HTTP 200, but no call register: {fault}; is [kalliope] url the PBX's?")
    return None


def summary(section: Kalliope, window: Window) -> Request:
    """A part of the register; CSV, which is a third of JSON.  Both ends are given: one alone would mean this month."""
    begin, end = local_period(window.begin, window.end, section.timezone)
    return by_period(section, "summary", "text/csv", begin, end, MAX_BYTES)


def by_period(
    section: Kalliope, style: str, accept: str, begin: str, end: str, max_bytes: int, unique_id: str = ""
) -> Request:
    """The calls from `begin` to `end`, both `YYYY-MM-DD HH:MM:SS` in the PBX's time; or the one of them with that id.

    Both ends are given always: without them the PBX looks into the current month alone.  No value needs an escape.
    """
    one = f"<unique_id>{unique_id}</unique_id>" if unique_id else ""
    fields = f"<begin>{begin}</begin><end>{end}</end>{one}"
    body = f'<?xml version="1.0"?>\n<kpbx_request><cdr>{fields}</cdr></kpbx_request>\n'.encode()
    headers = {"Accept": accept, "Content-Type": BODY_TYPE}
    url = f"{base_url(section)}/cdr/{style}"
    return Request("POST", url, headers=headers, body=body, max_bytes=max_bytes, is_safe=True)


def register(section: Kalliope, signer: Signer, request: Request) -> Conversation[Answer | Refused | TryLater]:
    """A part of the register as it is."""
    reply = yield from exchange(section, signer, request)
    trouble = trouble_with(reply)
    if trouble is not None:
        return trouble
    assert isinstance(reply, Answer)  # noqa: S101
    return reply


def probe(section: Kalliope, memory: Memory) -> Probe:
    """The calls of the last hour: proves user, password and the right to read the register."""
    now = memory.wall()
    reply = yield from register(section, memory.signer, summary(section, Window(now - 3600.0, now, None)))
    if not isinstance(reply, Answer):
        return reply
    try:
        calls = list(rows_of(reply))
    except NoRegister as fault:
        return Probed(True, f"user and password are taken, but there is no call register: {fault}", is_well=False)
    if any(MASKED.fullmatch(call.get("called", "")) for call in calls):
        return Probed(True, MASKED_REASON, is_well=False)
    clock = clock_trouble(reply)
    return Probed(True, f"user and password are taken{'; ' if clock else ''}{clock}")
