"""The `callsign` command as an administrator types it: what it prints, and its exit status."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from callsign import SYSTEMS
from callsign.commands.common import UsageFault
from callsign.commands.sign import sign
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.settings.sections import Settings
from command_line import callsign_text as run
from product import COMMAND, PROJECT, Product, vendor_sections
from settings_file import write
from waiting import wait_until

# Skarabee's infosheet: its printed hash belongs to this timestamp, not to the one in its URL.
OFFICE_KEY = "326C4EA6636911C0537F"
INFOSHEET = {
    "values": ["phoneto=056528998", "phonefrom=056528999", "timestamp=1556891830"],
    "text": "81030565289980565289991556891830",
    "hash": "fce3bd3536e69f7fe78b15db89464f1979d06beef6d33f2477e641fbecd61d43",
}
ACCOUNTS = {"skarabee": {"8103": OFFICE_KEY}, "noojee": {"key": "recorder-key", "auth": "hash"}}


def sections(box: Sandbox) -> str:
    return vendor_sections(box, OFFICE_KEY, 'internal = ["2XX"]')


@pytest.fixture
def settings(tmp_path: Path, box: Sandbox) -> Path:
    return write(tmp_path, f'[outbox]\npath = "{tmp_path}/outbox.db"\n{sections(box)}')


@pytest.fixture
def server(tmp_path: Path, box: Sandbox) -> Iterator[Product]:
    with Product(tmp_path, sections(box)) as running:
        running.run_with(sections(box))
        yield running


def test_check_names_what_is_read(settings: Path) -> None:
    done = run("check", "--config", str(settings))
    assert (done.returncode, done.stderr) == (0, "")
    assert "skarabee, noojee" in done.stdout
    assert OFFICE_KEY not in done.stdout
    told = json.loads(run("check", "--json", "--config", str(settings)).stdout)
    assert (told["ok"], told["systems"]) == (True, ["skarabee", "noojee"])


def test_a_settings_fault_is_one_line_each_and_exit_2(tmp_path: Path) -> None:
    path = write(tmp_path, '[skarabee]\nurl = "voip"\nbussinesid = "8103"\nkey = 5\n[nojee]\n')
    for command in (["serve"], ["check"], ["jobs"], ["sign", "skarabee"], ["call", "ping"]):
        done = run(*command, "--config", str(path))
        assert done.returncode == 2, command
        lines = done.stderr.splitlines()
        assert "Traceback" not in done.stderr
        assert all(str(path) in line for line in lines), lines
        for words in ("[skarabee] url", "did you mean businessid?", "[skarabee] key", "did you mean noojee?"):
            assert any(words in line for line in lines), (words, lines)
    told = json.loads(run("check", "--json", "--config", str(path)).stdout)
    assert told["ok"] is False
    assert len(told["faults"]) == len(lines)


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["call", "ping"],
        ["sign", "noojee"],
        ["api", "mor", "user_balance_get"],
        ["status"],
        ["jobs"],
        ["retry", "1"],
        ["drop", "1"],
        ["sandbox"],
    ],
    ids=" ".join,
)
def test_a_program_is_told_of_faulty_settings_in_json_too(command: list[str], tmp_path: Path) -> None:
    path = write(tmp_path, "[nojee]\n")
    done = run(*command, "--json", "--config", str(path))
    told = json.loads(done.stdout)
    assert done.returncode == 2
    assert "did you mean noojee?" in " ".join(told.get("faults") or told["settings_faults"])


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["sign", "nojee"], "nojee"),
        (["jobs", "--since", "once"], "once"),
        (["retry"], "--failed"),
        (["drop", "1", "--since", "2h"], "--since"),
        (["api", "noojee", "hangup", "extenOrUniqueId=1"], "--yes"),
        (["sandbox", "--fault", "noojee=nothing"], "noojee=nothing"),
        (["sandbox", "--port", "high"], "high is no port"),
        (["jobs", "seventeen"], "seventeen"),
        (["status", "--check"], "not allowed with argument"),
        (["call"], "PATH"),
        (["check", "--no"], "--no"),
        (["nonsense"], "nonsense"),
    ],
    ids=str,
)
def test_a_program_is_told_in_json_why_nothing_was_done(command: list[str], words: str, settings: Path) -> None:
    options = [] if command[0] in ("sandbox", "nonsense") else ["--config", str(settings)]
    done = run(*command, "--json", *options)
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (2, False)
    assert words in " ".join(told["faults"])


def test_a_program_is_told_in_json_that_the_sandboxs_port_is_taken(box: Sandbox) -> None:
    done = run("sandbox", "--json", "--port", str(box.port))
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], f"127.0.0.1:{box.port}" in told["faults"][0]) == (1, False, True)
    assert told["faults"][0].endswith("--port 0 takes a free one")


def test_a_program_is_told_in_json_that_the_store_cannot_be_read(settings: Path, tmp_path: Path) -> None:
    (tmp_path / "outbox.db").mkdir()
    done = run("jobs", "--json", "--config", str(settings))
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)


def test_the_settings_are_found_by_option_then_environment(settings: Path, tmp_path: Path) -> None:
    found = run("check", env={"CALLSIGN_CONFIG": str(settings), "PATH": "/usr/bin:/bin"})
    assert (found.returncode, str(settings) in found.stdout) == (0, True)
    missing = run("check", "--config", str(tmp_path / "none.toml"), env={"CALLSIGN_CONFIG": str(settings)})
    assert (missing.returncode, "none.toml" in missing.stderr) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["jobs", "seventeen"],
        ["retry"],
        ["retry", "x"],
        ["drop"],
        ["call"],
        ["sign"],
        ["check", "--no"],
        ["status", "--check", "--json"],
        ["status", "--check", "--warn-age", "-1"],
        ["status", "--check", "--crit-age", "nan"],
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2


def test_sign_shows_the_text_and_the_infosheets_own_signature(settings: Path) -> None:
    done = run("sign", "skarabee", *INFOSHEET["values"], "--config", str(settings))
    assert done.returncode == 0
    assert INFOSHEET["text"] in done.stdout
    assert INFOSHEET["hash"] in done.stdout
    assert OFFICE_KEY not in done.stdout
    told = json.loads(run("sign", "skarabee", *INFOSHEET["values"], "--json", "--config", str(settings)).stdout)
    assert (told["text"], told["signature"]) == (INFOSHEET["text"], INFOSHEET["hash"])


def test_sign_fills_in_the_office_and_the_clock(settings: Path) -> None:
    told = json.loads(run("sign", "skarabee", "phoneto=1", "phonefrom=2", "--json", "--config", str(settings)).stdout)
    assert told["values"]["businessid"] == "8103"
    assert re.fullmatch(r"\d{10}", told["values"]["timestamp"])


def test_sign_masks_the_recorders_key_in_the_text(settings: Path) -> None:
    done = run("sign", "noojee", "timestamp=1392356108888", "--config", str(settings))
    assert "****:1392356108888" in done.stdout
    assert "recorder-key" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["skarabee", "phoneto=1"], "phonefrom"),
        (["skarabee", "fone=1"], "fone"),
        (["skarabee", "056528999"], "NAME=VALUE\n"),
        (["mor", "user_balance_get"], "as in method=user_balance_get"),
        (["skarabe"], "skarabee"),
        (["noojee", "timestamp=soon"], "timestamp"),
        (["skarabee", "businessid=1", "phoneto=1", "phonefrom=1"], "businessid"),
    ],
)
def test_sign_says_what_is_missing_or_unknown(settings: Path, arguments: list[str], words: str) -> None:
    done = run("sign", *arguments, "--config", str(settings))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("system", SYSTEMS)
def test_sign_says_that_the_section_is_missing(system: str) -> None:
    with pytest.raises(UsageFault, match=rf"no section \[{system}\]"):
        sign(system, {}, Settings())


def test_call_runs_a_handler_prints_its_variables_and_delivers(settings: Path, box: Sandbox) -> None:
    numbers = ("--callerid", "056528999", "--extension", "056528998", "--uniqueid", "1700000000.9")
    done = run("call", "skarabee", *numbers, "--config", str(settings))
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["SKARABEESTATUS=QUEUED", "SKARABEEREASON=", "SKARABEEJOB=1"]
    assert [seen.verdict for seen in box.seen] == ["OK"]
    again = json.loads(run("call", "skarabee", *numbers, "--json", "--config", str(settings)).stdout)
    assert again["SKARABEESTATUS"] == "SKIPPED"


def test_call_waits_when_told_to_and_fails_when_the_vendor_refuses(settings: Path, box: Sandbox) -> None:
    done = run("call", "noojee/start?wait=20", "--config", str(settings))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "NOOJEESTATUS=OK")
    box.trouble["noojee"] = Trouble(refuse_status="No such call")
    refused = run("call", "noojee/stop?wait=20", "--config", str(settings))
    assert (refused.returncode, refused.stdout.splitlines()[0]) == (1, "NOOJEESTATUS=REFUSED")
    assert "No such call" in refused.stdout


def test_call_tells_the_number_that_the_trunk_announced_and_the_call_it_belongs_to(settings: Path) -> None:
    given = ("--callerid", "056528999", "--calleridname", "Jan", "--dnid", "056528998", "--linkedid", "17.5")
    done = run("call", "skarabee", *given, "--config", str(settings))
    assert done.stdout.splitlines()[0] == "SKARABEESTATUS=QUEUED"
    (job,) = json.loads(run("jobs", "--call", "17.5", "--json", "--config", str(settings)).stdout)
    assert job["call"] == "17.5"
    again = run("call", "skarabee", *given, "--config", str(settings))
    assert again.stdout.splitlines()[0] == "SKARABEESTATUS=SKIPPED", "the same call to the same number"


@pytest.mark.parametrize("path", ["noojee/start", "noojee/start?wait=0"])
def test_call_chooses_an_account_as_the_dialplan_does(settings: Path, path: str) -> None:
    done = run("call", path, "--account", "no such one", "--config", str(settings))
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "NOOJEESTATUS=ERROR")
    assert "account" in done.stdout


def test_call_of_an_unknown_path_is_an_error(settings: Path) -> None:
    done = run("call", "skarabe", "--config", str(settings))
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "CALLSIGNSTATUS=ERROR")
    assert "skarabee" in done.stdout


def test_jobs_and_status_tell_what_became_of_a_call(server: Product, box: Sandbox) -> None:
    caller = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.5")
    box.trouble["noojee"] = Trouble(refuse_status="No such call")
    for line in ("skarabee?wait=10", "noojee/start?wait=10"):
        assert run_fastagi(f"{server.url}/{line}", caller).status == "SUCCESS"
    config = ("--config", str(server.settings))
    wait_until_written(server, config)
    rows = json.loads(run("jobs", "--json", *config).stdout)
    assert [(row["action"], row["state"]) for row in rows] == [("noojee/start", "refused"), ("skarabee", "delivered")]
    (refused,) = json.loads(run("jobs", "--json", "--state", "refused", *config).stdout)
    assert "No such call" in refused["reason"]
    assert len(json.loads(run("jobs", "--json", "--system", "skarabee", *config).stdout)) == 1
    assert json.loads(run("jobs", "--json", "--call", "nobody", *config).stdout) == []
    (one,) = json.loads(run("jobs", str(refused["job"]), "--json", *config).stdout)
    assert [line["event"] for line in one["life"]] == ["refused"]
    shown = run("jobs", str(refused["job"]), *config)
    assert "No such call" in shown.stdout
    assert "056528999" not in run("jobs", *config).stdout
    none = run("jobs", "999", *config)
    assert (none.returncode, "no job 999" in none.stderr) == (1, True)

    status = run("status", *config)
    assert status.returncode == 0
    assert "running" in status.stdout
    told = json.loads(run("status", "--json", *config).stdout)
    assert told["running"] is True
    assert (told["waiting"], told["delivered"], told["failed"]) == (0, 1, 1)
    noojee, skarabee = told["systems"]["noojee"], told["systems"]["skarabee"]
    assert (skarabee["delivered"], skarabee["last_success"]["job"], skarabee["last_trouble"]) == (1, 1, None)
    assert (noojee["failed"], noojee["refused"], noojee["last_success"]) == (1, 1, None)
    assert "No such call" in noojee["last_trouble"]["reason"]

    assert server.stop() == 0
    stopped = run("status", *config)
    assert (stopped.returncode, "NOT RUNNING" in stopped.stdout) == (1, True)


def test_characters_that_are_not_seen_reach_neither_log_nor_terminal(server: Product, box: Sandbox) -> None:
    unseen = "\u202e\u200b\u2066"
    caller = Call(callerid="0478123456", extension="056528998", uniqueid=f"17{unseen}.5")
    box.trouble["skarabee"] = Trouble(refuse_status=f"No {unseen} such call")
    for line in (f"skarabee{unseen}", "skarabee?wait=10", "noojee/start?wait=10"):
        assert run_fastagi(f"{server.url}/{line}", caller).status == "SUCCESS"
    config = ("--config", str(server.settings))
    wait_until_written(server, config)
    server.wait_log(lambda line: "DELIVERED" in line)
    as_json = run("jobs", "--json", *config)
    assert {row["call"] for row in json.loads(as_json.stdout)} == {f"17{unseen}.5"}
    told = [run("jobs", *config), run("jobs", "1", *config), run("status", *config), as_json]
    for text in (*server.log, *(done.stdout + done.stderr for done in told)):
        assert not set(unseen) & set(text)
    assert "17 .5" in " ".join(told[0].stdout.split())


def test_status_tells_what_waits_since_when_why_and_when_it_is_tried_again(server: Product, box: Sandbox) -> None:
    config = ("--config", str(server.settings))
    told = json.loads(run("status", "--json", *config).stdout)
    assert list(told["systems"]) == ["skarabee", "noojee"], "a vendor in use is named before its first job"
    box.trouble["skarabee"] = Trouble(http_status=503)
    caller = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.6")
    assert run_fastagi(f"{server.url}/skarabee", caller).variables["SKARABEESTATUS"] == "QUEUED"
    server.wait_log(lambda line: "TRY LATER" in line)
    wait_until(lambda: json.loads(run("jobs", "--json", *config).stdout)[0]["attempts"] > 0)
    skarabee = json.loads(run("status", "--json", *config).stdout)["systems"]["skarabee"]
    assert skarabee["waiting"] == 1
    assert skarabee["oldest_waiting_seconds"] < 60
    assert abs(skarabee["next_try"] - time.time()) < 60
    assert "503" in skarabee["last_trouble"]["reason"]
    shown = run("status", *config).stdout
    assert re.search(r"skarabee: waiting 1, delivered 0, failed 0\n    oldest waiting \d+ s, next try ", shown)
    assert re.search(r"last trouble .* job 1 .*503", shown)
    _, line = run("jobs", *config).stdout.splitlines()
    assert re.search(r"waiting .* [1-9]\d* +next try 20\d\d-.*503", line)
    life = run("jobs", "1", *config).stdout.splitlines()[2:]
    assert " stored" in life[0]
    assert re.search(r"try later +\d+ ms .*503", life[1])
    assert " given up " in life[-1]


def test_status_for_nagios_is_one_line_and_its_own_exit_status(server: Product, box: Sandbox) -> None:
    check = ("status", "--check", "--config", str(server.settings))
    good = run(*check)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("CALLSIGN OK - ")
    figures = "'waiting'=0;;;0 'oldest'=0s;60;300;0 'failed'=0;0;;0 'unanswered'=0;;;0 'errors'=0;;;0"
    assert good.stdout.endswith(f"|{figures}\n")

    box.trouble["skarabee"] = Trouble(http_status=503)
    caller = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.10")
    assert run_fastagi(f"{server.url}/skarabee", caller).variables["SKARABEESTATUS"] == "QUEUED"
    server.wait_log(lambda line: "TRY LATER" in line)
    assert run(*check).returncode == 0
    wait_until(lambda: run(*check, "--warn-age", "0").returncode != 0)  # ages are whole tenths of a second
    old = run(*check, "--warn-age", "0")
    assert (old.returncode, "skarabee: the oldest of 1 waiting jobs is" in old.stdout) == (1, True)
    older = run(*check, "--warn-age", "0", "--crit-age", "0")
    assert (older.returncode, older.stdout.split(" - ")[0]) == (2, "CALLSIGN CRITICAL")
    assert "056528999" not in older.stdout

    assert server.stop() == 0
    stopped = run(*check)
    assert (stopped.returncode, stopped.stderr) == (2, "")
    assert re.match(r"CALLSIGN CRITICAL - the server at \S+ does not run: .*\|'waiting'=1;", stopped.stdout)


def test_a_refused_job_is_a_warning_for_nagios_until_it_is_retried(server: Product, box: Sandbox) -> None:
    config = ("--config", str(server.settings))
    box.trouble["skarabee"] = Trouble(refuse_status="NO_HASH_KEY_AVAILABLE")
    caller = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.11")
    assert run_fastagi(f"{server.url}/skarabee?wait=10", caller).variables["SKARABEESTATUS"] == "REFUSED"
    wait_until_written(server, config)
    refused = run("status", "--check", *config)
    assert (refused.returncode, refused.stdout.split(" - ")[0]) == (1, "CALLSIGN WARNING")
    assert "skarabee: 1 failed in the last hour, last: NO_HASH_KEY_AVAILABLE" in refused.stdout
    for minutes, failed in ((0, 1), (61, 0), (59, 1)):
        with sqlite3.connect(server.store) as db:
            db.execute("UPDATE ended SET ended = ?", (time.time() - 60 * minutes,))
        db.close()
        told = json.loads(run("status", "--json", *config).stdout)["systems"]["skarabee"]
        assert told["failed_last_hour"] == failed
    del box.trouble["skarabee"]
    assert run("retry", "1", *config).returncode == 0
    wait_until_written(server, config)
    assert run("status", "--check", *config).returncode == 0


def test_what_nagios_cannot_be_told_is_unknown(settings: Path, tmp_path: Path) -> None:
    missing = run("status", "--check", "--config", str(tmp_path / "none.toml"))
    assert (missing.returncode, missing.stderr) == (3, "")
    assert re.match("CALLSIGN UNKNOWN - .*none.toml", missing.stdout)
    swapped = run("status", "--check", "--warn-age", "9", "--crit-age", "8", "--config", str(settings))
    assert (swapped.returncode, len(swapped.stdout.splitlines())) == (3, 1)


def test_a_store_that_cannot_be_read_is_unknown_for_nagios_unless_nothing_runs(server: Product, tmp_path: Path) -> None:
    for file in tmp_path.glob("outbox.db*"):
        file.rename(tmp_path / f"away-{file.name}")
    (tmp_path / "outbox.db").mkdir()
    check = ("status", "--check", "--config", str(server.settings))
    running = run(*check)
    assert (running.returncode, "cannot be read" in running.stdout) == (3, True)
    server.kill()
    stopped = run(*check)
    assert (stopped.returncode, "does not run" in stopped.stdout) == (2, True)


def test_a_refused_job_goes_out_once_more_when_the_cause_is_mended(server: Product, box: Sandbox) -> None:
    config = ("--config", str(server.settings))
    box.trouble["skarabee"] = Trouble(refuse_status="NO_HASH_KEY_AVAILABLE")
    caller = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.7")
    assert run_fastagi(f"{server.url}/skarabee?wait=10", caller).variables["SKARABEESTATUS"] == "REFUSED"
    wait_until_written(server, config)
    del box.trouble["skarabee"]
    done = run("retry", "1", *config)
    assert (done.returncode, done.stdout) == (0, "job 1: goes out once more as job 2\n")
    wait_until_written(server, config)
    states = {row["job"]: row["state"] for row in json.loads(run("jobs", "--json", *config).stdout)}
    assert states == {1: "retried", 2: "delivered"}
    again = run("retry", "1", "2", "9", *config)
    assert (again.returncode, again.stdout) == (1, "")
    assert [line.split(":")[0] for line in again.stderr.splitlines()] == ["job 1", "job 2", "job 9"]


def test_a_waiting_job_is_given_up(server: Product, box: Sandbox) -> None:
    config = ("--config", str(server.settings))
    box.trouble["skarabee"] = Trouble(http_status=503)
    caller = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.8")
    run_fastagi(f"{server.url}/skarabee", caller)
    done = run("drop", "1", "--json", *config)
    (told,) = json.loads(done.stdout)
    assert (done.returncode, told["job"], told["done"]) == (0, 1, True)
    (row,) = json.loads(run("jobs", "--json", "--state", "dropped", *config).stdout)
    assert row["job"] == 1
    assert "job=1" in server.wait_log(lambda line: "DROPPED" in line)
    assert run("drop", "1", *config).returncode == 1


def test_a_failed_job_is_found_by_that_word_and_given_up_fails_no_more(server: Product, box: Sandbox) -> None:
    config = ("--config", str(server.settings))
    box.trouble["skarabee"] = Trouble(refuse_status="HASH_MISMATCH")
    caller = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.9")
    assert run_fastagi(f"{server.url}/skarabee?wait=20", caller).variables["SKARABEESTATUS"] == "REFUSED"
    wait_until(lambda: bool(json.loads(run("jobs", "--json", "--state", "failed", *config).stdout)))
    (row,) = json.loads(run("jobs", "--json", "--state", "failed", *config).stdout)
    assert (row["job"], row["state"]) == (1, "refused")
    assert run("drop", "1", *config).returncode == 0
    assert json.loads(run("jobs", "--json", "--state", "failed", *config).stdout) == []
    (row,) = json.loads(run("jobs", "1", "--json", *config).stdout)
    assert row["state"] == "dropped"
    assert "HASH_MISMATCH" in row["reason"]
    assert [line["event"] for line in row["life"]] == ["refused", "dropped"]
    assert json.loads(run("status", "--json", *config).stdout)["failed"] == 0


@pytest.mark.parametrize("job", ["99999999999999999999999", "x", "1.5"])
@pytest.mark.parametrize("command", ["jobs", "retry", "drop"])
def test_what_is_no_jobs_number_is_wrong_usage(command: str, job: str, settings: Path) -> None:
    done = run(command, job, "--config", str(settings))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "is no job's number" in done.stderr


@pytest.mark.parametrize("folder", ["/proc/nope", "/etc/passwd/nope"])
def test_status_tells_of_a_server_that_cannot_make_its_store(server: Product, tmp_path: Path, folder: str) -> None:
    text = server.settings.read_text().replace(str(server.store), f"{folder}/outbox.db")
    other = write(tmp_path, text.replace('"127.0.0.1:0"', f'"127.0.0.1:{server.port}"'), "other.toml")
    done = run("status", "--config", str(other))
    assert done.returncode == 1
    assert f"{folder}/outbox.db is not there though the server runs" in done.stdout
    assert run("status", "--check", "--config", str(other)).returncode == 2


def test_a_store_below_a_file_is_no_fault_of_callsigns_also_for_root(tmp_path: Path) -> None:
    settings = write(tmp_path, '[outbox]\npath = "/etc/passwd/nope/outbox.db"\n')
    done = run("jobs", "--config", str(settings))
    assert done.returncode == 1
    assert done.stderr == "callsign jobs: the store /etc/passwd/nope/outbox.db cannot be read: Not a directory\n"


def test_a_store_that_the_server_cannot_write_to_is_told_by_status_and_critical(
    server: Product, tmp_path: Path
) -> None:
    config = ("--config", str(server.settings))
    assert server.stop() == 0
    with closing(sqlite3.connect(server.store)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute(f"PRAGMA user_version = {version + 1}")
    later = f"warning: [outbox] path: the store {server.store} was made by a later callsign: see callsign help backup"
    assert later in run("check", *config).stdout.splitlines()
    server.start()
    call = Call(callerid="056528999", extension="056528998", uniqueid="1700000000.9")
    assert run_fastagi(f"{server.url}/skarabee", call).variables["SKARABEESTATUS"] == "ERROR"
    text = server.settings.read_text().replace('"127.0.0.1:0"', f'"127.0.0.1:{server.port}"')
    config = ("--config", str(write(tmp_path, text, "running.toml")))
    done = run("status", *config)
    words = f"the server cannot write to the store {server.store}, and calls get ERROR: its log says why"
    assert done.returncode == 1
    assert words in done.stdout
    done = run("status", "--check", *config)
    assert done.returncode == 2
    assert words in done.stdout


@pytest.mark.parametrize("folder", ["x" * 300, "loop"])
def test_a_store_whose_folder_cannot_be_looked_into_is_no_fault_of_callsigns(tmp_path: Path, folder: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    settings = write(tmp_path, f'[outbox]\npath = "{tmp_path}/{folder}/outbox.db"\n')
    for words in (["jobs"], ["status"], ["status", "--check"], ["retry", "1"], ["call", "ping"]):
        done = run(*words, "--config", str(settings))
        assert "in callsign itself" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_where_there_is_no_store_yet_nothing_is_retried_or_dropped(command: str, settings: Path) -> None:
    done = run(command, "1", "--config", str(settings))
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no store at" in done.stderr


def wait_until_written(server: Product, config: tuple[str, ...]) -> None:
    """The end of a job is written behind the answer: a later job's commit comes after it."""
    run_fastagi(f"{server.url}/skarabee", Call(callerid="201", extension="202"))  # skipped: stores nothing
    for _ in range(50):
        if not json.loads(run("jobs", "--json", "--state", "waiting", *config).stdout):
            return
    raise AssertionError("jobs still wait")


