"""The plain script as real processes: the same answers as the server, with it and without it, and a call never held."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from callsign.agi import session as agi_session
from callsign.notification import State
from callsign.outbox.outbox import Outbox
from callsign.outbox.reader import OutboxReader
from callsign.sandbox.asterisk.behaviour import Conduct
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi, run_script
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import Sandbox
from product import ACCOUNTS, Product
from script_play import CALL, CALLER, SCRIPT, ByHand, PlainScript, vendor_sections
from store_play import LONG_SECONDS, PROJECT, call_from, eventually
from waiting import wait_until


class Held:
    """Holds the vendors' answers back until the test lets them go; until then the sandbox tells nothing either."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()

    def __call__(self, _: SeenRequest) -> None:
        self.reached.set()
        self.open.wait(LONG_SECONDS)


@pytest.fixture
def held() -> Iterator[Held]:
    made = Held()
    yield made
    made.open.set()


@pytest.fixture
def box(held: Held) -> Iterator[Sandbox]:
    with Sandbox(accounts=ACCOUNTS, on_seen=held) as running:
        yield running
        held.open.set()


@pytest.fixture
def plain(tmp_path: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlainScript]:
    made = PlainScript(tmp_path, vendor_sections(box), monkeypatch)
    yield made
    made.end_all()


@pytest.fixture
def reader(plain: PlainScript) -> Iterator[OutboxReader]:
    made = OutboxReader(plain.store)
    yield made
    made.close()


def ended(reader: OutboxReader, job: int) -> bool:
    return (reader.state_of(job) or (State.WAITING,))[0] is not State.WAITING


def call_number(number: int) -> Call:
    return Call(callerid=f"0470{number:06}", extension="056528998", uniqueid=f"1700000000.{number}")


# -- answers ------------------------------------------------------------------------------------------------------


def test_without_a_server_a_notification_is_stored_and_delivered(
    plain: PlainScript, box: Sandbox, reader: OutboxReader
) -> None:
    session = plain.run("skarabee")
    assert session.variables == {"SKARABEESTATUS": "QUEUED", "SKARABEEREASON": "", "SKARABEEJOB": "1"}
    assert (session.status, session.trouble) == ("SUCCESS", "")
    assert box.wait_for(lambda seen: bool(seen), LONG_SECONDS)
    assert (box.seen[0].verdict, box.seen[0].query["phonefrom"]) == ("OK", CALLER)
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))


def test_the_script_waits_for_the_outcome_where_the_dialplan_wants_it(plain: PlainScript, box: Sandbox) -> None:
    session = plain.run("noojee/start?wait=20", "", "tag=plain")
    assert session.variables == {"NOOJEESTATUS": "OK", "NOOJEEREASON": "", "NOOJEEJOB": "1"}
    assert [seen.path for seen in box.seen] == ["/Time", "/CallManagementAPI/start"]
    box.trouble["skarabee"] = Trouble(refuse_status="HASH_MISMATCH")
    refused = plain.run("skarabee?wait=20").variables
    assert refused["SKARABEESTATUS"] == "REFUSED"
    assert refused["SKARABEEREASON"].startswith("HASH_MISMATCH")


ALIKE = (
    ["ping"],
    ["skarabee"],
    ["skarabee?wait=20"],
    ["noojee/stop?wait=20"],
    ["skarabee", "anonymous"],
    ["skarabee", "", "", "999999"],
    ["skarabee", "a", "b", "c", "d", "e"],
    ["skarabee?wait=soon"],
    ["skarabee?later=1"],
    ["nonsense"],
    ["mor/nonsense", "x"],
)


