"""`./install.sh demo`: one simulated call through every handler, against stand-in vendors, on loopback.

It starts the sandbox and a real `callsign serve` on free ports, plays Asterisk's half of AGI, and says what each
step shows, and what the dialplan and the vendors saw; a vendor goes away and comes back.  Exit status 0 only if
all did their part.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from callsign.commands.interrupts import ended_by_signals
from callsign.commands.shell import begin, end
from callsign.record import Record
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.command import DEMO_ACCOUNTS, settings_for
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.sandbox.vendors.sraps import COMPANY

START_SECONDS = 30.0
VENDOR_SECONDS = 10.0
COMMAND = Path(__file__).resolve().parents[2] / "bin" / "callsign"

CALL = Call(
    callerid="056528999",
    calleridname='O\'Brien "Bob"',
    extension="056528998",
    uniqueid="1556891830.42",
    channel="PJSIP/trunk-0000002a",
    context="from-trunk",
)
ANOTHER_CALL = Call(callerid="056528999", extension="056528998", uniqueid="1556891830.43", context="from-trunk")


class Act(Record):
    """One AGI() line of the call, and what must come of it."""

    why: str  # what it shows, for who watches
    line: str  # path and options
    variables: dict[str, str]  # must be among those set
    vendor_paths: tuple[str, ...] = ()  # requests that the vendors must have taken since
    arguments: tuple[str, ...] = ()


SRAPS_KEY_ID = DEMO_ACCOUNTS["sraps"]["key_id"]
SRAPS_COMPANY = f"sraps /companies/{COMPANY}"
SRAPS_PHONE = f"{SRAPS_COMPANY}/endpoints/000413aabbcc"
BESIDE = "kalliope"
"""Its register is read beside the calls, whenever that is due: such requests are no act's."""

ACTS = (
    Act("Does the server answer? No vendor is asked.", "ping", {"CALLSIGNSTATUS": "OK"}),
    Act(
        "A call comes in: Skarabee's CRM learns who calls whom. The call goes on as soon as that is stored (QUEUED);\n"
        "the vendor hears of it behind the call.",
        "skarabee",
        {"SKARABEESTATUS": "QUEUED"},
        ("skarabee /",),
    ),
    Act(
        "The same call rings a second phone: it was told already, so nothing is sent (SKIPPED).",
        "skarabee",
        {"SKARABEESTATUS": "SKIPPED"},
    ),
    Act(
        "Its recording starts on the Noojee recorder. Here the call waits, up to 2 s, to know that it runs (OK).",
        "noojee/start",
        {"NOOJEESTATUS": "OK"},
        ("noojee /Time", "noojee /CallManagementAPI/start"),
        arguments=("tag=demo",),
    ),
    Act(
        "And it stops, in the order in which the dialplan said so.",
        "noojee/stop",
        {"NOOJEESTATUS": "OK"},
        ("noojee /CallManagementAPI/stop",),
    ),
    Act(
        "A question: what is the balance of this user in MOR? The dialplan routes on by the answer.",
        "mor/balance",
        {"MORSTATUS": "OK", "MORBALANCE": "12.3400"},
        ("mor /user_balance_get",),
        arguments=("demo",),
    ),
    Act(
        "Whose number is it that calls, as MOR knows it?",
        "mor/caller",
        {"MORSTATUS": "OK", "MORUSERID": "2", "MORDEVICEID": "7"},
        ("mor /cli_info_get",),
    ),
    Act(
        "Which extension called this number last? KalliopePBX's calls are kept in memory: nobody need be asked.",
        "kalliope/lastcall",
        {"KALLIOPESTATUS": "OK", "KALLIOPEEXTEN": "206"},
    ),
    Act(
        "What does snom's SRAPS know of this phone? Each request has its own signature (Hawk).",
        "sraps/endpoint",
        {"SRAPSSTATUS": "OK", "SRAPSNAME": "Reception", "SRAPSPROFILE": "Default"},
        (f"sraps /tokens/{SRAPS_KEY_ID}", SRAPS_COMPANY, SRAPS_PHONE, f"{SRAPS_COMPANY}/provisioning-profiles/"),
        arguments=("00:04:13:AA:BB:CC",),
    ),
    Act(
        "Somebody takes a seat there: the phone gets another profile.",
        "sraps/assign",
        {"SRAPSSTATUS": "OK", "SRAPSNAME": "Reception", "SRAPSPROFILE": "Hot desk"},
        (SRAPS_PHONE, SRAPS_PHONE),  # looked at, then changed
        arguments=("00:04:13:AA:BB:CC", "hot desk"),
    ),
)

