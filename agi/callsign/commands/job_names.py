"""How a job is called at the shell: 17, or pbx2:17 where several hosts share the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsign.commands.common import UsageFault, whole_number
from callsign.record import Record
from callsign.settings.sections import Settings

if TYPE_CHECKING:
    from callsign.commands.common import Parser


class JobName(Record):
    """A job's number at a host; `host` is empty for this one."""

    host: str
    number: int

    def __str__(self) -> str:
        return f"{self.host}:{self.number}" if self.host else str(self.number)


def job_name(text: str) -> JobName:
    """An argument's type.  Raises argparse.ArgumentTypeError."""
    host, _, number = text.rpartition(":")
    return JobName(host, whole_number(number, "job's number", 2**63 - 1))


def host_option(parser: Parser, when: str) -> None:
    """Adds --host."""
    text = f"{when}with [cluster]: that this host was told or delivers"
    parser.add_argument("--host", metavar="HOST", help=text)


def refuse_hosts(settings: Settings, *hosts: str | None) -> None:
    """Raises UsageFault where a host is named, but the settings have no [cluster]."""
    named = [host for host in hosts if host]
    if named and settings.cluster is None:
        raise UsageFault(f"{named[0]}: without [cluster] in {settings.source} this host is the only one")
