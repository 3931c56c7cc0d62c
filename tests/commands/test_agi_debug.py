"""The command `agi-debug`, against small servers and scripts that speak AGI."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callsign.commands import asterisk_conf
from callsign.commands.agi_debug import main

COMMAND = Path(__file__).resolve().parents[2] / "agi" / "bin" / "agi-debug"


@contextmanager
def server(*commands: str, address: str = "127.0.0.1") -> Iterator[str]:
    """A FastAGI server for one connection that gives these commands, one per answer; its host:port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        listener.settimeout(10)

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(10)
            with connection, connection.makefile("rb") as lines:
                while lines.readline().strip():
                    pass
                for command in commands:
                    connection.sendall(command.encode("utf-8", "surrogateescape") + b"\n")
                    while lines.readline() == b"HANGUP\n":
                        pass
                connection.shutdown(socket.SHUT_WR)
                lines.read()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            host = f"[{address}]" if family == socket.AF_INET6 else address
            yield f"{host}:{listener.getsockname()[1]}"
        finally:
            thread.join(30)


def test_a_session_is_shown_as_asterisk_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    with server("SET VARIABLE SKARABEESTATUS OK", 'SET VARIABLE SKARABEEREASON ""') as host:
        status = main([f"agi://{host}/skarabee?wait=1", "056", "--callerid", "0475", "x=1"])
    shown, errors = capsys.readouterr()
    lines = shown.splitlines()
    assert status == 0
    assert errors == ""
    assert lines[:3] == [
        "AGI Tx >> agi_network: yes",
        "AGI Tx >> agi_network_script: skarabee?wait=1",
        f"<SIP/agi-debug-00000001>AGI Tx >> agi_request: agi://{host}/skarabee?wait=1",
    ]
    for line in ["agi_callerid: 0475", "agi_arg_1: 056", "agi_arg_2: x=1", "200 result=1", "HANGUP"]:
        assert f"<SIP/agi-debug-00000001>AGI Tx >> {line}" in lines
    assert "<SIP/agi-debug-00000001>AGI Rx << SET VARIABLE SKARABEESTATUS OK" in lines
    assert lines[-4:-1] == ["SKARABEESTATUS=OK", "SKARABEEREASON=", "AGISTATUS=SUCCESS"]
    assert lines[-1].startswith("time: ")
    assert lines[-1].endswith(" ms")


def test_wrong_usage_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--json", "agi://127.0.0.1/x", "--timeout", "soon"])
    assert end.value.code == 2
    assert "soon" in json.loads(capsys.readouterr().out)["faults"][0]


def test_json_prints_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with server("SET VARIABLE A 1", "NOOP") as host:
        assert main(["--json", f"agi://{host}/ping"]) == 0
    shown, errors = capsys.readouterr()
    answer = json.loads(shown)
    assert answer.pop("milliseconds") > 0
    assert answer == {
        "agistatus": "SUCCESS",
        "variables": {"A": "1"},
        "commands": ["SET VARIABLE A 1", "NOOP"],
        "ended_well": True,
        "trouble": "",
    }
    assert errors == ""


def test_the_call_is_described_by_options(capsys: pytest.CaptureFixture[str]) -> None:
    with server('GET FULL VARIABLE "${A}|${B}"') as host:
        arguments = ["--calleridname", "Ann é", "--extension", "201", "--dnid", "056", "--uniqueid", "9.9"]
        assert main([f"agi://{host}/x", *arguments, "--var", "A=1=1", "--var", "B="]) == 0
    shown = capsys.readouterr().out
    for line in ["agi_calleridname: Ann é", "agi_extension: 201", "agi_dnid: 056", "agi_uniqueid: 9.9"]:
        assert f">> {line}\n" in shown
    assert ">> 200 result=1 (1=1|)\n" in shown


