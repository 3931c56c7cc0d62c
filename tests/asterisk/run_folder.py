"""A folder of a test run's own inside an Asterisk root. A killed run's folder is removed by the next one."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

_numbers = count(1)


class RunFolder:
    """`ROOT/callsign-<pid>-<n>/`, held by a lock that the kernel frees however this process ends."""

    def __init__(self, root: Path) -> None:
        self._root = root
        with _door(root):
            for folder in root.glob("callsign-*-*"):
                if re.fullmatch(r"callsign-\d+-\d+", folder.name):
                    _remove_unless_held(folder)
            self.path = root / f"callsign-{os.getpid()}-{next(_numbers)}"
            self.path.mkdir()
            self._lock = open(self.path / "lock", "w")  # noqa: SIM115 (open is what holds it)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        with _door(self._root):  # nobody is to look into it meanwhile
            remove_tree(self.path)
        self._lock.close()


@contextmanager
def _door(root: Path) -> Iterator[None]:
    with open(root / ".callsign.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


REMOVALS = 50


def remove_tree(folder: Path) -> None:
    """Removes a folder, unless something is mounted in it: that would not be ours to delete."""
    mounted = mounts_below(folder)
    if mounted:
        raise RuntimeError(f"{folder} is left as it is: {', '.join(map(str, mounted))} is mounted there")
    for _ in range(REMOVALS):  # a plain script that still delivers may make or remove files meanwhile
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    shutil.rmtree(folder)


def mounts_below(folder: Path) -> list[Path]:
    """The mount points at or below a folder, as the kernel lists them."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    points = (re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4]) for line in lines)
    return [Path(point) for point in points if Path(point).is_relative_to(folder.resolve())]


def _remove_unless_held(folder: Path) -> None:
    try:
        with open(folder / "lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(folder)
    except BlockingIOError:
        pass  # a run that goes on beside this one
