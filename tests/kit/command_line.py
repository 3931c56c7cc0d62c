"""The `callsign` command in the test's own process: the same main(), without the time that a process takes to start.

`serve` and `sandbox`, which change signals and logging of the process they run in, get one of their own; so
does, by its test, what is about a process: signals, closed files, encodings.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from unittest.mock import patch

from callsign.commands.main import main
from product import COMMAND, LONG_SECONDS


def callsign(*arguments: str | bytes, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """What `callsign ARGUMENTS` prints, and its exit status; `env` is the whole environment, if given."""
    words = [os.fsdecode(word) for word in arguments]
    if words[:1] in (["serve"], ["sandbox"]):
        command = [sys.executable, str(COMMAND), *words]
        return subprocess.run(command, capture_output=True, timeout=LONG_SECONDS, check=False, env=env)
    outputs = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    environment = patch.dict(os.environ, env if env is not None else {}, clear=env is not None)
    with environment, patch.object(sys, "stdout", outputs[0]), patch.object(sys, "stderr", outputs[1]):
        try:
            status = main(words)
        except SystemExit as end:  # argparse, as the interpreter would take it
            status = end.code if isinstance(end.code, int) else 0
    told, complained = (output.buffer.getvalue() for output in outputs)  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(words, status, told, complained)


def callsign_text(*arguments: str | bytes, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The same as text."""
    done = callsign(*arguments, env=env)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
