"""One vendor dead, the other well: how soon the well one hears of a call does not change."""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path

import pytest

import rough_vendor as rough
from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.record import SeenRequest
from load import Vendors, word
from product import Product, vendor_sections
from rough_vendor import Behaviour, RoughVendor
from store_play import LONG_SECONDS

pytestmark = pytest.mark.faults

CALLS = 60
BACKLOG = 40
"""Jobs that the dead vendor has not got before the first measurement; each measured call brings one more."""

CONDUCT = Conduct(timeout_seconds=LONG_SECONDS)
FACTOR, FLOOR_SECONDS = 3.0, 0.02  # what a busy machine may add; behind a dead vendor's attempts it would be seconds


class Ear:
    """When the well vendors heard of what."""

    def __init__(self, box: Vendors) -> None:
        self._heard: dict[str, float] = {}
        self._grew = threading.Condition()
        box.watch = self._note

    def _note(self, seen: SeenRequest) -> None:
        with self._grew:
            self._heard.setdefault(word(seen), time.monotonic())
            self._grew.notify_all()

    def heard_at(self, wanted: str) -> float:
        with self._grew:
            assert self._grew.wait_for(lambda: wanted in self._heard, LONG_SECONDS), f"{wanted} never came"
            return self._heard[wanted]


def place(server: Product, system: str, number: int) -> tuple[str, float]:
    """A call that its vendor is to hear of: by which word, and when it began."""
    call = Call(callerid=f"0470{number:06}", extension="056528998", uniqueid=f"1700000000.{number}")
    path, wanted = {
        "skarabee": ("skarabee", f"skarabee {call.callerid}"),
        "noojee": ("noojee/stop", f"stop {call.uniqueid}"),
    }[system]
    began = time.monotonic()
    session = run_fastagi(f"{server.url}/{path}?wait=0", call, conduct=CONDUCT)
    assert session.variables[f"{system.upper()}STATUS"] == "QUEUED"
    return wanted, began


@pytest.mark.parametrize("fault", [rough.refuses, rough.answers_late], ids=lambda fault: fault.__name__)
@pytest.mark.parametrize(("dead", "well"), [("noojee", "skarabee"), ("skarabee", "noojee")])
def test_the_well_vendor_hears_as_soon_while_the_other_is_dead(
    tmp_path: Path, fault: Behaviour, dead: str, well: str
) -> None:
    folders = [tmp_path / name for name in ("both-well", "one-dead")]
    for folder in folders:
        folder.mkdir()
    with Vendors() as box, RoughVendor() as grave:
        sections = vendor_sections(box, numbers='format = "asis"')
        leads_to_grave = sections.replace(box.url(dead), box.url(dead).replace(f":{box.port}/", f":{grave.port}/"))
        assert leads_to_grave != sections
        ear = Ear(box)
        with Product(folders[0], sections) as both_well, Product(folders[1], leads_to_grave) as one_dead:
            grave.behave(fault)
            numbers = iter(range(1, 10_000))
            for _ in range(BACKLOG):
                place(one_dead, dead, next(numbers))
            seconds: dict[Product, list[float]] = {both_well: [], one_dead: []}
            for _ in range(CALLS):
                for server, heard in seconds.items():  # in turn, so that the machine is as busy for both
                    place(server, dead, next(numbers))
                    wanted, began = place(server, well, next(numbers))
                    heard.append(ear.heard_at(wanted) - began)
            medians = [statistics.median(heard) for heard in seconds.values()]
            assert medians[1] <= FACTOR * medians[0] + FLOOR_SECONDS, medians
            assert not grave.box.taken
