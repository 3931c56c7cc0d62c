"""In real time: nothing comes after its deadline, and a call's commands come in the order of its dialplan."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest

import rough_vendor as rough
from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.vendors.noojee.vendor import BY_EXTENSION_LIFETIME_SECONDS
from product import COMMAND, Product
from rough_vendor import Behaviour, RoughVendor
from script_play import PlainScript
from store_play import LONG_SECONDS
from waiting import wait_until

pytestmark = pytest.mark.faults

EXTENSION = "201"
CALLS = 8
CONDUCT = Conduct(timeout_seconds=2 * LONG_SECONDS)


def command(server: Product, action: str, call: Call, wait: int = 0, extension: str = "") -> str:
    """What the dialplan is told of a start or stop, by extension or else by unique id."""
    arguments = [extension] if extension else []
    session = run_fastagi(f"{server.url}/noojee/{action}?wait={wait}", call, arguments, CONDUCT)
    return session.variables["NOOJEESTATUS"]


def states(server: Product) -> dict[str, str]:
    """What `callsign jobs` lists: where the command of each call stands."""
    arguments = ("jobs", "--json", "--config", str(server.settings))
    listed = subprocess.run([sys.executable, str(COMMAND), *arguments], capture_output=True, check=True)
    return {job["call"]: job["state"] for job in json.loads(listed.stdout)}


def test_a_stop_by_extension_never_comes_after_ten_seconds_whoever_has_that_extension_then(tmp_path: Path) -> None:
    over, next_one = Call(uniqueid="1700000000.1"), Call(uniqueid="1700000000.2")
    with ExitStack() as running:

        def stage(fault: Behaviour) -> tuple[RoughVendor, Product]:
            folder = tmp_path / fault.__name__
            folder.mkdir()
            vendor = running.enter_context(RoughVendor())
            vendor.behave(fault)
            return vendor, running.enter_context(Product(folder, vendor.sections()))

        stages = stage(rough.refuses), stage(rough.answers_late)
        for _, server in stages:
            assert command(server, "stop", over, extension=EXTENSION) == "QUEUED"
        given_at = time.monotonic()
        (gone, server), (late, late_server) = stages
        wait_until(lambda: time.monotonic() > given_at + BY_EXTENSION_LIFETIME_SECONDS - 2)
        assert command(server, "start", next_one, extension=EXTENSION) == "QUEUED"
        wait_until(lambda: time.monotonic() > given_at + BY_EXTENSION_LIFETIME_SECONDS + 1)
        gone.behave(rough.well)
        late.behave(rough.well)
        assert command(late_server, "start", next_one, wait=30, extension=EXTENSION) == "OK"
        for vendor, server in stages:
            vendor.box.wait_for_all({f"start {EXTENSION}"})
            assert server.stop() == 0
            assert states(server) == {over.uniqueid: "expired", next_one.uniqueid: "delivered"}
            assert dict(vendor.box.taken) == {f"start {EXTENSION}": 1}


def test_start_and_stop_come_in_order_across_retries_restarts_and_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [Call(uniqueid=f"1700000000.{number}") for number in range(CALLS)]
    with RoughVendor() as vendor, ExitStack() as running:
        script = PlainScript(tmp_path, vendor.sections(), monkeypatch)
        running.callback(script.end_all)
        server = running.enter_context(Product(tmp_path, vendor.sections()))

        def by_script(action: str, call: Call) -> str:
            return script.run(f"noojee/{action}?wait=0", call=call).variables["NOOJEESTATUS"]

        def by_server(action: str, call: Call) -> str:
            return command(server, action, call)

        def has_come(action: str, call: Call, times: int = 1) -> bool:
            return sum(f"/{action}?extenOrUniqueId={call.uniqueid}&" in target for target in vendor.came) >= times

        # with a timestamp from a first call the others' commands are sent, and not only asked for the time
        assert command(server, "start", Call(uniqueid="1700000001.1"), wait=30) == "OK"
        vendor.behave(rough.answers_503)
        for call, by in zip(calls, CALLS // 2 * [by_server, by_script], strict=True):
            assert by("start", call) == "QUEUED"
        wait_until(lambda: all(has_come("start", call) for call in calls))
        wait_until(lambda: has_come("start", calls[0], times=3))

        assert server.stop() == 0
        assert [by_script("stop", call) for call in calls[:2]] == ["QUEUED", "QUEUED"]  # it delivers, meanwhile
        server.start()
        assert [by_server("stop", call) for call in calls[2:4]] == ["QUEUED", "QUEUED"]
        server.kill()
        server.start()
        assert [by_script("stop", call) for call in calls[4:6]] == ["QUEUED", "QUEUED"]
        assert [by_server("stop", call) for call in calls[6:]] == ["QUEUED", "QUEUED"]
        assert sum(vendor.box.taken.values()) == 1
        assert not any(has_come("stop", call) for call in calls)

        vendor.behave(rough.well)
        wait_until(lambda: all(vendor.box.taken[f"stop {call.uniqueid}"] for call in calls), 2 * LONG_SECONDS)
        assert server.stop() == 0
        came: defaultdict[str, list[str]] = defaultdict(list)
        for seen in vendor.box.seen:
            if seen.path != "/Time":
                came[seen.query["extenOrUniqueId"]].append(seen.path.rpartition("/")[2])
        assert [came[call.uniqueid] for call in calls] == CALLS * [["start", "stop"]]
