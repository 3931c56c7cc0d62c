"""Looks for bytes that a session cannot bear, guided by what they reach in the code; by hand, for minutes.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris -r agi/requirements.txt    (CPython 3.11 to 3.13)
    mkdir /tmp/found
    PYTHONPATH=agi /tmp/fuzz/bin/python tests/faults/fuzz_session.py /tmp/found tests/faults/corpus \\
        -max_total_time=300 -max_len=2500 -timeout=5

A finding ends the run and lies in a crash-* file.  What reaches something new becomes test data, of which
`test_session_corpus.py` replays every file:

    PYTHONPATH=agi /tmp/fuzz/bin/python tests/faults/fuzz_session.py -merge=1 -max_len=2500 \\
        tests/faults/corpus /tmp/found

The files that have a name were written by hand; `session_play.py` tells what their bytes mean.
"""

from __future__ import annotations

import sys
import tempfile

import atheris

with atheris.instrument_imports(include=["callsign"]):
    from session_play import play

CHUNKS = (4096, 16)

WORDS = (
    *("agi_network: yes", "agi_network_script: ", "agi_callerid: ", "agi_threadid: 1", "agi_arg_1: ", "wait="),
    *("200 result=", "result=-1 (hangup)", "(timeout) endpos=", "HANGUP", "100 Trying", "tag=", "phoneto="),
    *("510 ", "511 ", "520-", "520 End", r"\x0a", r"\x0a\x0a", r"\xff", r"\xfe", "\\\\", r"\"", "unknown"),
)


def one_input(sent: bytes) -> None:
    for chunk in CHUNKS:
        play(sent, chunk)


def main() -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".dict") as words:
        words.writelines(f'"{word}"\n' for word in WORDS)
        words.flush()
        again = f"{sys.executable} {sys.argv[0]}"  # -merge hands this to a shell
        atheris.Setup([again, *sys.argv[1:], f"-dict={words.name}"], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
