"""`callsign check --online` against the stand-ins: well, away, with another clock, over TLS."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from callsign.sandbox.command import DEMO_ACCOUNTS, settings_for
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from command_line import callsign_text
from product import ACCOUNTS, vendor_sections
from settings_file import write


def check(folder: Path, sections: str, *options: str) -> subprocess.CompletedProcess[str]:
    settings = write(folder, f'[outbox]\npath = "{folder}/outbox.db"\n{sections}')
    return callsign_text("check", "--online", "--config", str(settings), *options)


def findings(folder: Path, sections: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = check(folder, sections, "--json")
    told = json.loads(done.stdout)
    assert told["ok"] is (done.returncode == 0)
    return done.returncode, {one.pop("system"): one for one in told["online"]}


def test_vendors_that_are_well_are_reachable_and_nothing_is_done_to_them(tmp_path: Path) -> None:
    with Sandbox(ACCOUNTS) as box:
        status, found = findings(tmp_path, vendor_sections(box))
        assert sorted((seen.system, seen.method, seen.path) for seen in box.seen) == [
            ("noojee", "POST", "/Time"),
            ("skarabee", "GET", "/"),
        ]
    assert status == 0
    for one in found.values():
        assert (one["good"], one["reachable"], one["tls"], one["credentials"]) == (True, True, False, "unknown")
        assert abs(one["clock_ahead_seconds"]) < 30
        assert one["clock_good"]
    assert "no harmless call" in found["skarabee"]["words"]


def test_a_person_gets_a_line_for_each_vendor_without_a_secret(tmp_path: Path) -> None:
    with Sandbox(ACCOUNTS) as box:
        done = check(tmp_path, vendor_sections(box))
        lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert [line for line in lines if line.startswith("skarabee: answers at 127.0.0.1:")]
    assert [line for line in lines if line.startswith("noojee: answers at 127.0.0.1:")]
    assert "-key" not in done.stdout + done.stderr


def test_a_vendor_that_is_away_is_told_and_does_not_hide_the_other(tmp_path: Path) -> None:
    with Sandbox(ACCOUNTS) as box:
        box.trouble = {"noojee": Trouble(drop=True), "skarabee": None}
        status, found = findings(tmp_path, vendor_sections(box))
    assert status == 1
    assert found["skarabee"]["good"]
    assert (found["noojee"]["good"], found["noojee"]["reachable"]) == (False, False)
    assert "broke off" in found["noojee"]["words"]


@pytest.mark.parametrize(("minutes", "good"), [(16, False), (-16, False), (14, True)])
def test_a_clock_too_far_off_for_a_vendor_is_told(tmp_path: Path, minutes: int, good: bool) -> None:
    with Sandbox(ACCOUNTS, clock=lambda: time.time() - 60 * minutes) as box:
        status, found = findings(tmp_path, vendor_sections(box))
    assert status == (0 if good else 1)
    assert found["skarabee"]["clock_good"] is good
    assert abs(found["skarabee"]["clock_ahead_seconds"] - 60 * minutes) < 30
    assert found["noojee"]["clock_good"], "the recorder gives the time itself"


def test_a_service_in_trouble_is_not_good(tmp_path: Path) -> None:
    with Sandbox(ACCOUNTS) as box:
        box.trouble = {"skarabee": Trouble(http_status=503), "noojee": Trouble(http_status=404)}
        status, found = findings(tmp_path, vendor_sections(box))
    assert status == 1
    assert {(one["good"], one["reachable"]) for one in found.values()} == {(False, True)}
    assert "HTTP 503" in found["skarabee"]["words"]
    assert "url" in found["noojee"]["words"]


def test_tls_is_verified_by_the_ca_that_is_named_and_by_no_other(tmp_path: Path) -> None:
    own, key = tmp_path / "own.pem", tmp_path / "own.key"
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=recorder -out {own} -keyout {key}"
    extensions = "-addext subjectAltName=IP:127.0.0.1 -addext keyUsage=critical,keyCertSign,digitalSignature"
    subprocess.run([*made.split(), *extensions.split()], check=True, capture_output=True)
    with Sandbox({"noojee": ACCOUNTS["noojee"]}, certificate=(str(own), str(key))) as box:
        section = f'[noojee]\nurl = "{box.url("noojee")}"\nkey = "recorder-key"\n'
        status, found = findings(tmp_path, f'{section}verify = "{own}"\n')
        assert (status, found["noojee"]["tls"], found["noojee"]["reachable"]) == (0, True, True)
        status, found = findings(tmp_path, section)
        assert (status, found["noojee"]["tls"], found["noojee"]["reachable"]) == (1, False, False)
        assert "is not trusted" in found["noojee"]["words"]


def test_without_a_vendor_there_is_nobody_to_ask(tmp_path: Path) -> None:
    done = check(tmp_path, "", "--json")
    assert (done.returncode, json.loads(done.stdout)["online"]) == (0, [])


def test_all_five_vendors_of_the_sandbox_are_good_and_credentials_are_known_where_a_harmless_call_tells(
    tmp_path: Path,
) -> None:
    with Sandbox(DEMO_ACCOUNTS) as box:
        status, found = findings(tmp_path, settings_for(box))
    assert status == 0
    assert {system: one["credentials"] for system, one in found.items()} == {
        "skarabee": "unknown",
        "noojee": "unknown",
        "mor": "good",
        "kalliope": "good",
        "sraps": "good",
    }


def test_credentials_that_a_vendor_does_not_take_are_bad(tmp_path: Path) -> None:
    with Sandbox(DEMO_ACCOUNTS) as box:
        wrong = settings_for(box).replace("demo-mor-key", "other-key").replace("-password", "-other")
        status, found = findings(tmp_path, wrong.replace("demo-sraps-secret", "other-secret"))
    assert status == 1
    bad = {system for system, one in found.items() if one["credentials"] == "bad"}
    assert bad == {"mor", "kalliope", "sraps"}
    for system in bad:
        assert not found[system]["good"]
        assert "other" not in found[system]["words"]


@pytest.mark.parametrize(("http_status", "credentials"), [(503, "unknown"), (404, "unknown"), (401, "bad")])
def test_credentials_are_bad_only_where_a_vendor_has_looked_at_them(
    tmp_path: Path, http_status: int, credentials: str
) -> None:
    with Sandbox(DEMO_ACCOUNTS) as box:
        box.trouble = {system: Trouble(http_status=http_status) for system in DEMO_ACCOUNTS}
        status, found = findings(tmp_path, settings_for(box))
    assert status == 1
    assert {found[system]["credentials"] for system in ("mor", "kalliope", "sraps")} == {credentials}
    assert {found[system]["good"] for system in ("noojee", "mor", "kalliope", "sraps")} == {False}


def test_a_clock_that_kalliope_does_not_take_is_told(tmp_path: Path) -> None:
    with Sandbox({"kalliope": DEMO_ACCOUNTS["kalliope"]}, clock=lambda: time.time() - 360) as box:
        status, found = findings(tmp_path, settings_for(box))
    assert (status, found["kalliope"]["clock_good"]) == (1, False)
