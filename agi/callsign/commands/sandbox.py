"""`callsign sandbox`: the stand-ins of the vendors, until SIGTERM."""

from __future__ import annotations

from functools import partial

from callsign.commands import common
from callsign.sandbox.command import DEMO_ACCOUNTS, accounts_of, faults_of
from callsign.sandbox.command import run as run_sandbox

EPILOG = """\
examples:
  callsign sandbox --port 0
  callsign sandbox --fault noojee=slow:3 --fault skarabee=refuse

It prints the settings that lead to them, then a line for each request.  With --config they have
the keys of those settings, for the vendors that have a section there.
exit status: 0 ended by SIGTERM or ^C, 1 the port is taken, 2 wrong usage or settings"""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.json_option(parser)
    text = "slow:3 (seconds), refuse, drop or an HTTP status: noojee=503; may be given several times"
    parser.add_argument("--fault", action="append", default=[], metavar="SYSTEM=FAULT", help=text)
    parser.add_argument("--show-numbers", action="store_true", help="phone numbers as they are, not masked")
    port = partial(common.whole_number, what="port", most=65535)
    parser.add_argument("--port", type=port, default=4592, help="on 127.0.0.1; 0: a free one (default %(default)s)")


def run(options: common.Options) -> int:
    """Plays the vendors."""
    accounts = DEMO_ACCOUNTS
    if options.config:
        settings = common.read_settings(options)
        accounts = accounts_of(settings)
        if not accounts:
            raise common.UsageFault(f"{settings.source} has no account of a vendor that the sandbox plays")
    try:
        faults = faults_of(options.fault, accounts)
    except ValueError as fault:
        raise common.UsageFault(str(fault)) from None
    return run_sandbox(options.port, accounts, options.json, faults, options.show_numbers)
