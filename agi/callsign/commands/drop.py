"""`callsign drop`: gives a waiting or failed job up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callsign.commands import edit_jobs
from callsign.outbox import edits

if TYPE_CHECKING:
    import argparse

EPILOG = """\
examples:
  callsign drop 17
  callsign drop --failed --system noojee --since 2h

It is not delivered, and counts no more among those that failed.
exit status: 0 all done, 1 one of them stays as it is, 2 wrong usage or settings"""

arguments = edit_jobs.arguments


def run(options: argparse.Namespace) -> int:
    """Gives each job up."""
    return edit_jobs.run(options, edits.drop)