AWAY = Act(
    "Now Skarabee goes away, and another call comes in: it goes on all the same, for the notification is stored.",
    "skarabee",
    {"SKARABEESTATUS": "QUEUED"},
)
NEXT = """
next: sudo ./install.sh                   on your PBX, then `callsign check --online`
      .venv/bin/callsign sandbox          the stand-ins alone, for a dialplan of your own
      .venv/bin/callsign help             what README leaves out"""


def main() -> int:
    """Plays the call.  0 if the dialplan and the vendors saw what they should, else 1."""
    with (
        ended_by_signals(),  # the server and the folder go before it ends
        tempfile.TemporaryDirectory(prefix="callsign-demo-") as folder,
        Sandbox(accounts=DEMO_ACCOUNTS) as box,
    ):
        settings = Path(folder) / "callsign.toml"
        settings.touch(mode=0o600)
        settings.write_text(
            f'[server]\nlisten = "127.0.0.1:0"\n\n[outbox]\npath = "{folder}/outbox.db"\n\n{settings_for(box)}',
            encoding="utf-8",
        )
        print(f"Stand-ins of {', '.join(sorted(DEMO_ACCOUNTS))} at 127.0.0.1:{box.port}; starting `callsign serve` …")
        server = subprocess.Popen(  # noqa: S603
            [sys.executable, str(COMMAND), "serve", "--config", str(settings)], stderr=subprocess.PIPE, text=True
        )
        try:
            port = _port_of(server)
            if port is None:
                print("The server did not start.", file=sys.stderr)
                return 1
            played = [_play(act, port, box) for act in ACTS]  # each one, also after a failure
            good = all([*played, _play_outage(port, box)])
        finally:
            server.terminate()
            stopped = server.wait(timeout=START_SECONDS)
    good = good and stopped == 0
    print("\nAll did their part." if good else "\nNOT all did their part: see the lines marked !!")
    print(NEXT)
    return 0 if good else 1


def _port_of(server: subprocess.Popen[str]) -> int | None:
    """The port in the server's first words; the rest of its log is shown as it comes."""
    assert server.stderr is not None  # noqa: S101
    killer = threading.Timer(START_SECONDS, server.kill)
    killer.start()
    try:
        for line in server.stderr:
            found = re.search(r"listens on 127\.0\.0\.1:(\d+)", line)
            if found:
                threading.Thread(target=deque, args=(server.stderr, 0), daemon=True).start()  # reads on
                return int(found[1])
            print(f"    {line.rstrip()}", file=sys.stderr)
    finally:
        killer.cancel()
    return None


def _play_outage(port: int, box: Sandbox) -> bool:
    """A vendor is away while a call comes in, and hears of it when it is back."""
    before = len(_asked(box.seen))
    box.trouble["skarabee"] = Trouble(drop=True)
    good = _play(AWAY, port, box, ANOTHER_CALL)
    tried = box.wait_for(lambda seen: len(_asked(seen)) > before, VENDOR_SECONDS)
    box.trouble.clear()
    print("It is back, and hears of the call at the next try:")
    heard = box.wait_for(lambda seen: any(one.verdict == "OK" for one in _asked(seen)[before:]), VENDOR_SECONDS)
    for seen in _asked(box.seen)[before:]:
        print(f"    vendor    {seen.masked()}")
    if not (tried and heard):
        print(" !! vendor    wanted the notification once it was back")
    return good and tried and heard


def _play(act: Act, port: int, box: Sandbox, call: Call = CALL) -> bool:
    before = len(_asked(box.seen))
    url = f"agi://127.0.0.1:{port}/{act.line}"
    print(f"\n{act.why}\nAGI({','.join((url, *act.arguments))})")
    session: Session = run_fastagi(url, call, act.arguments, Conduct(timeout_seconds=VENDOR_SECONDS))
    for name, value in session.variables.items():
        print(f"    dialplan  {name}={value}")
    took = f"{1000 * session.seconds:.1f} ms"
    good = session.status == "SUCCESS" and act.variables.items() <= session.variables.items()
    print(f"{'    ' if good else ' !! '}dialplan  AGISTATUS={session.status} after {took} {session.trouble}".rstrip())
    wanted = list(act.vendor_paths)
    arrived = box.wait_for(lambda seen: len(_asked(seen)) - before >= len(wanted), VENDOR_SECONDS)
    new = [] if act is AWAY else _asked(box.seen)[before:]  # of that one `_play_outage` tells
    for seen in new:
        print(f"    vendor    {seen.masked()}")
    taken = [f"{seen.system} {seen.path}" for seen in new if seen.verdict == "OK"]
    if not arrived or taken != wanted:
        print(f" !! vendor    wanted {wanted}, took {taken}")
        good = False
    return good


def _asked(seen: Sequence[SeenRequest]) -> list[SeenRequest]:
    """The requests that acts of the call have caused."""
    return [one for one in seen if one.system != BESIDE]


if __name__ == "__main__":
    begin()
    end("demo", main)
