"""A server that does not answer: the subroutines run the plain script in its place, for four calls at once at most."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calls import Call
from callsign.sandbox.vendors.sandbox import Sandbox
from product import PROJECT, Product, vendor_sections
from real_asterisk import RealAsterisk
from waiting import wait_until

FILES = {"extensions_callsign.conf": (PROJECT / "dialplan/extensions_callsign.conf").read_text(encoding="utf-8")}

DIALPLAN = r"""
#include extensions_callsign.conf

[inbound]
exten => _[0-9].,1,Gosub(callsign-skarabee,s,1)
 same => n,Set(WENTON=yes)

[record]
exten => go,1,Gosub(callsign-noojee-start,s,1(Doe, "John" \(x)
 same => n,Set(FIRST=${NOOJEESTATUS})
 same => n,Gosub(callsign-noojee-stop,s,1)
 same => n,Set(WENTON=yes)

[ended]
exten => go,1,Set(CHANNEL(hangup_handler_push)=ended-handler,s,1)
 same => n,Set(AGIEXITONHANGUP=yes)
 same => n,Hangup()
exten => h,1,Gosub(callsign-skarabee,s,1(056528998))
 same => n,Set(IN_H=${SKARABEESTATUS})
[ended-handler]
exten => s,1,Gosub(callsign-noojee-stop,s,1)
 same => n,Return()

[leaving]
exten => go,1,Set(AGIEXITONHANGUP=yes)
 same => n,Gosub(callsign-noojee-stop,s,1)

[assign]
exten => go,1,Gosub(callsign-sraps-assign,s,1(000413AABBCC,Default))
 same => n,Set(WENTON=yes)

[grouped]
exten => go,1,Set(GROUP()=mine)
 same => n,Gosub(callsign-noojee-stop,s,1)
 same => n,Set(GROUPS=${GROUP_LIST()})
 same => n,Set(WENTON=yes)
"""

SKARABEE = ("SKARABEESTATUS", "SKARABEEREASON", "SKARABEEJOB", "WENTON", "AGISTATUS")
NOOJEE = ("NOOJEESTATUS", "NOOJEEREASON", "NOOJEEJOB", "WENTON", "AGISTATUS")
CALLER = ("An office", "056528999")
NOBODY = {"CALLSIGN_AGI": "agi://127.0.0.1:1"}  # nothing listens there
AT_ONCE = 4


@pytest.fixture
def plain(asterisk: RealAsterisk, box: Sandbox) -> RealAsterisk:
    """An Asterisk with the plain script, whose store lies in a folder of this test's."""
    config = f'[outbox]\npath = "{{folder}}/{box.port}/outbox.db"\n{vendor_sections(box)}'
    asterisk.install_plain_agi(PROJECT, config)
    store(asterisk, box).mkdir()
    return asterisk


def store(asterisk: RealAsterisk, box: Sandbox) -> Path:
    return asterisk.folder / "data" / str(box.port)


def told(box: Sandbox, path: str, count: int) -> list[dict[str, str]]:
    assert box.wait_for(lambda seen: sum(s.path == path for s in seen) >= count, 30), box.seen
    return [dict(seen.query) for seen in box.seen if seen.path == path]


def test_where_no_server_is_the_plain_script_stores_and_delivers(plain: RealAsterisk, box: Sandbox) -> None:
    result = plain.call("056528998", "inbound", variables=NOBODY, callerid=CALLER, report=SKARABEE, timeout=30)
    assert result.variables.pop("SKARABEEJOB").isdecimal()
    assert result.variables == {
        "SKARABEESTATUS": "QUEUED",
        "SKARABEEREASON": "",
        "WENTON": "yes",
        "AGISTATUS": "SUCCESS",
    }
    (seen,) = told(box, "/", 1)
    assert (seen["phonefrom"], seen["phoneto"]) == ("056528999", "056528998")


def test_what_is_asked_and_the_arguments_are_the_same_by_the_script(plain: RealAsterisk, box: Sandbox) -> None:
    given = {**NOBODY, "CALLSIGN_WAIT": "20"}
    result = plain.call("go", "record", variables=given, report=[*NOOJEE, "FIRST"], timeout=60)
    assert (result.variables["FIRST"], result.variables["NOOJEESTATUS"]) == ("OK", "OK")
    (start,) = told(box, "/CallManagementAPI/start", 1)
    (stop,) = told(box, "/CallManagementAPI/stop", 1)
    assert (start["extenOrUniqueId"], start["tag"]) == (result.uniqueid, 'Doe, "John" \\(x')
    assert stop["extenOrUniqueId"] == result.uniqueid


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hear_and_reset(connection: socket.socket) -> None:
    connection.recv(4096)
    reset(connection)


def say_nothing(connection: socket.socket) -> None:
    """Closed in an orderly way, once Asterisk has said all."""
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(4096):
        pass


@contextmanager
def dying(how: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that takes each connection and ends it `how`, without a command."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # the test is over
                    return
                with connection:
                    how(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"agi://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(30)


@pytest.mark.parametrize("how", [reset, hear_and_reset, say_nothing])
def test_a_server_that_dies_in_the_middle_of_a_step_is_none(
    plain: RealAsterisk, box: Sandbox, how: Callable[[socket.socket], None]
) -> None:
    with dying(how) as url:
        given = {"CALLSIGN_AGI": url}
        result = plain.call("056528998", "inbound", variables=given, callerid=CALLER, report=SKARABEE, timeout=30)
        assert (result.variables["SKARABEESTATUS"], result.variables["WENTON"]) == ("QUEUED", "yes")
        ended = plain.call("go", "ended", variables=given, callerid=CALLER, report=["IN_H"], timeout=30)
        assert ended.variables["IN_H"] == "QUEUED"
    assert len(told(box, "/", 2)) == 2


def test_what_changes_a_phone_is_not_done_again_for_a_server_that_may_have_done_it(plain: RealAsterisk) -> None:
    report = ("SRAPSSTATUS", "SRAPSREASON", "WENTON")
    with dying(hear_and_reset) as url:
        died = plain.call("go", "assign", variables={"CALLSIGN_AGI": url}, report=report, timeout=30).variables
    assert died == {
        "SRAPSSTATUS": "ERROR",
        "SRAPSREASON": "callsign did not answer: does its server run?",
        "WENTON": "yes",
    }
    none = plain.call("go", "assign", variables=NOBODY, report=report, timeout=30).variables
    assert "no section [sraps]" in none["SRAPSREASON"]


def test_a_connection_that_nobody_takes_any_more_is_none(plain: RealAsterisk) -> None:
    # as where a socket outlives its server, and is closed when no server comes back
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = {"CALLSIGN_AGI": f"agi://127.0.0.1:{server.getsockname()[1]}"}
        call = plain.start("056528998", "inbound", variables=given, callerid=CALLER, report=SKARABEE)
        assert select.select([server], [], [], 10)[0]
    assert call.wait(30).variables["SKARABEESTATUS"] == "QUEUED"


def test_in_h_and_in_a_hangup_handler_the_script_serves_a_channel_that_is_gone(
    plain: RealAsterisk, box: Sandbox
) -> None:
    report = ["IN_H", *NOOJEE]
    result = plain.call("go", "ended", variables=NOBODY, callerid=CALLER, report=report, timeout=60)
    assert result.variables["IN_H"] == "QUEUED"
    told(box, "/", 1)
    assert told(box, "/CallManagementAPI/stop", 1)[0]["extenOrUniqueId"] == result.uniqueid


def test_a_caller_who_hangs_up_in_the_middle_of_a_step_does_not_end_it(asterisk: RealAsterisk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = {"CALLSIGN_AGI": f"agi://127.0.0.1:{server.getsockname()[1]}"}
        call = asterisk.start("go", "leaving", variables=given, report=["NOOJEESTATUS"])
        connection, _ = server.accept()
        with connection, connection.makefile("rwb", buffering=0) as session:
            while session.readline().strip():
                pass
            mark = asterisk.mark_events()
            call.hangup()
            asterisk.wait_event(lambda event: event["Event"] == "HangupRequest", since=mark)
            answers = []
            for command in (b"GET VARIABLE UNIQUEID\n", b"SET VARIABLE NOOJEESTATUS OK\n"):
                session.write(command)
                answers.append(session.readline())
    assert [answer[:10] for answer in answers] == [b"200 result", b"200 result"]
    assert call.wait(30).variables["NOOJEESTATUS"] == "OK"


def test_the_fallback_can_be_switched_off(plain: RealAsterisk) -> None:
    given = {**NOBODY, "CALLSIGN_FALLBACK": "no"}
    result = plain.call("056528998", "inbound", variables=given, callerid=CALLER, report=SKARABEE).variables
    assert result == {
        "SKARABEESTATUS": "ERROR",
        "SKARABEEREASON": "callsign did not answer: does its server run?",
        "SKARABEEJOB": "",
        "WENTON": "yes",
        "AGISTATUS": "FAILURE",
    }


def test_what_the_server_has_said_is_not_asked_again(plain: RealAsterisk, tmp_path: Path) -> None:
    with Product(tmp_path, "") as server:  # no section [skarabee]
        given = {"CALLSIGN_AGI": server.url}
        result = plain.call("056528998", "inbound", variables=given, callerid=CALLER, report=SKARABEE).variables
    assert result["SKARABEESTATUS"] == "ERROR"
    assert "no section [skarabee]" in result["SKARABEEREASON"]


# How many at once


SCRIPT = """#!/bin/sh
# A plain script that lasts until the test says so.
while read -r line && [ -n "$line" ]; do :; done
echo begun >&2
read -r word <{gate}
"""


class Held:
    """Plain scripts that last as long as the test wants."""

    def __init__(self, asterisk: RealAsterisk) -> None:
        self._asterisk = asterisk
        gate = asterisk.folder / "data/gate"
        gate.parent.mkdir(exist_ok=True)
        gate.unlink(missing_ok=True)
        os.mkfifo(gate)
        self._gate = os.open(gate, os.O_RDWR)
        script = asterisk.folder / "agi-bin/callsign.agi"
        script.write_text(SCRIPT.format(gate=asterisk.inside(gate)))
        script.chmod(0o755)
        self._before = asterisk.script_errors().count("begun")

    def begun(self) -> int:
        return self._asterisk.script_errors().count("begun") - self._before

    def let_one_end(self) -> None:
        os.write(self._gate, b"go\n")

    def close(self) -> None:
        os.close(self._gate)


@pytest.fixture
def held(asterisk: RealAsterisk) -> Iterator[Held]:
    scripts = Held(asterisk)
    yield scripts
    scripts.close()


def test_four_scripts_run_at_once_and_no_more(asterisk: RealAsterisk, held: Held) -> None:
    report = [*NOOJEE, "GROUPS"]

    def start() -> Call:
        return asterisk.start("go", "grouped", variables=NOBODY, report=report)

    def holds() -> list[Call]:
        before = held.begun()
        calls = [start() for _ in range(AT_ONCE)]
        wait_until(lambda: held.begun() == before + AT_ONCE)
        return calls

    def beyond() -> None:
        for call in [start() for _ in range(2 * AT_ONCE)]:
            result = call.wait(30).variables
            assert (result["NOOJEESTATUS"], result["WENTON"], result["GROUPS"]) == ("ERROR", "yes", "mine")
            assert "four plain scripts run in its place already" in result["NOOJEEREASON"]

    def end(calls: list[Call]) -> None:
        for _ in calls:
            held.let_one_end()
        for call in calls:
            result = call.wait(30).variables
            assert (result["WENTON"], result["GROUPS"]) == ("yes", "mine")

    def nobody_is_counted() -> bool:
        return "0 active channels" in asterisk.command("group show channels")

    mark = asterisk.mark()
    first = holds()
    beyond()
    assert held.begun() == AT_ONCE
    end(first)
    second = holds()  # the places are free again, and as many as before
    beyond()
    gone = second.pop()
    gone.hangup()  # his script goes on, so his place is taken
    beyond()
    held.let_one_end()
    end(second)
    gone.wait()
    wait_until(nobody_is_counted)
    end(holds())
    assert held.begun() == 3 * AT_ONCE
    wait_until(nobody_is_counted)
    assert [line for line in asterisk.warnings(mark) if "res_agi.c: Co" not in line] == []


def test_of_a_burst_four_run_a_script(asterisk: RealAsterisk, held: Held) -> None:
    before = held.begun()
    calls = [asterisk.start("go", "grouped", variables=NOBODY, report=NOOJEE) for _ in range(6 * AT_ONCE)]
    wait_until(lambda: held.begun() == before + AT_ONCE)
    assert all(call.channel for call in calls)  # none comes later, into a place that is free again
    wait_until(lambda: len(asterisk.command("core show channels concise").splitlines()) == 2 * AT_ONCE)  # Local: two
    for _ in range(AT_ONCE):
        held.let_one_end()
    told = [call.wait(30).variables for call in calls]
    assert held.begun() == before + AT_ONCE
    assert sum("four plain scripts run in its place already" in one["NOOJEEREASON"] for one in told) == 5 * AT_ONCE


# A crash under load


def test_a_server_that_is_killed_under_load_costs_no_call_its_status_and_no_notification(
    plain: RealAsterisk, box: Sandbox
) -> None:
    with Product(store(plain, box), vendor_sections(box)) as server:
        listen = f"127.0.0.1:{server.port}"
        server.write_settings(vendor_sections(box), listen=listen)
        calls = []
        for n in range(100):
            if n == 30:
                server.kill()
                restart = threading.Timer(0.1, server.start)
                restart.start()
            given = {"CALLSIGN_AGI": f"agi://{listen}"}
            exten = f"0565{n:05}"
            calls.append(plain.start(exten, "inbound", variables=given, callerid=CALLER, report=SKARABEE))
            time.sleep(0.02)  # the load: 50 calls a second
        restart.join(30)
        statuses: dict[str, list[int]] = {}
        for n, call in enumerate(calls):
            result = call.wait(60).variables
            assert result["WENTON"] == "yes"
            status = result["SKARABEESTATUS"]
            if "four plain scripts" in result["SKARABEEREASON"]:
                status = "BEYOND"
            statuses.setdefault(status, []).append(n)
        accepted = {f"0565{n:05}" for status in ("QUEUED", "SKIPPED") for n in statuses.get(status, [])}
        assert set(statuses) <= {"QUEUED", "SKIPPED", "BEYOND"}, statuses
        assert len(accepted) + len(statuses.get("BEYOND", [])) == len(calls)

        def have_all(_: object) -> bool:
            return accepted <= {seen.query["phoneto"] for seen in box.seen if seen.path == "/"}

        assert box.wait_for(have_all, 60), accepted - {seen.query["phoneto"] for seen in box.seen}