def test_the_script_sets_the_same_variables_as_the_server(plain: PlainScript, box: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with Product(folder, vendor_sections(box)) as product:
        for number, (request, *more) in enumerate(ALIKE):
            url, conduct = f"{product.url}/{request}", Conduct(timeout_seconds=LONG_SECONDS)
            from_server = run_fastagi(url, call_number(number), more, conduct)
            from_script = plain.run(request, *more, call=call_number(number))
            assert from_server.variables, request
            assert from_script.variables == from_server.variables, request
            assert (from_script.status, from_script.trouble) == ("SUCCESS", ""), request


def test_a_script_that_has_stored_nothing_leaves_what_waits_to_others(
    plain: PlainScript, box: Sandbox, reader: OutboxReader
) -> None:
    outbox = Outbox(plain.store)
    job = outbox.add(call_from(), LONG_SECONDS).job
    outbox.close()
    assert plain.run("ping").variables["CALLSIGNSTATUS"] == "OK"
    assert eventually(lambda: not plain.processes())
    assert reader.state_of(job) == (State.WAITING, "")
    assert box.seen == []


def test_a_script_without_a_path_says_which_there_are(plain: PlainScript) -> None:
    session = plain.run()
    assert session.variables["CALLSIGNSTATUS"] == "ERROR"
    assert "known are skarabee" in session.variables["CALLSIGNREASON"]


def test_a_call_is_notified_once_by_scripts_and_server_together(
    plain: PlainScript, box: Sandbox, tmp_path: Path
) -> None:
    assert plain.run("skarabee").variables["SKARABEESTATUS"] == "QUEUED"
    with Product(tmp_path, vendor_sections(box)) as product:
        again = run_fastagi(f"{product.url}/skarabee", CALL).variables
    assert again["SKARABEESTATUS"] == "SKIPPED"
    assert plain.run("skarabee").variables == again
    assert box.wait_for(lambda seen: bool(seen), LONG_SECONDS)
    assert len(box.seen) == 1


# -- faults -------------------------------------------------------------------------------------------------------


def test_faulty_settings_end_in_error_with_the_first_fault(plain: PlainScript) -> None:
    plain.settings.write_text('[skarabee]\nurll = "https://host/"\n', encoding="utf-8")
    session = plain.run("skarabee")
    assert session.variables["SKARABEESTATUS"] == "ERROR"
    assert "[skarabee] urll" in session.variables["SKARABEEREASON"]
    assert session.status == "SUCCESS"


def test_missing_settings_end_in_error(plain: PlainScript) -> None:
    plain.settings.unlink()
    session = plain.run("noojee/start")
    assert session.variables["NOOJEESTATUS"] == "ERROR"
    assert "cannot be read: No such file or directory" in session.variables["NOOJEEREASON"]
    assert session.status == "SUCCESS"


def test_a_store_that_cannot_be_written_ends_in_error(plain: PlainScript, box: Sandbox) -> None:
    plain.store.mkdir()
    session = plain.run("skarabee")
    assert session.variables["SKARABEESTATUS"] == "ERROR"
    assert "cannot be written: unable to open database file" in session.variables["SKARABEEREASON"]
    assert session.status == "SUCCESS"
    assert box.seen == []


def test_a_store_that_is_broken_is_set_aside_and_the_call_is_told_all_the_same(
    plain: PlainScript, box: Sandbox
) -> None:
    plain.store.write_bytes(b"no database at all, " * 1000)
    session = plain.run("skarabee")
    assert (session.variables["SKARABEESTATUS"], session.status) == ("QUEUED", "SUCCESS")
    assert box.wait_for(bool, 30.0)
    assert list(plain.store.parent.glob("outbox.db.broken-*"))


def test_an_asterisk_that_vanishes_in_its_block_leaves_no_script_behind(plain: PlainScript) -> None:
    block = "\n".join(CALL.environment(SCRIPT, ["skarabee"], network=False))
    script = subprocess.Popen([SCRIPT, "skarabee"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    script.communicate(block[: len(block) // 2].encode(), LONG_SECONDS)
    assert not plain.store.exists()


def test_an_asterisk_that_vanishes_at_the_status_leaves_no_script_behind(
    plain: PlainScript, box: Sandbox, reader: OutboxReader
) -> None:
    def vanish(line: str) -> bytes | None:
        if line.startswith("EXEC MSet"):
            raise TimeoutError
        return None

    run_script(SCRIPT, CALL, ["skarabee"], Conduct(timeout_seconds=LONG_SECONDS, replies=vanish))
    assert eventually(lambda: ended(reader, 1))  # it was stored, so it is delivered


NOISY = f"""#!{sys.executable}
import os, sys
sys.path.insert(0, {str(PROJECT / "agi")!r})
from callsign.script.fork import fork_worker
go_on = fork_worker() if {{parts}} else None
from callsign.script import main as agi_script
quiet = agi_script.answer
def noisy(*arguments):
    print("SET VARIABLE SKARABEESTATUS stray", flush=True)
    os.write(1, b"HANGUP\\n")
    os.system("echo a child of ours")
    return quiet(*arguments)
agi_script.answer = noisy
sys.exit(agi_script.main(go_on))
"""


def a_script(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def test_what_is_printed_by_mistake_does_not_reach_asterisk(plain: PlainScript, tmp_path: Path) -> None:
    noisy = a_script(tmp_path / "noisy.agi", NOISY.replace("{parts}", "True"))
    session = plain.run("skarabee", script=noisy)
    assert session.variables["SKARABEESTATUS"] == "QUEUED"
    assert not any("stray" in command or "child" in command for command in session.commands)
    assert (session.status, session.trouble) == ("SUCCESS", "")


def test_where_there_can_be_no_second_process_the_call_is_not_held_and_the_job_is_left_to_others(
    plain: PlainScript, tmp_path: Path, box: Sandbox, held: Held, reader: OutboxReader
) -> None:
    held.open.clear()
    alone = a_script(tmp_path / "alone.agi", NOISY.replace("{parts}", "False"))
    assert plain.run("skarabee", script=alone).variables["SKARABEESTATUS"] == "QUEUED"
    assert reader.state_of(1) == (State.WAITING, "")
    assert not held.reached.is_set()
    held.open.set()
    assert plain.run("noojee/start?wait=30").variables["NOOJEESTATUS"] == "OK"
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))


FAULTY = f"""#!{sys.executable}
import os, sys
sys.path.insert(0, {str(PROJECT / "agi")!r})
from callsign.script.fork import fork_worker
go_on = fork_worker()
from callsign.script import main as agi_script
from callsign.steps import attend, step as dialplan_step
from callsign.agi import block as agi_block, session as agi_session
working = {{stage}}
faulty = [1]
def fault(*arguments, **more):
    if faulty:
        faulty.pop()
        raise {{kind}}("caller 056528999")
    return working(*arguments, **more)
{{stage}} = fault
sys.exit(agi_script.main(go_on))
"""


@pytest.mark.parametrize(
    ("stage", "kind", "status"),
    [
        ("agi_script._own_standard_output", "OSError", "ERROR"),
        ("agi_script.queue_stderr", "OSError", "ERROR"),
        ("attend.AgiSession", "ValueError", "ERROR"),
        ("agi_block.AgiBlock.hear_out", "ValueError", "ERROR"),
        ("attend.read_step", "ValueError", "ERROR"),
        ("dialplan_step._decodable", "OSError", "ERROR"),
        ("agi_script.load", "ValueError", "ERROR"),
        ("agi_script.answer", "ValueError", "ERROR"),
        ("agi_session.AgiSession.set_variables", "ValueError", "QUEUED"),
        ("attend.log_step", "ValueError", "QUEUED"),
    ],
)
def test_a_fault_at_any_stage_leaves_the_call_its_status(
    plain: PlainScript, tmp_path: Path, stage: str, kind: str, status: str
) -> None:
    script = a_script(tmp_path / "faulty.agi", FAULTY.replace("{stage}", stage).replace("{kind}", kind))
    session = plain.run("skarabee", script=script)
    assert (session.status, session.trouble) == ("SUCCESS", "")
    assert session.variables["SKARABEESTATUS"] == status
    assert bool(session.variables["SKARABEEREASON"]) == (status == "ERROR")
    assert bool(session.variables["SKARABEEJOB"]) == (status == "QUEUED")


@pytest.mark.parametrize("stage", ["agi_script._Script._delivering", "agi_script.Outbox.close"])
def test_a_fault_when_the_dialplan_has_gone_on_is_one_line_of_the_log(
    plain: PlainScript, tmp_path: Path, capfd: pytest.CaptureFixture[str], stage: str
) -> None:
    script = a_script(tmp_path / "faulty.agi", FAULTY.replace("{stage}", stage).replace("{kind}", "ValueError"))
    assert plain.run("skarabee?wait=0", script=script).variables["SKARABEESTATUS"] == "QUEUED"
    wait_until(lambda: not plain.processes())
    said = capfd.readouterr().err
    assert "ERROR a fault in callsign itself: ValueError at " in said
    assert "Traceback" not in said
    assert "056528999" not in said


IN_ORDER = """
import logging, sys
from callsign.script.main import main
came = []
class Came(logging.Handler):
    def emit(self, record):
        came.append(record.name)
logging.basicConfig(level=logging.INFO, handlers=[Came()])
main(lambda: came.append("the dialplan goes on"), ["ping"])
print(came, file=sys.__stderr__)
"""


def test_the_dialplan_goes_on_before_the_line_of_the_log_is_written(plain: PlainScript) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "agi")}
    command = [sys.executable, "-c", IN_ORDER]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, bufsize=0, env=environment) as script:
        assert script.stdin is not None
        assert script.stdout is not None
        assert script.stderr is not None
        script.stdin.write(b"agi_request: callsign.agi\nagi_uniqueid: 1700000000.1\n\n")
        mark = script.stdout.readline().split()[-1].replace(b"${CHANNEL(appdata)}", b"callsign.agi,ping")
        script.stdin.write(b"200 result=1 (" + mark + b")\n")
        assert b"CALLSIGNSTATUS=OK" in script.stdout.readline()
        script.stdin.write(b"200 result=0\n")
        said = script.stderr.read().decode()
    assert said.startswith("['the dialplan goes on', 'callsign.step'"), said


# -- hang-ups -----------------------------------------------------------------------------------------------------


def test_a_hang_up_before_the_row_is_written_does_not_keep_it_from_being_written(
    plain: PlainScript, reader: OutboxReader, box: Sandbox
) -> None:
    settings = plain.settings.read_text(encoding="utf-8")
    plain.settings.unlink()
    os.mkfifo(plain.settings)
    script = ByHand("skarabee")
    with plain.settings.open("w", encoding="utf-8") as pipe:  # opened only when the script opens it too
        script.signal_all(signal.SIGHUP)
        pipe.write(settings)
    commands = script.answer_all()
    script.signal_all(signal.SIGHUP)
    assert any('SET VARIABLE SKARABEESTATUS "QUEUED"' in c or "SKARABEESTATUS=QUEUED" in c for c in commands)
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))
    script.close()


