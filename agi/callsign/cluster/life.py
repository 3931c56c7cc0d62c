"""What a job's life is among several hosts: one table of what may happen to it, and what it is then."""

from __future__ import annotations

from enum import Enum, auto


class Life(Enum):
    """Where a job stands between this host and the others."""

    NEW = auto()  # stored here; the database has not answered yet
    MINE = auto()  # the others know of it and leave it to us, while our lease is valid
    BEHIND = auto()  # an earlier one of its call is open at another host
    EARLY = auto()  # it undoes what nobody has told of yet: a host that is cut off may be about to send that
    OFFERED = auto()  # the others know of it, and whoever comes first has it: we have no slot for it
    ALONE = auto()  # it goes out without the database's word; the others hear of it later
    HELD = auto()  # it was ours, and our lease is over: others may have taken it
    DUPLICATE = auto()  # another job has told the vendor the same
    NEEDLESS = auto()  # never tried, and a later one has undone it
    LOST = auto()  # another host's by now, or ended by somebody's word
    ENDED = auto()  # here


class Event(Enum):
    """What may happen to it."""

    FIRST = auto()  # the database has it as ours, with nothing open before it
    SECOND = auto()  # the same, but an earlier one of its call is open elsewhere
    UNHEARD = auto()  # the same, but what it undoes is not known
    OFFER = auto()  # the database has it as nobody's
    KNOWN = auto()  # it told what another job has told
    UNDONE = auto()  # it was never tried, and a later one undoes it
    TAKEN = auto()  # it is not ours any more, or does not wait any more
    SILENCE = auto()  # no answer for so long as we wait for one
    LAPSE = auto()  # it is about to be sent, and our lease is over
    RETURN = auto()  # our lease is valid again, and what others took is known
    LAST_CALL = auto()  # its time is nearly over
    END = auto()  # it has ended here


OPEN = (Life.NEW, Life.MINE, Life.BEHIND, Life.EARLY, Life.OFFERED, Life.ALONE, Life.HELD)
OVER = {Event.KNOWN: Life.DUPLICATE, Event.UNDONE: Life.NEEDLESS, Event.TAKEN: Life.LOST, Event.END: Life.ENDED}

TABLE: dict[tuple[Life, Event], Life] = {
    **{(life, event): over for life in OPEN for event, over in OVER.items()},
    (Life.NEW, Event.FIRST): Life.MINE,
    (Life.NEW, Event.SECOND): Life.BEHIND,
    (Life.NEW, Event.UNHEARD): Life.EARLY,
    (Life.NEW, Event.OFFER): Life.OFFERED,
    (Life.NEW, Event.SILENCE): Life.ALONE,
    (Life.BEHIND, Event.FIRST): Life.MINE,
    (Life.BEHIND, Event.SILENCE): Life.MINE,
    (Life.BEHIND, Event.OFFER): Life.OFFERED,
    (Life.EARLY, Event.FIRST): Life.MINE,
    (Life.EARLY, Event.SECOND): Life.BEHIND,
    (Life.EARLY, Event.SILENCE): Life.MINE,
    (Life.EARLY, Event.OFFER): Life.OFFERED,
    (Life.OFFERED, Event.FIRST): Life.MINE,
    (Life.OFFERED, Event.SECOND): Life.BEHIND,
    (Life.OFFERED, Event.UNHEARD): Life.EARLY,
    (Life.OFFERED, Event.SILENCE): Life.ALONE,
    (Life.ALONE, Event.FIRST): Life.MINE,
    (Life.ALONE, Event.SECOND): Life.BEHIND,
    (Life.MINE, Event.LAPSE): Life.HELD,
    (Life.MINE, Event.OFFER): Life.OFFERED,
    (Life.HELD, Event.RETURN): Life.MINE,
    (Life.HELD, Event.OFFER): Life.OFFERED,
    (Life.HELD, Event.LAST_CALL): Life.ALONE,
    (Life.HELD, Event.SILENCE): Life.ALONE,
}
"""What is not here changes nothing."""


def after(life: Life, event: Event) -> Life:
    """What it is when that has happened."""
    return TABLE.get((life, event), life)
