"""A job's life among several hosts: an edge of the table each, and nothing beside them."""

from __future__ import annotations

import pytest

from callsign.cluster.life import OPEN, TABLE, Event, Life, after

EDGES = [
    (Life.NEW, Event.FIRST, Life.MINE),
    (Life.NEW, Event.SECOND, Life.BEHIND),
    (Life.NEW, Event.UNHEARD, Life.EARLY),
    (Life.NEW, Event.OFFER, Life.OFFERED),
    (Life.NEW, Event.SILENCE, Life.ALONE),
    (Life.BEHIND, Event.FIRST, Life.MINE),
    (Life.BEHIND, Event.SILENCE, Life.MINE),
    (Life.BEHIND, Event.OFFER, Life.OFFERED),
    (Life.EARLY, Event.FIRST, Life.MINE),
    (Life.EARLY, Event.SECOND, Life.BEHIND),
    (Life.EARLY, Event.SILENCE, Life.MINE),
    (Life.EARLY, Event.OFFER, Life.OFFERED),
    (Life.OFFERED, Event.FIRST, Life.MINE),
    (Life.OFFERED, Event.SECOND, Life.BEHIND),
    (Life.OFFERED, Event.UNHEARD, Life.EARLY),
    (Life.OFFERED, Event.SILENCE, Life.ALONE),
    (Life.ALONE, Event.FIRST, Life.MINE),
    (Life.ALONE, Event.SECOND, Life.BEHIND),
    (Life.MINE, Event.LAPSE, Life.HELD),
    (Life.MINE, Event.OFFER, Life.OFFERED),
    (Life.HELD, Event.RETURN, Life.MINE),
    (Life.HELD, Event.OFFER, Life.OFFERED),
    (Life.HELD, Event.LAST_CALL, Life.ALONE),
    (Life.HELD, Event.SILENCE, Life.ALONE),
    *((life, Event.KNOWN, Life.DUPLICATE) for life in OPEN),
    *((life, Event.UNDONE, Life.NEEDLESS) for life in OPEN),
    *((life, Event.TAKEN, Life.LOST) for life in OPEN),
    *((life, Event.END, Life.ENDED) for life in OPEN),
]


@pytest.mark.parametrize(("life", "event", "then"), EDGES, ids=lambda part: part.name)
def test_an_edge(life: Life, event: Event, then: Life) -> None:
    assert after(life, event) is then


def test_there_are_no_other_edges() -> None:
    assert {(life, event, then) for (life, event), then in TABLE.items()} == set(EDGES)


@pytest.mark.parametrize("life", [life for life in Life if life not in OPEN])
@pytest.mark.parametrize("event", Event)
def test_what_is_over_stays_so(life: Life, event: Event) -> None:
    assert after(life, event) is life
