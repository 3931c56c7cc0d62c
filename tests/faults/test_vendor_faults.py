"""Each way in which a vendor can fail, below calls on a real Asterisk: no step is held, and all arrives in the end."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import rough_vendor as rough
from callsign.outbox.reader import OutboxReader
from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from product import Product
from real_asterisk import RealAsterisk
from rough_vendor import Behaviour, RoughVendor
from store_play import LONG_SECONDS
from waiting import wait_until

pytestmark = pytest.mark.faults

DIALPLAN = r"""
[step]
exten => go,1,Gosub(harness,begin,1)
 same => n,AGI(${LINE})
 same => n,Gosub(harness,end,1)
 same => n,Set(WENTON=yes)
"""

SYSTEMS = ("skarabee", "noojee")
CONDUCT = Conduct(timeout_seconds=2 * LONG_SECONDS)
WAITS = (0, 1)
CALLS = 4  # of each kind: the quickest of them shows how long the step takes, the slowest that none hangs
GRACE_SECONDS = 0.5
HANG_SECONDS = 5.0
ROUND_SECONDS = 0.5
OUTAGE_SECONDS = 20.0
MORE_KILOBYTES = 40_000
CALLED = "056528998"

NOWHERE = ".".join(5 * ["a" * 60])
"""A name longer than any packet to a name server can hold: it resolves to nothing without one."""

FAULTS = [
    (rough.refuses, "refuses connections"),
    (rough.resets, "Connection reset by peer"),
    (rough.answers_503, "HTTP 503"),
    (rough.sends_100_megabytes, "is larger than"),
    (rough.sends_garbage, "is no HTTP"),
    (rough.closes_in_mid_body, "broke off before its answer was whole"),
    (rough.redirects, "HTTP 307"),
]
HANGING = [
    (rough.answers_late, "no answer from"),
    (rough.drips, "no answer from"),
]


class Stage:
    """A server, its vendors, and what its calls were promised."""

    def __init__(self, server: Product, vendor: RoughVendor, systems: tuple[str, ...] = SYSTEMS) -> None:
        self.server, self.vendor, self.systems = server, vendor, systems
        self.promised: set[str] = set()
        self._number = 0

    def line(self, system: str, wait: int) -> tuple[str, str, str]:
        """An AGI() line for a call of its own, that call's number, and the word of what its vendor is to get."""
        self._number += 1
        caller, recording = f"0470{self._number:06}", f"1700000000.{self._number}"
        if system == "skarabee":
            return f"{self.server.url}/skarabee?wait={wait},,{CALLED}", caller, f"skarabee {caller}"
        return f"{self.server.url}/noojee/start?wait={wait},{recording},,,{recording}", caller, f"start {recording}"

    def play(self, system: str, wait: int) -> tuple[str, float]:
        """A call without an Asterisk: its status and its seconds."""
        line, caller, word = self.line(system, wait)
        url, *arguments = line.split(",")
        call = Call(callerid=caller, uniqueid=f"1800000000.{self._number}")
        session = run_fastagi(url, call, arguments, CONDUCT)
        assert session.status == "SUCCESS"
        self.promised.add(word)
        return session.variables[f"{system.upper()}STATUS"], session.seconds

    def play_well(self) -> None:
        """From now on the server keeps connections, and a timestamp of the recorder."""
        assert [self.play(system, 30)[0] for system in self.systems] == len(self.systems) * ["OK"]

    def place(self, asterisk: RealAsterisk) -> None:
        """While the vendors are rough every step ends within its wait, with a status that the dialplan can use."""
        for wait in WAITS:
            placed = []
            for system in self.systems * CALLS:
                line, caller, word = self.line(system, wait)
                report = [f"{system.upper()}STATUS", "AGISTATUS", "WENTON"]
                call = asterisk.start("go", "step", variables={"LINE": line}, callerid=("", caller), report=report)
                placed.append(call)
                self.promised.add(word)
                if not wait:  # those that wait do so together
                    call.wait(LONG_SECONDS)
            results = [call.wait(LONG_SECONDS) for call in placed]
            assert {tuple(result.variables.values()) for result in results} == {("QUEUED", "SUCCESS", "yes")}
            assert_in_time(wait, [result.microseconds / 1e6 for result in results])

    def wait_for_trouble(self, words: str) -> None:
        for system in self.systems:
            wanted = re.compile(f"system={system} .*TRY LATER .*{re.escape(words)}")
            self.server.wait_log(lambda line, wanted=wanted: wanted.search(line), LONG_SECONDS)

    def peak_kilobytes(self) -> int:
        """The most memory that the server has ever had."""
        status = Path(f"/proc/{self.server.process.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0])

    def assert_all_comes(self, hides_yes: bool = False) -> None:
        """Once, and nothing is left to do; only a fault that hides the vendor's yes may make it come again."""
        box = self.vendor.box
        box.wait_for_all(self.promised)
        reader = OutboxReader(self.server.store)
        wait_until(lambda: reader.newest_open() == 0)
        reader.close()
        assert self.server.stop() == 0
        assert set(box.taken) == self.promised
        assert hides_yes or box.repeats == 0


def assert_in_time(wait: float, seconds: list[float]) -> None:
    assert min(seconds) <= wait + GRACE_SECONDS, seconds
    assert max(seconds) <= wait + HANG_SECONDS, seconds


def assert_weathers(asterisk: RealAsterisk, folder: Path, fault: Behaviour, words: str) -> None:
    """Well, rough, well again."""
    folder.mkdir()
    hides_yes = fault is rough.closes_in_mid_body
    with RoughVendor() as vendor, Product(folder, vendor.sections()) as server:
        stage = Stage(server, vendor)
        stage.play_well()
        before, memory = set(stage.promised), stage.peak_kilobytes()
        vendor.behave(fault)
        stage.place(asterisk)
        stage.wait_for_trouble(words)
        assert stage.peak_kilobytes() < memory + MORE_KILOBYTES
        assert hides_yes or set(vendor.box.taken) == before
        vendor.behave(rough.well)
        stage.assert_all_comes(hides_yes)


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_vendor_that_fails_at_once_holds_no_step_and_gets_all_when_it_is_back(
    asterisk: RealAsterisk, tmp_path: Path, fault: Behaviour, words: str
) -> None:
    assert_weathers(asterisk, tmp_path / "it", fault, words)


def test_a_vendor_that_hangs_holds_no_step_and_gets_all_when_it_is_back(asterisk: RealAsterisk, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:  # an attempt at each takes its 10 s
        each = [pool.submit(assert_weathers, asterisk, tmp_path / f.__name__, f, words) for f, words in HANGING]
    for one in each:
        one.result()


@pytest.mark.parametrize("odd", [rough.hints_first, rough.answers_twice])
def test_a_vendor_that_says_more_than_its_answer_gets_all_once_and_no_step_hears_anothers(
    asterisk: RealAsterisk, tmp_path: Path, odd: Behaviour
) -> None:
    with RoughVendor() as vendor, Product(tmp_path, vendor.sections()) as server:
        vendor.behave(odd)
        stage = Stage(server, vendor)
        for _ in range(CALLS):
            stage.play_well()
        placed = []
        for system in SYSTEMS * CALLS:
            line, caller, word = stage.line(system, 30)
            stage.promised.add(word)
            report = [f"{system.upper()}STATUS"]
            placed.append(asterisk.start("go", "step", variables={"LINE": line}, callerid=("", caller), report=report))
        assert {next(iter(call.wait(LONG_SECONDS).variables.values())) for call in placed} == {"OK"}
        stage.assert_all_comes()


def test_a_vendor_with_a_bad_certificate_is_told_nothing_until_it_has_its_own(
    asterisk: RealAsterisk, tmp_path: Path
) -> None:
    own, others = (certificate(tmp_path / f"{name}.pem") for name in ("own", "others"))
    with RoughVendor(certificate=others) as vendor:
        recorder = vendor.sections()
        recorder = recorder[recorder.index("[noojee]") :] + f'verify = "{own}"\n'  # skarabee's CA is no setting
        with Product(tmp_path, recorder) as server:
            stage = Stage(server, vendor, ("noojee",))
            stage.place(asterisk)
            stage.wait_for_trouble("is not trusted")
            assert vendor.came == []
            vendor.behave(rough.well, certificate=own)
            stage.assert_all_comes()


def test_a_vendor_whose_name_leads_nowhere_gets_all_when_the_settings_have_the_right_one(
    asterisk: RealAsterisk, tmp_path: Path
) -> None:
    with RoughVendor() as vendor:
        sections = vendor.sections()
        with Product(tmp_path, sections.replace("//127.0.0.1:", f"//{NOWHERE}:")) as server:
            stage = Stage(server, vendor)
            stage.place(asterisk)
            stage.wait_for_trouble("cannot be resolved")
            server.write_settings(sections)
            server.process.send_signal(signal.SIGHUP)
            stage.assert_all_comes()


def test_an_outage_of_twenty_seconds_delays_and_loses_nothing(tmp_path: Path) -> None:
    with RoughVendor() as vendor, Product(tmp_path, vendor.sections()) as server:
        stage = Stage(server, vendor)
        stage.play_well()
        before = set(stage.promised)
        vendor.behave(rough.answers_503)
        began = time.monotonic()
        seconds: dict[int, list[float]] = {wait: [] for wait in WAITS}
        while time.monotonic() < began + OUTAGE_SECONDS:
            for wait, system in itertools.product(WAITS, SYSTEMS):
                status, took = stage.play(system, wait)
                assert status == "QUEUED"
                seconds[wait].append(took)
            # No call is held: more would be stored than the vendor takes in a minute.
            time.sleep(ROUND_SECONDS)
        for wait in WAITS:
            assert_in_time(wait, seconds[wait])
        assert set(vendor.box.taken) == before
        vendor.behave(rough.well)
        stage.assert_all_comes()


def certificate(path: Path) -> str:
    """A certificate of this host by itself, and its key, in one file."""
    parts = [path.with_suffix(".crt"), path.with_suffix(".key")]
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={path.stem} -out {parts[0]} -keyout {parts[1]}"
    extensions = ("subjectAltName=IP:127.0.0.1", "keyUsage=critical,keyCertSign,digitalSignature")
    command = [*made.split(), *(word for extension in extensions for word in ("-addext", extension))]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return str(path)
