"""`callsign sign`: the text to sign and the signature, to compare with a vendor's own."""

from __future__ import annotations

from collections.abc import Mapping

from callsign import SYSTEMS, clocks
from callsign.commands import common
from callsign.record import asdict
from callsign.settings.sections import Settings
from callsign.vendors.registry import VENDORS
from callsign.vendors.signing import Explained

EPILOG = """\
example:
  callsign sign skarabee phoneto=056528998 phonefrom=056528999

What is not given comes from the settings and the clock.  Names:
  skarabee  businessid phoneto phonefrom timestamp
  noojee    timestamp
  mor       method, and any of the vendor's
  kalliope  nonce created salt
  sraps     method url timestamp nonce ext body
exit status: 0 done, 2 wrong usage or settings"""


def arguments(parser: common.Parser) -> None:
    """What may stand on the command line."""
    common.settings_option(parser)
    common.json_option(parser)
    parser.add_argument("system", metavar="SYSTEM", help=f"one of {', '.join(SYSTEMS)}")
    parser.add_argument("values", metavar="NAME=VALUE", nargs="*", default=[], help="what is signed, see below")
    common.account_option(parser)


def run(options: common.Options) -> int:
    """Prints text, method and signature."""
    hint = ", as in method=user_balance_get" if options.system == "mor" else ""
    given = common.given_values(options.values, hint)
    settings = common.read_settings(options)
    found = sign(options.system, given, settings, options.account)
    if options.json:
        common.print_json(asdict(found))
        return common.DONE
    for name, value in found.values.items():
        print(f"{name:<12} {value}")
    print(f"{'text':<12} {found.text}\n{'method':<12} {found.method}\n{'signature':<12} {found.signature}")
    return common.DONE


def sign(system: str, given: Mapping[str, str], settings: Settings, name: str = "") -> Explained:
    """The text to sign and the signature.  Raises UsageFault naming what is wrong or missing."""
    vendor = VENDORS.get(system)
    if vendor is None:
        raise common.UsageFault(f"system {system!r} is unknown, known are {', '.join(VENDORS)}")
    section = common.section_for(settings, system, name)
    try:
        return vendor.explain(section, given, clocks.wall())
    except ValueError as fault:
        raise common.UsageFault(str(fault)) from None
