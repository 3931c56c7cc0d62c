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
    ends = [end for chunk in CHUNK_SIZES if (end := play(sent, chunk)) is not None]
    assert len({bool(fault) for _, fault in ends}) < 2
    assert all(facts == ends[0][0] for facts, fault in ends if not fault)


def test_most_files_hold_a_session_and_some_hold_none_or_a_forged_one() -> None:
    """Else the test above would say nothing: a session that is refused is in its bounds."""
    ends = [play(file.read_bytes(), CHUNK_SIZES[0]) for file in CORPUS]
    good = sum(end is not None and not end[1] for end in ends)
    forged = sum(end is not None and bool(end[1]) for end in ends)
    assert good >= 30
    assert forged >= 30
    assert ends.count(None) >= 30


@pytest.mark.parametrize(
    ("name", "facts", "is_forged"),
    [
        ("block-and-replies", 24, False),
        ("latin-1", 22, False),
        ("number-with-a-forged-end", 9, True),
        ("line-too-long", 3, True),
    ],
)
def test_what_the_files_that_have_a_name_come_to(name: str, facts: int, is_forged: bool) -> None:
    end = play((Path(__file__).parent / "corpus" / name).read_bytes(), 16)
    assert end
    assert (len(end[0]), bool(end[1])) == (facts, is_forged)
