"""While a vendor is away one host tries it for all, and the others stand aside until it is well there.

It is the first by name of those where the vendor is in trouble and something waits, so that each knows by the same
rows who it is; who dies, or has nothing to try, is not.
"""

from __future__ import annotations

from collections.abc import Mapping

from callsign.cluster.membership import HostRow


class Trying:
    """For the thread of the rounds."""

    def __init__(self, me: str) -> None:
        self._me = me
        self._watched: dict[str, str] = {}  # by account: the host for whose word we stand aside

    def stands_aside(self, account: str, living: Mapping[str, HostRow]) -> bool:
        """Whether another one of `living` tries that account's vendor."""
        troubled = sorted(name for name, host in living.items() if account in host.troubled)
        if self._me not in troubled:
            self._watched.pop(account, None)
            return False
        watched = self._watched.get(account, self._me)
        if watched in living and watched not in troubled:  # it is well there: we see for ourselves
            return False
        first = next((name for name in troubled if living[name].wants.get(account)), self._me)
        self._watched[account] = first
        return first != self._me
