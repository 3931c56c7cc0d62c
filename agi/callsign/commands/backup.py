"""`callsign backup`: a copy of the store as it is at this moment, while the server goes on."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

from callsign.commands import common
from callsign.commands.interrupts import ended_by_signals
from callsign.outbox.reader import OutboxReader

EPILOG = """\
example:
  sudo callsign backup >store.new && mv store.new store.db

The copy is one whole file, without -wal and -shm.  It holds callers' numbers: `umask 077` first.
`callsign help backup` says what else to save, and how to put it back.
Standard output is the copy's alone: what is wrong is a line on standard error, and the exit status.
exit status: 0 done, 1 the store cannot be read or the copy not written, 2 wrong usage or settings"""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)


def run(options: common.Options) -> int:
    """Writes the copy to standard output."""
    if sys.stdout.isatty():
        raise common.UsageFault("it is no text: wanted callsign backup >FILE")
    store = common.settings_and_store(options).outbox.path
    with ended_by_signals(), ExitStack() as stack:
        with common.temporary_files():
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="callsign-"))
        copy = Path(folder) / store.name
        with closing(OutboxReader(store)) as reader:
            reader.check()
            reader.copy_to(copy)
        with copy.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
    return common.DONE