def test_a_hang_up_in_the_middle_of_the_answer_loses_nothing(
    plain: PlainScript, reader: OutboxReader, box: Sandbox
) -> None:
    session = plain.run("skarabee", hangup_after=1)
    assert session.status in ("HANGUP", "SUCCESS")
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))


# -- an upgrade ---------------------------------------------------------------------------------------------------


def test_a_script_that_began_before_an_upgrade_loads_nothing_of_what_comes_by_it(
    plain: PlainScript, tmp_path: Path, reader: OutboxReader, box: Sandbox
) -> None:
    code, new, old = (tmp_path / name for name in ("agi", "agi.new", "agi.old"))
    shutil.copytree(PROJECT / "agi", code, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(code, new)
    for module in (new / "callsign").rglob("*.py"):
        module.write_text("raise ImportError('of another version')", encoding="utf-8")
    settings = plain.settings.read_text(encoding="utf-8")
    plain.settings.unlink()
    os.mkfifo(plain.settings)
    script = ByHand("skarabee", script=code / "agi-bin" / "callsign.agi")
    with plain.settings.open("w", encoding="utf-8") as pipe:  # opened only when the script opens it too
        code.rename(old)
        new.rename(code)
        pipe.write(settings)
    assert any("QUEUED" in command for command in script.answer_all())
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))
    script.close()


