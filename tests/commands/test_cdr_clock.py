"""`callsign cdr` around the hours in which a PBX's clock is set, whatever the PBX takes an ambiguous time for."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from callsign.commands.cdr_joining import BadPart
from callsign.commands.cdr_periods import months
from callsign.commands.cdr_selecting import within
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.vendors.kalliope.pbx_clock import unmistakable
from command_line import callsign_text
from product import looks_old

AUTUMN, SPRING = ("Europe/Rome", "2026-10-25 01:00"), ("Europe/Rome", "2026-03-29 01:00")
OVER_A_MONTH = ("America/Havana", "2026-11-01 04:00")  # 01:00 becomes 00:00
READINGS = ("shown", "first", "second")

pbx_time = datetime.fromisoformat


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
        words = ("cdr", "--config", str(self._settings), "--from", begin, "--to", end, "--style", "blues_out")
        done = callsign_text(*words)
        assert done.returncode == 2
        return done.stderr


@pytest.mark.parametrize("compares", READINGS)
@pytest.mark.parametrize("form", ["csv", "json", "xml"])
@pytest.mark.parametrize("cut", ["02:00:00", "02:00:01", "02:30:00", "02:59:59", "03:00:00"])
def test_two_downloads_that_meet_in_the_hour_shown_twice_have_each_call_once(
    tmp_path: Path, compares: str, form: str, cut: str
) -> None:
    middle = pbx_time(f"2026-10-25 {cut}")
    with Pbx(tmp_path, AUTUMN, compares) as pbx:
        before = pbx.calls("2026-10-24 12:00", str(middle - timedelta(seconds=1)), form)
        after = pbx.calls(str(middle), "2026-10-25 12:00", form)
        assert sorted(before + after) == pbx.ids


@pytest.mark.parametrize("compares", READINGS)
def test_a_time_in_the_hour_shown_twice_means_both(tmp_path: Path, compares: str) -> None:
    with Pbx(tmp_path, AUTUMN, compares) as pbx:
        begin = datetime(2026, 10, 25, 0, 15, tzinfo=timezone.utc).timestamp()
        both = {f"{begin + shift + 600 * n:.0f}.0" for n in range(3) for shift in (0, 3600)}
        assert set(pbx.calls("2026-10-25 02:15", "2026-10-25 02:40")) == both
        assert pbx.calls("2026-10-25", "2026-10-25") == [one for one in pbx.ids if float(one) >= begin - 8100]


@pytest.mark.parametrize("compares", READINGS)
def test_a_time_that_the_clock_leaves_out_loses_no_call(tmp_path: Path, compares: str) -> None:
    with Pbx(tmp_path, SPRING, compares) as pbx:
        before = pbx.calls("2026-03-28", "2026-03-29 02:29:59")
        assert sorted(before + pbx.calls("2026-03-29 02:30", "2026-03-29 12:00")) == pbx.ids


@pytest.mark.parametrize("compares", READINGS)
def test_a_clock_that_is_set_back_on_the_first_of_a_month_loses_no_call(tmp_path: Path, compares: str) -> None:
    with Pbx(tmp_path, OVER_A_MONTH, compares) as pbx:
        assert pbx.calls("2026-10-31", "2026-11-01") == pbx.ids
    assert [str(part.begin) for part in months(pbx_time("2026-10-31"), pbx_time("2026-12-02"), OVER_A_MONTH[0])] == [
        "2026-10-31 00:00:00",
        "2026-11-01 02:00:00",
        "2026-12-01 00:00:00",
    ]


def test_where_calls_have_no_time_the_hour_is_refused(tmp_path: Path) -> None:
    with Pbx(tmp_path, AUTUMN, "shown") as pbx:
        assert "outside of the hour in which the PBX's clock is set" in pbx.refused("2026-10-25 02:30", "2026-10-25")
        assert pbx.box.seen == []


def test_a_period_whose_ends_are_clear_is_asked_for_as_it_is() -> None:
    part = months(pbx_time("2026-10-25 01:59:59"), pbx_time("2026-10-25 03:00"), AUTUMN[0])[0]
    assert unmistakable(*part, "Europe/Rome") == part


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("csv", b"1.0,local_exten,yesterday\n"),
        ("json", b'[{"id": "1.0"}]'),
        ("json", b"{}"),
        ("xml", b"<cdr><call><id>1.0</id></call></cdr>"),
        ("xml", b'<!DOCTYPE cdr [<!ENTITY a "b">]><cdr/>'),
    ],
)
def test_a_call_whose_time_cannot_be_read_is_neither_kept_nor_dropped(form: str, body: bytes) -> None:
    with pytest.raises(BadPart):
        within(body, form, pbx_time("2026-10-25"), pbx_time("2026-10-26"))


def test_what_is_kept_of_a_csv_is_as_it_came() -> None:
    header, kept = b"#id,start_time,note\r\n", b'1.0,2026-10-25 02:00:00,"a\nb"\r\n'
    body = header + kept + b'2.0,2026-10-26 02:00:00,"c\nd"\r\n'
    assert within(body, "csv", pbx_time("2026-10-25"), pbx_time("2026-10-26")) == header + kept
    assert within(b"", "csv", pbx_time("2026-10-25"), pbx_time("2026-10-26")) == b""
