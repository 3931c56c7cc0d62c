"""Commands that have ended without a verdict: the vendor may still carry them out, behind what undoes them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from callsign.notification import Notification

DOUBT_SECONDS = 3600.0
"""So long after a command that may still be carried out, one that undoes it is sent twice."""

MOST_DOUBTS = 4096  # of one vendor; the oldest are forgotten


class Doubts:
    """Of one lane, used with its guard held."""

    def __init__(
        self,
        keys_of: Callable[[Notification], tuple[str, ...]],
        undoes: Callable[[Notification, Notification], bool],
    ) -> None:
        """For `keys_of` and `undoes` see vendors.interface."""
        self._keys_of = keys_of
        self._undoes = undoes
        self._by_key: OrderedDict[str, Notification] = OrderedDict()  # by the last key

    def note(self, notification: Notification) -> None:
        """It has ended, and the vendor may still carry it out."""
        key = self._keys_of(notification)[-1]
        older = self._by_key.pop(key, None)
        is_hidden = older is not None and self._undoes(notification, older)  # a stop in doubt does not hide its start
        self._by_key[key] = older if older is not None and is_hidden else notification
        while len(self._by_key) > MOST_DOUBTS:
            self._by_key.popitem(last=False)

    def has_undone_by(self, notification: Notification) -> bool:
        """Whether what `notification` undoes may still be carried out."""
        older = self._by_key.get(self._keys_of(notification)[-1])
        return (
            older is not None
            and self._undoes(notification, older)
            and notification.created_at - older.created_at < DOUBT_SECONDS
        )

    def drop_undone_by(self, notification: Notification) -> None:
        """It was undone twice: no doubt is left."""
        if self.has_undone_by(notification):
            del self._by_key[self._keys_of(notification)[-1]]