def test_a_hangup_that_was_asked_for_may_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    with server("NOOP", "SET VARIABLE A 1") as host:
        assert main([f"agi://{host}/x", "--hangup-after", "1"]) == 0
    assert "\nAGISTATUS=HANGUP\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("commands", "trouble"),
    [
        (["NOPE"], "510 was the answer to 'NOPE'"),
        (["SET VARIABLE A"], "520 was the answer to 'SET VARIABLE A'"),
        ([], "without giving a single command"),
        (["HANGUP"], ""),
    ],
)
def test_a_session_that_was_not_in_order_is_exit_1(
    commands: list[str], trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with server(*commands) as host:
        assert main([f"agi://{host}/x"]) == 1
    assert trouble in capsys.readouterr().err


def test_a_server_that_is_not_there_is_exit_1_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert main(["--json", f"agi://127.0.0.1:{port}/x"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["agistatus"], answer["ended_well"]) == ("FAILURE", False)
    assert "refused" in answer["trouble"]


def test_a_server_that_says_nothing_ends_at_the_timeout(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert main([f"agi://127.0.0.1:{listener.getsockname()[1]}/x", "--timeout", "0.2"]) == 1
    assert "no end within 0.2 s" in capsys.readouterr().err


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_an_ipv6_address_stands_in_brackets() -> None:
    with server("NOOP", address="::1") as host:
        assert main([f"agi://{host}/x"]) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "TARGET"),
        (["agi://h/x", "--var", "novalue"], "'novalue' is not NAME=VALUE"),
        (["agi://h/x", "--var", "=1"], "'=1' is not NAME=VALUE"),
        (["agi://h:port/x"], "'port' is no port number"),
        (["agi:///x"], "names no host"),
        (["hagi://h/x"], "neither agi://"),
        (["agi://h/x", "--hangup-after", "-1"], "--hangup-after"),
        (["agi://h/x", "--hangup-after", "soon"], "soon is no number of answers"),
        (["agi://h/x", "--timeout", "-1"], "--timeout"),
        (["agi://h/x", "--timeout", "nan"], "nan is no number of seconds"),
        (["agi://h/x", "--unknown"], "--unknown"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_was_wanted(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert complaint in capsys.readouterr().err


def test_what_would_move_the_cursor_is_shown_as_an_escape(capsys: pytest.CaptureFixture[str]) -> None:
    with server('SET VARIABLE A "\x1b[2Jé\udce9"') as host:
        assert main([f"agi://{host}/x"]) == 0
    shown = capsys.readouterr().out
    assert "\nA=\\x1b[2Jé\\xe9\n" in shown
    assert "\x1b" not in shown


def test_a_script_is_played_and_missing_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hello.agi"
    path.write_text('#!/bin/sh\nwhile read -r l && [ -n "$l" ]; do :; done\necho "SET VARIABLE A $1"; read -r l\n')
    path.chmod(0o755)
    assert main([str(path), "5"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("<SIP/agi-debug-00000001>AGI Tx >> agi_request: ")
    assert "\nA=5\nAGISTATUS=SUCCESS\n" in shown
    assert main([str(tmp_path / "none.agi")]) == 1
    shown, errors = capsys.readouterr()
    assert "AGISTATUS=NOTFOUND\n" in shown
    assert "no such file" in errors


@pytest.mark.parametrize("option", ["astagidir => {folder}/agi-bin", "astdatadir={folder} ; Debian's"])
def test_a_script_is_found_by_its_name_where_asterisk_looks_for_it(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agi-bin/hello.agi"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\nwhile read -r l && [ -n "$l" ]; do :; done\necho "SET VARIABLE A $1"; read -r l\n')
    path.chmod(0o755)
    conf = tmp_path / "asterisk.conf"
    conf.write_text(f"[directories]\n{option.format(folder=tmp_path)}\n")
    monkeypatch.setattr(asterisk_conf, "FILES", (str(tmp_path / "none.conf"), str(conf)))
    assert main(["hello.agi", "5"]) == 0
    assert "\nA=5\nAGISTATUS=SUCCESS\n" in capsys.readouterr().out
    assert main(["other.agi"]) == 1
    assert f"other.agi: no such file; nor is it in {path.parent}\n" in capsys.readouterr().err


def test_who_may_not_see_where_the_scripts_are_is_told_of_sudo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asterisk_conf, "FILES", (str(tmp_path / "none.conf"),))
    assert main(["callsign.agi", "ping"]) == 1
    assert capsys.readouterr().err.endswith("take sudo\n")


def test_an_address_without_its_scheme_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["127.0.0.1:4591/ping"]) == 1
    assert "is agi://127.0.0.1:4591/ping meant?" in capsys.readouterr().err


def test_the_command_runs_from_anywhere_through_a_link_and_in_plain_ascii(tmp_path: Path) -> None:
    link = tmp_path / "agi-debug"
    link.symlink_to(COMMAND)
    assert os.access(COMMAND, os.X_OK)
    with server("SET VARIABLE A é") as host:
        environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii"}
        command = [sys.executable, str(link), f"agi://{host}/x"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nA=\\u00e9\nAGISTATUS=SUCCESS\n" in done.stdout
