"""Steps for tests, as Asterisk's `agi_*` lines and AGI arguments give them."""

from __future__ import annotations

from callsign.dialplan_step import Step, read_step

CALLER = "0478123456"
UNIQUE_ID = "1700000000.1"


def a_step(request: str, *args: str, **env: str) -> Step:
    """`AGI(agi://…/request,args…)` on an inbound call to extension 201; `env` changes its `agi_*` lines."""
    lines = {
        "agi_network_script": request,
        "agi_callerid": CALLER,
        "agi_callingpres": "0",
        "agi_dnid": "unknown",
        "agi_extension": "201",
        "agi_uniqueid": UNIQUE_ID,
    }
    return read_step({**lines, **env}, args)
