"""The vendors by name: all that the rest knows of them."""

from __future__ import annotations

from callsign.vendors.interface import Vendor
from callsign.vendors.kalliope import vendor as kalliope
from callsign.vendors.mor import vendor as mor
from callsign.vendors.noojee import vendor as noojee
from callsign.vendors.skarabee import vendor as skarabee
from callsign.vendors.sraps import vendor as sraps

VENDORS: dict[str, Vendor] = {
    "skarabee": skarabee.VENDOR,
    "noojee": noojee.VENDOR,
    "mor": mor.VENDOR,
    "kalliope": kalliope.VENDOR,
    "sraps": sraps.VENDOR,
}
