"""`callsign cdr` around the hours in which a PBX's clock is set, whatever the PBX takes an ambiguous time for."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from callsign.commands.cdr_periods import begin_of, months
from callsign.sandbox.vendors.sandbox import Sandbox
from command_line import callsign_text
from product import looks_old

AUTUMN, SPRING = ("Europe/Rome", "2026-10-25 01:00"), ("Europe/Rome", "2026-03-29 01:00")
OVER_A_MONTH = ("America/Havana", "2026-11-01 04:00")  # 01:00 becomes 00:00
READINGS = ("shown", "first", "second")
REFUSED = [("01:59:59", False), ("02:00:00", True), ("02:30", True), ("02:59:59", True), ("03:00:00", False)]


class Pbx:
    """One whose register has a call every ten minutes, from two hours before its clock is set to two hours after."""

    def __init__(self, folder: Path, change: tuple[str, str], compares: str) -> None:
        zone = ZoneInfo(change[0])
        middle = datetime.fromisoformat(change[1]).replace(tzinfo=timezone.utc)
        lines = []
        for minutes in range(-125, 130, 10):
            at = middle + timedelta(minutes=minutes)
            shown = at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
            lines.append(f"{at.timestamp():.0f}.0,local_exten,{shown},,{shown},206,206,,0501,FAILED,,0,0,")
        self.ids = [line.partition(",")[0] for line in lines]
        account = {"username": "admin", "password": "the-password", "domain": "default", "timezone": change[0]}
        self.box = Sandbox({"kalliope": {**account, "calls": "\n".join(lines), "compares": compares}})
        self._settings = folder / "callsign.toml"
        self._settings.touch(mode=0o600)
        self._zone = change[0]

    def __enter__(self) -> Pbx:
        self.box.start()
        self._settings.write_text(
            f'[kalliope]\nurl = "{self.box.url("kalliope")}"\nusername = "admin"\npassword = "the-password"\n'
            f'timezone = "{self._zone}"\n',
            encoding="utf-8",
        )
        looks_old(self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        self.box.stop()

    def calls(self, begin: str, end: str, form: str = "csv") -> list[str]:
        """The ids of a download."""
        words = ("cdr", "--config", str(self._settings), "--from", begin, "--to", end, "--format", form)
        done = callsign_text(*words)
        assert (done.returncode, done.stderr) == (0, "")
        if form == "json":
            return [call["id"] for call in json.loads(done.stdout)]
        if form == "xml":
            return [call.findtext("id", "") for call in ElementTree.fromstring(done.stdout)]
        return [line[0] for line in csv.reader(done.stdout.splitlines()) if not line[0].startswith("#")]

    def refused(self, begin: str, end: str) -> str:
        done = callsign_text("cdr", "--config", str(self._settings), "--from", begin, "--to", end)
        assert done.returncode == 2
        return done.stderr


@pytest.mark.parametrize("compares", READINGS)
@pytest.mark.parametrize("form", ["csv", "json", "xml"])
@pytest.mark.parametrize("change", [AUTUMN, SPRING])
def test_two_downloads_that_meet_behind_the_hour_in_which_the_clock_is_set_have_each_call_once(
    tmp_path: Path, compares: str, form: str, change: tuple[str, str]
) -> None:
    day = change[1][:10]
    middle = begin_of(f"{day} 03:00:01")
    with Pbx(tmp_path, change, compares) as pbx:
        before = pbx.calls(str(middle - timedelta(days=1)), str(middle - timedelta(seconds=1)), form)
        after = pbx.calls(str(middle), f"{day} 12:00", form)
        assert sorted(before + after) == pbx.ids


@pytest.mark.parametrize("compares", READINGS)
def test_a_day_on_which_the_clock_is_set_back_is_whole(tmp_path: Path, compares: str) -> None:
    with Pbx(tmp_path, AUTUMN, compares) as pbx:
        midnight = datetime(2026, 10, 24, 22, tzinfo=timezone.utc).timestamp()
        assert pbx.calls("2026-10-25", "2026-10-25") == [one for one in pbx.ids if float(one) >= midnight]


@pytest.mark.parametrize("change", [AUTUMN, SPRING])
@pytest.mark.parametrize(("clock", "is_refused"), REFUSED)
def test_a_time_that_the_clock_shows_twice_or_never_is_refused_and_the_pbx_not_asked(
    tmp_path: Path, change: tuple[str, str], clock: str, is_refused: bool
) -> None:
    day = change[1][:10]
    with Pbx(tmp_path, change, "shown") as pbx:
        if not is_refused:
            pbx.calls(f"{day} {clock}", f"{day} 12:00")
            return
        for period in ((f"{day} {clock}", f"{day} 12:00"), (day, f"{day} {clock}")):
            assert "outside of the hour in which the PBX's clock is set" in pbx.refused(*period)
        assert pbx.box.seen == []


@pytest.mark.parametrize("compares", READINGS)
def test_a_clock_that_is_set_back_on_the_first_of_a_month_loses_no_call(tmp_path: Path, compares: str) -> None:
    with Pbx(tmp_path, OVER_A_MONTH, compares) as pbx:
        assert pbx.calls("2026-10-31", "2026-11-01") == pbx.ids
    assert [str(part.begin) for part in months(begin_of("2026-10-31"), begin_of("2026-12-02"), OVER_A_MONTH[0])] == [
        "2026-10-31 00:00:00",
        "2026-11-01 02:00:00",
        "2026-12-01 00:00:00",
    ]
