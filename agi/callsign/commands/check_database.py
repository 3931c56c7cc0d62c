"""What `check --online` learns of the PostgreSQL that hosts share: reachable, TLS, its tables, this host's rights."""

from __future__ import annotations

from collections.abc import Sequence

from callsign.commands.check_cluster import NO_DRIVER, has_driver
from callsign.log_text import own_fault
from callsign.record import Record
from callsign.settings.sections import Cluster


class DatabaseFinding(Record):
    """The database, as it was found."""

    good: bool  # this host can use it
    reachable: bool  # it let this host in
    tls: bool  # verified: `settings.database` lets no other over a network
    version: int  # of the tables; 0 where there are none to be seen
    words: Sequence[str]  # what is the matter
    warnings: Sequence[str] = ()

    def line(self) -> str:
        """For a person."""
        if not self.reachable:
            return f"cluster: PostgreSQL can NOT be used: {'; '.join(self.words)}: this host works alone"
        tls = "TLS verified" if self.tls else "without TLS, on this machine"
        words = [tls, f"tables of version {self.version}" if self.version else "no tables"]
        how = f"{'; '.join(self.words)}: this host works alone" if self.words else "all that this host needs"
        return f"cluster: PostgreSQL answers; {'; '.join(words)}: {how}"


def ask(section: Cluster) -> DatabaseFinding:
    """Looks at it as this host would.  Never raises."""
    if not has_driver():
        return DatabaseFinding(False, False, False, 0, [NO_DRIVER])
    from callsign.cluster.care import look
    from callsign.cluster.connection import DatabaseFault

    try:
        care = look(section)
    except DatabaseFault as fault:
        return DatabaseFinding(False, False, False, 0, [str(fault)])
    except Exception as fault:  # our own must not hide what was learnt of the vendors
        return DatabaseFinding(False, False, False, 0, [own_fault(fault)])
    return DatabaseFinding(not care.faults, True, care.is_encrypted, care.version, care.faults, care.warnings)
