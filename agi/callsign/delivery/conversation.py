"""Runs one conversation with a vendor: hands each request to a sender and each reply back."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TypeVar

from callsign.http.messages import NoAnswer, Reply, Request
from callsign.record import replace
from callsign.settings.accounts import place_named
from callsign.verdicts import Delivered, Found, Invalid, Refused, TryLater

LEAST_SECONDS = 0.2
"""With less than this left no further request goes out: it might be carried out and its answer missed."""

LEAST_SAFE_SECONDS = 0.001
"""For a request that changes nothing at the vendor."""

NO_TIME = NoAnswer("there is no time left for the pause that the vendor wants", sent=False)

Verdict = TypeVar("Verdict")
Send = Callable[[Request, float], Reply]
AnyVerdict = TypeVar("AnyVerdict", bound="Delivered | Refused | TryLater | Found | Invalid")


def with_account(account: str, verdict: AnyVerdict) -> AnyVerdict:
    """With the account's own section in its reason."""
    return replace(verdict, reason=place_named(account, verdict.reason))


class PastDeadline(Exception):
    """The job's life ended before the next request of the conversation could go out."""


def run_conversation(
    conversation: Generator[Request, Reply, Verdict],
    send: Send,
    steady: Callable[[], float],
    deadline: float,
    longest_seconds: float,
    pause: Callable[[float], object] = time.sleep,
) -> Verdict | TryLater:
    """Runs the conversation to its end; no request goes out after `deadline` (steady seconds).

    All requests together get `longest_seconds`, pauses included; the one whose pause would take more
    is not sent, and the conversation gets NO_TIME.  Raises PastDeadline when the deadline stopped it, and
    whatever the conversation raises.
    """
    end = steady() + longest_seconds
    reply: Reply | None = None
    try:
        request = next(conversation)
        while True:
            now = steady()
            if now >= deadline:
                raise PastDeadline
            least = LEAST_SAFE_SECONDS if request.is_safe else LEAST_SECONDS
            if end - now < least:
                return TryLater(f"no verdict within {max(0.0, longest_seconds):.3g} s")
            left = min(end, deadline) - now
            if request.after_seconds > 0:
                if left - request.after_seconds < least:
                    request = conversation.send(NO_TIME)
                    continue
                pause(request.after_seconds)
                request = replace(request, after_seconds=0.0)
                continue
            reply = send(request, left)
            request = conversation.send(reply)
    except StopIteration as stop:
        verdict: Verdict | TryLater = stop.value
        if isinstance(verdict, TryLater) and isinstance(reply, NoAnswer) and not reply.sent:
            return replace(verdict, unreached=True)
        return verdict
    finally:
        conversation.close()
