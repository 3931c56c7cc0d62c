"""`callsign call`: one handler from the shell, as a plain AGI script would run it."""

from __future__ import annotations

from urllib.parse import quote

from callsign.commands import common
from callsign.sandbox.asterisk.call import Call, unique_id
from callsign.script.main import answer_one_step
from callsign.steps.answer import value_of

EPILOG = """\
examples:
  callsign call kalliope/lastcall 056528999
  callsign call 'skarabee?wait=10' phoneto=056528998 --callerid 056528999

It does what the dialplan's AGI() line does: a vendor is told.
exit status: 0 OK, QUEUED or SKIPPED; 1 REFUSED, UNREACHABLE or ERROR; 2 wrong usage or settings"""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.json_option(parser)
    parser.add_argument("path", metavar="PATH", help="as in the dialplan: skarabee, noojee/start?wait=2, …")
    text = "the path's arguments, by place or NAME=VALUE"
    parser.add_argument("args", metavar="ARG", nargs="*", default=[], help=text)
    parser.add_argument("--callerid", default="", metavar="NUMBER", help="who calls (none: unknown)")
    parser.add_argument("--calleridname", default="", metavar="NAME", help="the caller's name")
    parser.add_argument("--extension", default="s", metavar="EXTEN", help="what was dialled (%(default)s)")
    parser.add_argument("--dnid", default="", metavar="NUMBER", help="the number that the trunk announced")
    parser.add_argument("--uniqueid", default="", metavar="ID", help="the channel's id (a new one)")
    text = "the call it belongs to, as call=${CHANNEL(linkedid)}"
    parser.add_argument("--linkedid", default="", metavar="ID", help=text)
    parser.add_argument("--account", default="", metavar="NAME", help="the account, as ?account=NAME")


def run(options: common.Options) -> int:
    """Prints the variables that the handler sets."""
    settings = common.settings_and_store(options)
    made_up = Call(
        options.callerid,
        options.calleridname,
        options.extension,
        options.dnid,
        uniqueid=options.uniqueid or unique_id(),
    )
    lines = made_up.environment("callsign.agi", (), network=False)
    env = {name: value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    args = [*options.args, f"call={options.linkedid}"] if options.linkedid else options.args
    variables = answer_one_step(with_account(options.path, options.account), args, env, settings)
    if options.json:
        common.print_json(variables)
    else:
        for name, value in variables.items():
            print(f"{name}={value}")
    return common.DONE if value_of(variables, "STATUS") in ("OK", "QUEUED", "SKIPPED") else common.FAILED


def with_account(path: str, account: str) -> str:
    """The path with the option that chooses this account, if one is named."""
    if not account:
        return path
    return f"{path}{'&' if '?' in path else '?'}account={quote(account, safe='')}"
