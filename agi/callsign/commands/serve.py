"""`callsign serve`: the FastAGI server and the delivery, until SIGTERM."""

from __future__ import annotations

import gc

from callsign.commands import common
from callsign.settings.load import path_of

EPILOG = """\
example:
  callsign serve --config /etc/callsign/callsign.toml

It runs in the foreground and logs to standard error.  SIGHUP rereads the settings, SIGTERM ends it.
exit status: 0 ended by SIGTERM or ^C, 1 it could not go on, 2 wrong usage or settings"""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)


def run(options: common.Options) -> int:
    """Serves until it is told to end."""
    gc.disable()  # until all is loaded: calls wait for the start
    from callsign.server.serve import serve

    return serve(path_of(options.config))
