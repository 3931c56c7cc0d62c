"""Leads one conversation with a vendor: hands each request to a sender and each reply back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from callsign.http_messages import Reply, Request
from callsign.notification import TryLater

LEAST_SECONDS = 0.2
"""With less than this left no further request goes out: it might be carried out and its answer missed."""

LEAST_SAFE_SECONDS = 0.001
"""For a request that changes nothing at the vendor."""

Verdict = TypeVar("Verdict")
Send = Callable[[Request, float], Reply]


class PastDeadline(Exception):
    """The job's life ended before the next request of the conversation could go out."""


def lead(
    conversation: Generator[Request, Reply, Verdict],
    send: Send,
    steady: Callable[[], float],
    deadline: float,
    longest_seconds: float,
) -> Verdict | TryLater:
    """Runs the conversation to its end; no request goes out after `deadline` (steady seconds).

    All requests together get `longest_seconds`.  Raises PastDeadline when the deadline stopped it, and
    whatever the conversation raises.
    """
    end = steady() + longest_seconds
    try:
        request = next(conversation)
        while True:
            now = steady()
            if now >= deadline:
                raise PastDeadline
            if end - now < (LEAST_SAFE_SECONDS if request.is_safe else LEAST_SECONDS):
                return TryLater(f"no verdict within {longest_seconds:.3g} s")
            request = conversation.send(send(request, min(end, deadline) - now))
    except StopIteration as stop:
        verdict: Verdict = stop.value
        return verdict
    finally:
        conversation.close()
