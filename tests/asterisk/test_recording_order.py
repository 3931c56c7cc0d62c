"""One recording, two channels of a real Asterisk, an outage: the stop never overtakes the start."""

from __future__ import annotations

from pathlib import Path

from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from product import Product, vendor_sections
from real_asterisk import RealAsterisk

DIALPLAN = """
[command]
exten => go,1,AGI(${CALLSIGN_AGI}/noojee/${WHAT}?wait=0,1700000000.77)
 same => n,Set(WENTON=yes)
exten => wait,1,AGI(${CALLSIGN_AGI}/noojee/${WHAT}?wait=60,1700000000.77)
 same => n,Set(WENTON=yes)
"""


def test_a_stop_on_another_channel_waits_for_the_start_of_its_recording(asterisk: RealAsterisk, tmp_path: Path) -> None:
    with (
        Sandbox(accounts={"skarabee": {}, "noojee": {"key": "recorder-key", "auth": "hash"}}) as box,
        Product(tmp_path, vendor_sections(box)) as server,
    ):
        box.trouble["noojee"] = Trouble(http_status=503)
        for what in ("start", "stop"):
            variables = {"CALLSIGN_AGI": server.url, "WHAT": what}
            result = asterisk.call("go", "command", variables=variables, report=["NOOJEESTATUS", "WENTON"])
            assert result.variables == {"NOOJEESTATUS": "QUEUED", "WENTON": "yes"}
            server.wait_log(lambda line: "action=noojee/start attempt=1 TRY LATER" in line)
        del box.trouble["noojee"]
        assert box.wait_for(lambda seen: any(one.path.endswith("/stop") for one in seen), 30)
        asked = [one.path.rpartition("/")[2] for one in box.seen if one.path != "/Time"]
        done = asked[: asked.index("stop") + 1]
        assert done == ["start"] * (len(done) - 1) + ["stop"]
        assert len(done) > 1
        assert box.seen[-1].verdict == "OK"


def test_no_call_waits_for_a_recorder_that_refuses_connections(asterisk: RealAsterisk, tmp_path: Path) -> None:
    with (
        Sandbox(accounts={"skarabee": {}, "noojee": {"key": "recorder-key", "auth": "hash"}}) as box,
        Product(tmp_path, vendor_sections(box)) as server,
    ):
        box.stop()
        for what in ("start", "stop", "start", "stop"):
            variables = {"CALLSIGN_AGI": server.url, "WHAT": what}
            result = asterisk.call(
                "wait", "command", variables=variables, report=["NOOJEESTATUS", "WENTON"], timeout=30
            )
            assert result.variables == {"NOOJEESTATUS": "QUEUED", "WENTON": "yes"}