# -- behind the call ----------------------------------------------------------------------------------------------


def test_the_dialplan_goes_on_while_the_vendor_has_not_answered_yet(
    plain: PlainScript, box: Sandbox, held: Held, reader: OutboxReader
) -> None:
    held.open.clear()
    session = plain.run("skarabee")
    assert session.variables["SKARABEESTATUS"] == "QUEUED"
    assert (session.status, session.trouble) == ("SUCCESS", "")
    assert reader.state_of(1) == (State.WAITING, "")
    held.open.set()
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))


IMPATIENT = f"""#!{sys.executable}
import runpy, sys
sys.path.insert(0, {str(PROJECT / "agi")!r})
import {agi_session.__name__} as agi_session
agi_session.REPLY_SECONDS = 0.2
runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
"""
"""The script, with no time for a reply that does not come."""


def test_an_asterisk_that_cannot_be_understood_is_not_held_by_the_delivery_either(
    plain: PlainScript, box: Sandbox, held: Held, reader: OutboxReader, tmp_path: Path
) -> None:
    held.open.clear()
    impatient = tmp_path / "impatient.agi"
    impatient.write_text(IMPATIENT, encoding="utf-8")
    impatient.chmod(0o755)
    conduct = Conduct(timeout_seconds=LONG_SECONDS, replies=lambda _: b"no reply that AGI knows\n")
    session = run_script(impatient, CALL, ["skarabee"], conduct)
    assert (session.status, session.trouble) == ("SUCCESS", "")
    assert reader.state_of(1) == (State.WAITING, "")
    held.open.set()
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))


