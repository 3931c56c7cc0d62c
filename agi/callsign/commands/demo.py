"""`./install.sh demo`: one simulated call through every handler, against stand-in vendors, on loopback.

It starts the sandbox and a real `callsign serve` on free ports, plays Asterisk's half of AGI, and shows
what the dialplan and the vendors saw.  Exit status 0 only if all did their part.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from callsign.commands.shell import begin, end
from callsign.record import Record
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.command import DEMO_ACCOUNTS, settings_for
from callsign.sandbox.vendors.record import Seen
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


class Act(Record):
    """One AGI() line of the call, and what must come of it."""

    line: str  # path and options
    arguments: tuple[str, ...]
    variables: dict[str, str]  # must be among those set
    vendor_paths: tuple[str, ...]  # requests that the vendors must have taken since


SRAPS_KEY_ID = DEMO_ACCOUNTS["sraps"]["key_id"]
SRAPS_COMPANY = f"sraps /companies/{COMPANY}"
SRAPS_PHONE = f"{SRAPS_COMPANY}/endpoints/000413aabbcc"
BESIDE = "kalliope"
"""Its register is read beside the calls, whenever that is due: such requests are no act's."""

ACTS = (
    Act("ping", (), {"CALLSIGNSTATUS": "OK"}, ()),
    Act("skarabee", (), {"SKARABEESTATUS": "QUEUED"}, ("skarabee /",)),
    Act("skarabee", (), {"SKARABEESTATUS": "SKIPPED"}, ()),
    Act(
        "noojee/start",
        ("tag=demo",),
        {"NOOJEESTATUS": "OK"},
        ("noojee /Time", "noojee /CallManagementAPI/start"),
    ),
    Act("noojee/stop", (), {"NOOJEESTATUS": "OK"}, ("noojee /CallManagementAPI/stop",)),
    Act("mor/balance", ("demo",), {"MORSTATUS": "OK", "MORBALANCE": "12.3400"}, ("mor /user_balance_get",)),
    Act("mor/caller", (), {"MORSTATUS": "OK", "MORUSERID": "2", "MORDEVICEID": "7"}, ("mor /cli_info_get",)),
    Act("kalliope/lastcall", (), {"KALLIOPESTATUS": "OK", "KALLIOPEEXTEN": "206"}, ()),
    Act(
        "sraps/endpoint",
        ("00:04:13:AA:BB:CC",),
        {"SRAPSSTATUS": "OK", "SRAPSNAME": "Reception", "SRAPSPROFILE": "Default"},
        (f"sraps /tokens/{SRAPS_KEY_ID}", SRAPS_COMPANY, SRAPS_PHONE, f"{SRAPS_COMPANY}/provisioning-profiles/"),
    ),
    Act(
        "sraps/assign",
        ("00:04:13:AA:BB:CC", "hot desk"),
        {"SRAPSSTATUS": "OK", "SRAPSNAME": "Reception", "SRAPSPROFILE": "Hot desk"},
        (SRAPS_PHONE, SRAPS_PHONE),  # looked at, then changed
    ),
)


def main() -> int:
    """Plays the call.  0 if the dialplan and the vendors saw what they should, else 1."""
    with tempfile.TemporaryDirectory(prefix="callsign-demo-") as folder, Sandbox(accounts=DEMO_ACCOUNTS) as box:
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
            good = all(played)
        finally:
            server.terminate()
            stopped = server.wait(timeout=START_SECONDS)
    good = good and stopped == 0
    print("\nAll did their part." if good else "\nNOT all did their part: see the lines marked !!")
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
                threading.Thread(target=_read_on, args=(server.stderr,), daemon=True).start()
                return int(found[1])
            print(f"    {line.rstrip()}", file=sys.stderr)
    finally:
        killer.cancel()
    return None


def _read_on(log: object) -> None:
    for _ in log:  # type: ignore[attr-defined]
        pass


def _play(act: Act, port: int, box: Sandbox) -> bool:
    before = len(_asked(box.seen))
    url = f"agi://127.0.0.1:{port}/{act.line}"
    print(f"\nAGI({','.join((url, *act.arguments))})")
    session: Session = run_fastagi(url, CALL, act.arguments, Conduct(timeout_seconds=VENDOR_SECONDS))
    for name, value in session.variables.items():
        print(f"    dialplan  {name}={value}")
    took = f"{1000 * session.seconds:.1f} ms"
    good = session.status == "SUCCESS" and act.variables.items() <= session.variables.items()
    print(f"{'    ' if good else ' !! '}dialplan  AGISTATUS={session.status} after {took} {session.trouble}".rstrip())
    wanted = list(act.vendor_paths)
    arrived = box.wait_for(lambda seen: len(_asked(seen)) - before >= len(wanted), VENDOR_SECONDS)
    new = _asked(box.seen)[before:]
    for seen in new:
        print(f"    vendor    {seen.masked()}")
    taken = [f"{seen.system} {seen.path}" for seen in new if seen.verdict == "OK"]
    if not arrived or taken != wanted:
        print(f" !! vendor    wanted {wanted}, took {taken}")
        good = False
    return good


def _asked(seen: Sequence[Seen]) -> list[Seen]:
    """The requests that acts of the call have caused."""
    return [one for one in seen if one.system != BESIDE]


if __name__ == "__main__":
    begin("demo")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server and the folder go before it ends
    end("demo", main)
