"""`callsign retry`: a failed job once more."""

from __future__ import annotations

from callsign.commands import common, edit_jobs
from callsign.outbox import edits

EPILOG = """\
examples:
  callsign retry 17
  callsign retry --failed --system noojee --since 2h

It gets a new number.  What is of no use any more, or was delivered, stays as it is.
exit status: 0 all done, 1 one of them stays as it is, 2 wrong usage or settings"""

arguments = edit_jobs.arguments


def run(options: common.Options) -> int:
    """Stores each job again."""
    return edit_jobs.run(options, edits.retry)