def test_a_wait_that_ends_first_lets_the_dialplan_go_on_with_queued(
    plain: PlainScript, box: Sandbox, held: Held, reader: OutboxReader
) -> None:
    held.open.clear()
    assert plain.run("noojee/start?wait=0.2").variables["NOOJEESTATUS"] == "QUEUED"
    held.open.set()
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))


def test_an_outage_is_outlived_without_a_server(plain: PlainScript, box: Sandbox, reader: OutboxReader) -> None:
    box.trouble["skarabee"] = Trouble(http_status=503)
    assert plain.run("skarabee").variables["SKARABEESTATUS"] == "QUEUED"
    assert box.wait_for(lambda seen: len(seen) >= 2, LONG_SECONDS)
    box.trouble.clear()
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))


def test_scripts_at_the_same_time_deliver_each_job_once_and_in_order(
    plain: PlainScript, box: Sandbox, reader: OutboxReader
) -> None:
    def one_call(number: int) -> list[str]:
        call = call_number(number)
        lines = [plain.run(path, call=call) for path in ("skarabee", "noojee/start?wait=0", "noojee/stop?wait=0")]
        return [value for line in lines for name, value in line.variables.items() if name.endswith("STATUS")]

    with ThreadPoolExecutor(4) as pool:
        assert set(map(tuple, pool.map(one_call, range(4)))) == {("QUEUED", "QUEUED", "QUEUED")}
    assert eventually(lambda: reader.jobs() and not reader.newest_open())
    asked = [seen for seen in box.seen if seen.path != "/Time"]
    assert len([seen for seen in asked if seen.system == "skarabee"]) == 4
    for number in range(4):
        paths = [seen.path for seen in asked if seen.query.get("extenOrUniqueId") == f"1700000000.{number}"]
        assert paths in (
            ["/CallManagementAPI/start", "/CallManagementAPI/stop"],
            ["/CallManagementAPI/stop"],  # the start was needless before it was tried
        )


def test_what_a_killed_script_left_is_delivered_by_the_next_one(
    plain: PlainScript, box: Sandbox, held: Held, reader: OutboxReader
) -> None:
    held.open.clear()
    assert plain.run("skarabee").variables["SKARABEESTATUS"] == "QUEUED"
    assert held.reached.wait(LONG_SECONDS)
    plain.end_all()
    held.open.set()
    assert reader.state_of(1) == (State.WAITING, "")
    assert plain.run("noojee/start?wait=30").variables["NOOJEESTATUS"] == "OK"
    assert eventually(lambda: reader.state_of(1) == (State.DELIVERED, ""))


# -- beside a server ----------------------------------------------------------------------------------------------


def test_beside_a_server_the_script_stores_and_the_server_delivers(
    plain: PlainScript, box: Sandbox, tmp_path: Path
) -> None:
    with Product(tmp_path, vendor_sections(box)) as product:
        assert plain.run("noojee/start?wait=20").variables["NOOJEESTATUS"] == "OK"
        assert plain.run("skarabee").variables["SKARABEESTATUS"] == "QUEUED"
        product.wait_log(lambda line: "job=1" in line and "DELIVERED" in line)
        product.wait_log(lambda line: "job=2" in line and "DELIVERED" in line)


@pytest.mark.parametrize(("folder", "status"), [("/usr/share/asterisk/agi-bin", "ERROR"), (None, "QUEUED")])
def test_what_asterisk_started_is_answered_as_asterisk_answers(
    plain: PlainScript, monkeypatch: pytest.MonkeyPatch, folder: str | None, status: str
) -> None:
    if folder:
        monkeypatch.setenv("AST_AGI_DIR", folder)
    else:
        monkeypatch.delenv("AST_AGI_DIR", raising=False)
    script = ByHand("skarabee")
    commands = script.answer_all()
    script.close()
    assert any(f"SKARABEESTATUS={status}" in c or f'SKARABEESTATUS "{status}"' in c for c in commands)
