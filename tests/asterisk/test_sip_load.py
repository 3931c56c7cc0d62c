"""A thousand calls by SIP, fifty a second: each is told once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ami import EVENTS
from real_asterisk import RealAsterisk
from sip_stage import LAST, TOLD_AND_OVER, sip_stage, stage_files

FILES = stage_files("extensions_callsign.conf")
DIALPLAN = (
    TOLD_AND_OVER
    + """
#include extensions_callsign.conf
exten => _0565XXXXX,1,Gosub(callsign-skarabee,s,1)
 same => n,Hangup()
"""
)
CALLS = 1000
A_SECOND = 50


def test_each_of_a_thousand_calls_at_fifty_a_second_is_told_once(asterisk: RealAsterisk, tmp_path: Path) -> None:
    numbers = [f"0565{number:05}" for number in range(CALLS)]
    with sip_stage(asterisk, tmp_path) as stage, without_events(asterisk):
        began = time.monotonic()
        calls = []
        for number in numbers:
            time.sleep(max(0.0, began + len(calls) / A_SECOND - time.monotonic()))  # the pace is what is played here
            calls.append(stage.trunk.call(number, caller="0478123456"))
        for call in calls:
            call.wait_end()
        stage.trunk.call(LAST[1], caller=LAST[0]).wait_end()
        assert stage.box.wait_for(lambda seen: len(seen) > CALLS, 60), len(stage.box.seen)
        told = Counter(seen.query["phoneto"] for seen in stage.box.seen)
    assert told == Counter([*numbers, LAST[1]])


@contextmanager
def without_events(asterisk: RealAsterisk) -> Iterator[None]:
    """Nobody reads a manager's events: a thousand calls' would fill its queue, and PJSIP then ignores new calls."""
    asterisk.action("Events", EventMask="off")
    try:
        yield
    finally:
        asterisk.action("Events", EventMask=EVENTS)
