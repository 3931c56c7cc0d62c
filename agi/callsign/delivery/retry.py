"""When the next attempt is, or never."""

from __future__ import annotations

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
JITTER = 0.25
"""Each delay is spread by this fraction either way, so that jobs of one outage do not return in step."""

LAST_CHANCE_SECONDS = 2.0
"""Before the end of a job's life: its last attempt, where the vendor wished for none until after that."""


def next_delay_seconds(
    attempts: int, remaining_seconds: float, wished_seconds: float | None, chance: float
) -> float | None:
    """Seconds from now to the next attempt, None if the job's life ends before one makes sense.

    `attempts` were made so far (1 or more): about 0.5 s, 1, 2, 4 … 30 s.  Never more than half of what
    is left of the job's life, so that a short-lived job gets its last chances near the end instead of
    dying between two long steps.  `wished_seconds` is the vendor's Retry-After: it makes the delay longer
    and never shorter, and what it wishes for after the job's end is tried once more just before it.
    `chance` is in [0, 1).
    """
    if remaining_seconds < FIRST_SECONDS:
        return None
    backoff: float = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(attempts - 1, 10))
    spread = backoff * (1 - JITTER + 2 * JITTER * chance)
    usual = min(spread, remaining_seconds / 2)
    if wished_seconds is None:
        return usual
    return max(usual, min(wished_seconds, remaining_seconds - LAST_CHANCE_SECONDS))
