"""What the fuzzer found to reach something in a session, replayed: see `fuzz_session.py` and `session_play.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from session_play import play

pytestmark = pytest.mark.faults

CHUNK_SIZES = (4096, 16, 1)
CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_no_bytes_bring_a_session_out_of_its_bounds_and_its_facts_are_the_same_however_they_come(file: Path) -> None:
    sent = file.read_bytes()
    facts = [known for chunk in CHUNK_SIZES if (known := play(sent, chunk)) is not None]
    assert all(known == facts[0] for known in facts)
