"""One file per vendor, all of one shape: constants from its manual, text to sign, conversation, judge.

What would make it long stands in files beside it that begin with its name.

A conversation does no input or output and reads no clock itself, so it is tested without a socket.
`VENDORS` is all that the rest knows of them: a further vendor is its file, an entry here and in
`callsign.SYSTEMS`, its section in `settings`, its subroutine and its test.
"""

from __future__ import annotations

from callsign.vendors import kalliope, mor, noojee, skarabee, sraps
from callsign.vendors.shape import Vendor

VENDORS: dict[str, Vendor] = {
    "skarabee": skarabee.VENDOR,
    "noojee": noojee.VENDOR,
    "mor": mor.VENDOR,
    "kalliope": kalliope.VENDOR,
    "sraps": sraps.VENDOR,
}
