"""The harness itself: what the other tests in this folder stand on."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from bare_fastagi import BareFastAgi, Session
from chroot_python import install_python
from real_asterisk import RealAsterisk
from run_folder import mounts_below, remove_tree

NASTY = """He said "hi", (O'Brien [x} \\ \\, é ${X} $[1+1] %2C; # | 'q"""

DIALPLAN = r"""
[harness-test]
exten => copy,1,Set(COPY=${TEXT})
exten => agi,1,AGI(${URL}/some/script?a=b,one,,three)
 same => n,Set(WENT_ON=yes)
exten => timed,1,Wait(0.2)
 same => n,Gosub(harness,begin,1)
 same => n,Gosub(harness,end,1)
 same => n,Wait(0.2)
exten => warn,1,Log(WARNING,watch out)
exten => plain,1,AGI(callsign.agi,one,"two, three")
exten => _[0-9a-z*].,1,Set(SEEN=${EXTEN})
"""

FILES = {"extra.conf": "; any settings file\n"}


def test_the_version_is_the_one_asked_for(asterisk: RealAsterisk) -> None:
    assert asterisk.command("core show version").startswith(f"Asterisk {asterisk.version}.")


def test_asterisk_starts_without_a_warning(asterisk_root: tuple[Path, str]) -> None:
    with RealAsterisk(*asterisk_root) as fresh:
        assert fresh.warnings() == []


def test_a_given_file_lies_beside_asterisks_own(asterisk: RealAsterisk) -> None:
    assert (asterisk.folder / "etc/extra.conf").read_text() == FILES["extra.conf"]


@pytest.mark.parametrize("text", [NASTY, "", " spaces ", "a\nb\tc", "\udcff\udc80", "x" * 2000])
def test_any_text_goes_into_a_variable_and_comes_back(asterisk: RealAsterisk, text: str) -> None:
    result = asterisk.call("copy", "harness-test", variables={"TEXT": text}, report=["COPY", "TEXT", "NEVERSET"])
    assert result.variables == {"COPY": text, "TEXT": text, "NEVERSET": ""}


def test_the_caller_can_be_called_anything(asterisk: RealAsterisk) -> None:
    report = ["CALLERID(name)", "CALLERID(num)", "CALLERID(dnid)"]
    result = asterisk.call("copy", "harness-test", callerid=(NASTY, '+32 "5"'), dnid="0123", report=report)
    assert list(result.variables.values()) == [NASTY, '+32 "5"', "0123"]


@pytest.mark.parametrize("exten", ["056528998", "*81", 'a"b(c', "a,b", 'a,"b(c],d${X}'])
def test_a_call_runs_under_its_own_extension(asterisk: RealAsterisk, exten: str) -> None:
    assert asterisk.call(exten, "harness-test", report=["SEEN"]).variables == {"SEEN": exten}


def test_a_fastagi_server_sees_the_call_and_sets_a_variable(asterisk: RealAsterisk) -> None:
    with BareFastAgi(lambda session: session.ask('SET VARIABLE FROM_SERVER "a \\"b\\" c"')) as server:
        result = asterisk.call(
            "agi", "harness-test", variables={"URL": server.url}, callerid=("Bob", "+32"),
            report=["FROM_SERVER", "AGISTATUS", "WENT_ON"],
        )  # fmt: skip
        session = server.next_session()
    assert result.variables == {"FROM_SERVER": 'a "b" c', "AGISTATUS": "SUCCESS", "WENT_ON": "yes"}
    assert session.env["agi_network_script"] == "some/script?a=b"
    assert (session.env["agi_callerid"], session.env["agi_callingpres"]) == ("+32", "0")
    assert [session.env[f"agi_arg_{n}"] for n in (1, 2, 3)] == ["one", "", "three"]


def test_a_withheld_number_shows_in_its_presentation(asterisk: RealAsterisk) -> None:
    with BareFastAgi() as server:
        asterisk.call(
            "agi",
            "harness-test",
            variables={"URL": server.url},
            callerid=("Bob", "32"),
            presentation="prohib",
        )
        env = server.next_session().env
    assert env["agi_callerid"] == "32"
    assert int(env["agi_callingpres"]) & 0x60 == 0x20


def test_a_refused_connection_is_told_by_its_status_and_in_the_log(asterisk: RealAsterisk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    mark = asterisk.mark()
    result = asterisk.call(
        "agi", "harness-test", variables={"URL": f"agi://127.0.0.1:{port}"}, report=["AGISTATUS", "WENT_ON"]
    )
    assert result.variables == {"AGISTATUS": "FAILURE", "WENT_ON": "yes"}
    assert any("FastAGI failed" in line for line in asterisk.warnings(mark))


def test_a_caller_can_hang_up_in_the_middle_of_a_step(asterisk: RealAsterisk) -> None:
    in_step = threading.Event()
    said: list[str] = []

    def wait_for_hangup(session: Session) -> None:
        in_step.set()
        said.append(session.read_line())
        session.ask('SET VARIABLE LATE "still set"')

    with BareFastAgi(wait_for_hangup) as server:
        call = asterisk.start(
            "agi", "harness-test", variables={"URL": server.url}, report=["LATE", "AGISTATUS", "WENT_ON"]
        )
        assert in_step.wait(30)
        call.hangup()
        result = call.wait()
        server.next_session()
    assert said == ["HANGUP"]
    assert result.variables == {"LATE": "still set", "AGISTATUS": "HANGUP", "WENT_ON": ""}


def test_every_call_that_a_pattern_matches_can_be_hung_up(asterisk: RealAsterisk) -> None:
    calls = [asterisk.start("timed", "harness-test") for _ in range(3)]
    channels = [call.channel for call in calls]
    assert len(set(channels)) == 3
    asterisk.hangup("/^Local\\/call@harness/")
    for call in calls:
        call.wait()


def test_only_the_marked_step_is_timed(asterisk: RealAsterisk) -> None:
    assert asterisk.call("copy", "harness-test", variables={"TEXT": ""}).microseconds < 100_000
    assert asterisk.call("timed", "harness-test").microseconds < 100_000


def test_many_calls_run_side_by_side_and_none_is_mixed_up(asterisk: RealAsterisk) -> None:
    calls = [asterisk.start("copy", "harness-test", variables={"TEXT": str(n)}, report=["COPY"]) for n in range(100)]
    assert [call.wait().variables["COPY"] for call in calls] == [str(n) for n in range(100)]


def test_a_call_that_does_not_end_in_time_says_so(asterisk: RealAsterisk) -> None:
    call = asterisk.start("timed", "harness-test")
    with pytest.raises(TimeoutError, match="did not end"):
        call.wait(0.05)
    call.hangup()
    call.wait()


def test_warnings_are_those_since_the_mark(asterisk: RealAsterisk) -> None:
    before = asterisk.mark()
    asterisk.call("warn", "harness-test")
    after = asterisk.mark()
    assert [line.rpartition(": ")[2] for line in asterisk.warnings(before)] == ["watch out"]
    assert asterisk.warnings(after) == []


def test_raw_events_can_be_waited_for(asterisk: RealAsterisk) -> None:
    mark = asterisk.mark_events()
    result = asterisk.call("copy", "harness-test", variables={"TEXT": ""})
    event = asterisk.wait_event(lambda e: e["Event"] == "Hangup" and e["Channel"] == result.channel, since=mark)
    assert event["Uniqueid"] == result.uniqueid


def test_dialplan_can_be_added_while_asterisk_runs(asterisk: RealAsterisk) -> None:
    asterisk.load("added", "[added]\nexten => 1,1,Set(ADDED=yes)\n")
    assert asterisk.call("1", "added", report=["ADDED"]).variables == {"ADDED": "yes"}


def test_our_python_runs_in_the_root_with_what_the_product_needs(
    asterisk_root: tuple[Path, str], asterisk: RealAsterisk, tmp_path: Path
) -> None:
    script = tmp_path / "agi/agi-bin/callsign.agi"
    script.parent.mkdir(parents=True)
    requirements = Path(__file__).parents[2] / "agi/requirements.txt"
    (tmp_path / "agi/requirements.txt").write_text(requirements.read_text())
    script.write_text(
        "import os, ssl, sqlite3, subprocess, sys\n"
        "import asterisk.agi, phonenumbers, requests, tomli\n"
        "agi = asterisk.agi.AGI()\n"
        "agi.set_variable('ARGS', '|'.join(sys.argv[1:]))\n"
        "agi.set_variable('CONFIG', open(os.environ['CALLSIGN_CONFIG']).read().strip())\n"
        "child = subprocess.run([sys.executable, '-c', 'print(7)'], stdout=subprocess.PIPE, text=True)\n"
        "agi.set_variable('CHILD', child.stdout.strip())\n"
    )
    assert install_python(asterisk_root[0], requirements).startswith("/callsign-python/")
    asterisk.install_plain_agi(tmp_path, "path = '{folder}/outbox.db'\n")
    result = asterisk.call("plain", "harness-test", report=["AGISTATUS", "ARGS", "CONFIG", "CHILD"], timeout=60)
    assert result.variables == {
        "AGISTATUS": "SUCCESS",
        "ARGS": "one|two, three",
        "CONFIG": f"path = '{asterisk.inside(asterisk.folder)}/data/outbox.db'",
        "CHILD": "7",
    }, asterisk.script_errors()


def test_nothing_is_left_of_an_asterisk_that_ended(asterisk_root: tuple[Path, str]) -> None:
    with RealAsterisk(*asterisk_root) as fresh:
        folder, pid = fresh.folder, fresh.pid
        assert folder.is_dir()
    assert not folder.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_a_dialplan_that_asterisk_cannot_run_with_is_not_waited_for(asterisk_root: tuple[Path, str]) -> None:
    broken = RealAsterisk(*asterisk_root, files={"modules.conf": "[modules]\nrequire = there_is_no_such_module.so\n"})
    with pytest.raises(RuntimeError, match="did not start"):
        broken.__enter__()


def test_a_folder_with_something_mounted_in_it_is_not_removed() -> None:
    assert Path("/proc") in mounts_below(Path("/"))
    with pytest.raises(RuntimeError, match="is mounted there"):
        remove_tree(Path("/proc"))
