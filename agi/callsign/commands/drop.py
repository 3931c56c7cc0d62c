"""`callsign drop`: gives a waiting or failed job up."""

from __future__ import annotations

from callsign.commands import common, edit_jobs
from callsign.outbox import edits

EPILOG = """\
examples:
  callsign drop 17
  callsign drop --failed --system noojee --since 2h

It is not delivered, and counts no more among those that failed.
exit status: 0 all done, 1 one of them stays as it is, 2 wrong usage or settings"""

arguments = edit_jobs.arguments


def run(options: common.Options) -> int:
    """Gives each job up."""
    return edit_jobs.run(options, edits.drop)
