"""A thousand calls by SIP, twenty at once: each is told once."""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path

from real_asterisk import RealAsterisk
from sip_phone import Dialog
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
AT_ONCE = 20


def test_each_of_a_thousand_calls_is_told_once(asterisk: RealAsterisk, tmp_path: Path) -> None:
    numbers = [f"0565{number:05}" for number in range(CALLS)]
    with sip_stage(asterisk, tmp_path) as stage:
        under_way: deque[Dialog] = deque()
        for number in numbers:
            if len(under_way) == AT_ONCE:
                under_way.popleft().wait_end()
            under_way.append(stage.trunk.call(number, caller="0478123456"))
        for call in under_way:
            call.wait_end()
        stage.trunk.call(LAST[1], caller=LAST[0]).wait_end()
        assert stage.box.wait_for(lambda seen: len(seen) > CALLS, 60), len(stage.box.seen)
        told = Counter(seen.query["phoneto"] for seen in stage.box.seen)
    assert told == Counter([*numbers, LAST[1]])
