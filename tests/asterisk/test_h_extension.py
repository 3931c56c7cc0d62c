"""Who hangs up in the middle of a subroutine: the administrator's own h runs, as behind any other step."""

from __future__ import annotations

import socket

import pytest

from product import PROJECT
from real_asterisk import RealAsterisk

FILES = {"extensions_callsign.conf": (PROJECT / "dialplan/extensions_callsign.conf").read_text(encoding="utf-8")}

DIALPLAN = r"""
#include extensions_callsign.conf

[with-h]
exten => skarabee,1,Gosub(callsign-skarabee,s,1(056528998))
 same => n,Set(WENTON=yes)
exten => record,1,Gosub(callsign-noojee-start,s,1(a tag))
 same => n,Set(WENTON=yes)
exten => nested,1,Gosub(without-h,s,1(outer))
 same => n,Set(WENTON=yes)
exten => own,1,Gosub(own-h,s,1(outer))
 same => n,Set(WENTON=yes)
exten => h,1,Set(IN_H=${IN_H}with-h)
 same => n,Set(ARGUMENT=${ARG1})
 same => n,Set(TEXT=${CALLSIGN_TEXT}${AGISIGHUP})

[without-h]
exten => s,1,Gosub(callsign-skarabee,s,1(056528998))
 same => n,Set(WENTON=yes)
 same => n,Return()
exten => go,1,Gosub(callsign-skarabee,s,1(056528998))
 same => n,Set(WENTON=yes)

[own-h]
exten => s,1,Gosub(callsign-skarabee,s,1(056528998))
 same => n,Set(WENTON=yes)
 same => n,Return()
exten => h,1,Set(IN_H=${IN_H}own-h)
 same => n,Set(ARGUMENT=${ARG1})

[any-h]
exten => _.,1,GotoIf($["${EXTEN}" = "h"]?h)
 same => n,Gosub(callsign-skarabee,s,1(056528998))
 same => n,Set(WENTON=yes)
 same => n,Hangup()
 same => n(h),Set(IN_H=${IN_H}any-h)
"""


@pytest.mark.parametrize(
    ("exten", "context", "ran", "argument"),
    [
        ("skarabee", "with-h", "with-h", ""),
        ("record", "with-h", "with-h", ""),
        ("nested", "with-h", "with-h", ""),
        ("own", "with-h", "own-h", "outer"),
        ("go", "any-h", "any-h", ""),
        ("go", "without-h", "", ""),
    ],
)
def test_a_caller_who_hangs_up_in_a_subroutine_gets_to_the_h_of_who_called_it(
    asterisk: RealAsterisk, exten: str, context: str, ran: str, argument: str
) -> None:
    before = asterisk.mark()
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = {"CALLSIGN_AGI": f"agi://127.0.0.1:{server.getsockname()[1]}"}
        report = ["IN_H", "ARGUMENT", "TEXT", "WENTON"]
        call = asterisk.start(exten, context, variables=given, callerid=("Bob", "056528999"), report=report)
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as session:
            while session.readline().strip():  # all that is sent is read: else the end would be a reset
                pass
            mark = asterisk.mark_events()
            call.hangup()
            asterisk.wait_event(lambda event: event["Event"] == "HangupRequest", since=mark)
    assert call.wait().variables == {"IN_H": ran, "ARGUMENT": argument, "TEXT": "", "WENTON": ""}
    assert asterisk.warnings(before) == []
