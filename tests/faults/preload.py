"""Libraries of C that stand between the server and its kernel: LD_PRELOAD for what a test starts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

HERE = Path(__file__).parent


def compiled(name: str, folder: Path) -> Path:
    """The library made from `name`.c beside this file, in `folder`."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.fail("no C compiler: this test needs one (Debian: apt-get install gcc libc6-dev)")
    library = folder / f"{name}.so"
    words = [
        compiler,
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Werror",
        "-o",
        str(library),
        str(HERE / f"{name}.c"),
        "-ldl",
    ]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return library


@contextmanager
def preloaded(library: Path, **environment: str) -> Iterator[None]:
    """What is started in the body of the `with` has `library` before its libc."""
    with patch.dict(os.environ, LD_PRELOAD=str(library), **environment):
        yield