def test_sandbox_prints_settings_that_work(tmp_path: Path) -> None:
    command = [sys.executable, str(COMMAND), "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox, ExitStack() as at_last:
        at_last.callback(sandbox.kill)  # a test that fails waits for its end
        assert sandbox.stdout is not None
        text = ""
        while "# noojee:" not in text:
            text += sandbox.stdout.readline()
        path = write(tmp_path, f'[outbox]\npath = "{tmp_path}/outbox.db"\n{text}')
        done = run("call", "skarabee?wait=20", "", "056528998", "--callerid", "056528999", "--config", str(path))
        assert done.stdout.splitlines()[0] == "SKARABEESTATUS=OK"
        line = sandbox.stdout.readline()
        while "skarabee POST" not in line:
            line = sandbox.stdout.readline()
        assert "056528999" not in line
        sandbox.terminate()
        assert sandbox.wait(30) == 0


@pytest.mark.parametrize("arguments", [["--nonsense"], ["demo", "more"], ["locally"]])
def test_the_installer_refuses_what_it_does_not_know(arguments: list[str]) -> None:
    done = subprocess.run([PROJECT / "install.sh", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "install.sh demo" in done.stderr


def test_options_may_stand_between_and_behind_the_arguments(settings: Path) -> None:
    phoneto, *others = INFOSHEET["values"]
    signed = run("sign", "skarabee", phoneto, "--config", str(settings), *others)
    assert (signed.returncode, INFOSHEET["hash"] in signed.stdout) == (0, True)
    called = run("call", "skarabee", "--callerid", "056528999", "phoneto=056528998", "--config", str(settings))
    assert called.stdout.splitlines()[0] == "SKARABEESTATUS=QUEUED"


def test_each_call_from_the_shell_is_a_call_of_its_own(settings: Path) -> None:
    line = ("call", "skarabee", "", "056528998", "--callerid", "056528999", "--config", str(settings))
    assert [run(*line).stdout.splitlines()[0] for _ in range(2)] == ["SKARABEESTATUS=QUEUED"] * 2


@pytest.mark.parametrize("given", ["phonefrom=", "timestamp=soon", "phoneto=2"])
def test_sign_refuses_what_cannot_be_right(settings: Path, given: str) -> None:
    done = run("sign", "skarabee", "phoneto=1", "phonefrom=1", given, "--config", str(settings))
    if given.startswith("phonefrom"):
        done = run("sign", "skarabee", "phoneto=1", given, "--config", str(settings))
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert given.partition("=")[0] in done.stderr


def test_the_sandbox_tells_a_program_where_it_listens(settings: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(COMMAND), "sandbox", "--port", "0", "--json", "--config", str(settings)],
        stdout=subprocess.PIPE,
        text=True,
    ) as sandbox:
        assert sandbox.stdout is not None
        told = json.loads(sandbox.stdout.readline())
        sandbox.terminate()
        assert sandbox.wait(30) == 0
    assert set(told["urls"]) == {"skarabee", "noojee"}
    assert told["listening"] in told["urls"]["noojee"]


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_the_sandbox_refuses_what_is_no_port(port: str) -> None:
    done = run("sandbox", "--port", port)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_status_tells_a_server_that_does_not_admit_this_machine_from_one_that_is_gone(
    tmp_path: Path, box: Sandbox
) -> None:
    with Product(tmp_path, sections(box)) as running:
        path = running.settings
        allow = f'[server]\nlisten = "127.0.0.1:{running.port}"\nallow = ["10.0.0.0/8"]\n'
        path.write_text(f'{allow}[outbox]\npath = "{tmp_path}/outbox.db"\n{sections(box)}')
        running.process.send_signal(signal.SIGHUP)
        running.wait_log(lambda line: "read again" in line)
        done = run("status", "--config", str(path))
    assert (done.returncode, "[server] allow" in done.stdout) == (1, True)


def test_check_warns_of_a_store_that_others_can_look_into(settings: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert "callers' numbers" in run("check", "--config", str(settings)).stdout
    tmp_path.chmod(0o750)
    assert "callers' numbers" not in run("check", "--config", str(settings)).stdout


def test_check_warns_of_a_store_folder_without_the_set_group_id_bit(settings: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    assert f"chmod g+s {tmp_path}" in run("check", "--config", str(settings)).stdout
    tmp_path.chmod(0o2770)
    assert "chmod" not in run("check", "--config", str(settings)).stdout


def test_a_broken_store_is_told_by_status_and_check_and_is_critical_until_it_is_moved_away(
    server: Product, tmp_path: Path
) -> None:
    config = ("--config", str(server.settings))
    assert run("status", "--check", *config).returncode == 0
    assert server.stop() == 0
    with server.store.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 100_000)
    assert "is broken" in run("check", *config).stdout
    server.start()
    found = server.wait_log(lambda line: "is lost" in line)
    (kept,) = tmp_path.glob("outbox.db.broken-*[0-9]")
    assert str(kept) in found
    wait_until(lambda: run("jobs", *config).returncode == 0)  # the new one has its tables
    for command in (("status",), ("check",), ("status", "--check")):
        assert f"kept as {kept}" in run(*command, *config).stdout
    assert run("status", *config).returncode == 1
    assert run("status", "--check", *config).returncode == 2
    for file in tmp_path.glob("outbox.db.broken-*"):
        file.unlink()
    assert run("status", "--check", *config).returncode == 0


def test_check_warns_of_a_port_that_is_open_to_all(settings: Path) -> None:
    settings.write_text(f'[server]\nlisten = "0.0.0.0:4591"\nallow = ["0.0.0.0/0"]\n{settings.read_text()}')
    done = run("check", "--config", str(settings))
    assert (done.returncode, "warning: [server] allow: whoever reaches 0.0.0.0" in done.stdout) == (0, True)


def test_check_warns_of_metrics_that_others_can_reach(tmp_path: Path, box: Sandbox) -> None:
    for address, open_to_others in (("127.0.0.1:4593", False), ("[::1]:4593", False), ("0.0.0.0:4593", True)):
        path = write(
            tmp_path, f'[server]\nmetrics = "{address}"\n[outbox]\npath = "{tmp_path}/outbox.db"\n{sections(box)}'
        )
        done = run("check", "--config", str(path))
        assert (done.returncode, "[server] metrics" in done.stdout) == (0, open_to_others)
