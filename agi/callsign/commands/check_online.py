"""What `check --online` learns of each vendor by harmless requests: reachable, TLS, clock, credentials."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from callsign import clocks
from callsign.delivery.conversation import PastDeadline, Send, run_conversation
from callsign.http.messages import Answer, Reply, Request
from callsign.http.transport import HttpTransport
from callsign.log_text import own_fault
from callsign.record import Record
from callsign.settings.accounts import account_of, name_of, place_named, system_of
from callsign.settings.sections import Settings
from callsign.vendors.interface import Probed
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Invalid, Refused, TryLater

CHECK_SECONDS = 10.0
"""For all that one vendor is asked."""

MOST_AT_ONCE = 64  # accounts that are asked side by side


class Finding(Record):
    """One vendor, as it was found."""

    system: str
    account: str  # of the vendor, empty for its own section
    good: bool  # nothing here would keep a call's request from being taken, as far as can be told
    address: str  # host and port
    reachable: bool  # it answered, whatever it said
    tls: bool  # verified, where the address is https and it is reachable
    clock_ahead_seconds: float | None  # ours, of the vendor's Date; None where it sends none
    clock_good: bool
    credentials: str  # "good", "bad", or "unknown" where no harmless call would tell
    words: str

    def line(self) -> str:
        """For a person."""
        words = [f"answers at {self.address}" if self.reachable else f"does NOT answer at {self.address}"]
        if self.tls:
            words.append("TLS verified")
        if self.clock_ahead_seconds is not None:
            side = "ahead of" if self.clock_ahead_seconds > 0 else "behind"
            far = "" if self.clock_good else ", too far: set this machine's time (NTP)"
            words.append(f"this clock is {abs(self.clock_ahead_seconds):g} s {side} its own{far}")
        words.append(f"credentials {self.credentials}")
        return f"{account_of(self.system, self.account)}: {'; '.join(words)}: {self.words}"


def check_online(settings: Settings) -> list[Finding]:
    """Asks the vendor of each account, side by side.  Never raises."""
    with closing(HttpTransport()) as transport, ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        return list(pool.map(lambda account: _check(settings, account, transport.send), settings.accounts))


def _check(settings: Settings, account: str, send: Send) -> Finding:
    vendor, section = VENDORS[system_of(account)], settings.section(account)
    answers: list[Answer] = []

    def heard(request: Request, seconds: float) -> Reply:
        reply = send(request, seconds)
        if isinstance(reply, Answer):
            answers.append(reply)
        return reply

    probed: Probed | Refused | TryLater | Invalid
    try:
        end = clocks.steady() + CHECK_SECONDS
        probed = run_conversation(vendor.probe(section, vendor.new_memory()), heard, clocks.steady, end, CHECK_SECONDS)
    except PastDeadline:
        probed = TryLater(f"no verdict within {CHECK_SECONDS:g} s")
    except Exception as fault:  # our own fault in one vendor must not hide the others
        probed = TryLater(own_fault(fault))
    words = place_named(account, probed.words if isinstance(probed, Probed) else probed.reason)
    skew = next((s for answer in answers if (s := answer.clock_skew_seconds()) is not None), None)
    clock_good = skew is None or abs(skew) < vendor.clock_seconds
    return Finding(
        system_of(account),
        name_of(account),
        isinstance(probed, Probed) and probed.is_well and clock_good,
        Request("GET", section.url).host(),
        bool(answers),
        bool(answers) and section.url.startswith("https://"),
        None if skew is None else round(skew, 1),
        clock_good,
        _credentials(probed, answers),
        words,
    )


def _credentials(probed: Probed | Refused | TryLater | Invalid, answers: list[Answer]) -> str:
    """Bad only where the vendor has said so: by the status for it, or in its own words under HTTP 200, as MOR does."""
    if isinstance(probed, Probed):
        return "unknown" if probed.credentials is None else "good"
    is_no = isinstance(probed, Refused) and bool(answers) and answers[-1].status in (200, 401, 403)
    return "bad" if is_no else "unknown"
