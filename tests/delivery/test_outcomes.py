"""What came of jobs is kept for calls that ask late, but not for ever."""

from __future__ import annotations

from callsign.delivery.outcomes import KEPT, Outcomes
from callsign.notification import State
from store_play import LONG_SECONDS


def test_the_latest_ends_are_known_and_the_oldest_forgotten() -> None:
    outcomes = Outcomes(lambda job: None)
    outcomes.delivers_here = True
    for job in range(1, KEPT + 3):
        outcomes.tell(job, State.DELIVERED, str(job))
    assert outcomes.wait_for(KEPT + 2, LONG_SECONDS) == (State.DELIVERED, str(KEPT + 2))
    assert outcomes.wait_for(3, LONG_SECONDS) == (State.DELIVERED, "3")
    assert [outcomes.wait_for(job, 0) for job in (1, 2)] == [None, None]
