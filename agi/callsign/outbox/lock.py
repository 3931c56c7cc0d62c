"""flock(2) on a file beside the store: the kernel frees it when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FIRST_PAUSE_SECONDS = 0.0002  # between two tries: others hold the lock for a commit, mostly
LONGEST_PAUSE_SECONDS = 0.005  # each pause is twice the one before, up to this


class FileLock:
    """An exclusive lock between processes.  Not for threads of one process: give each its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def try_now(self) -> bool:
        """Takes the lock if nobody has it.  Raises OSError if the file cannot be made."""
        while True:
            if self._fd is None:
                self._fd = open_or_make(self.path)
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if os.fstat(self._fd).st_nlink:
                return True
            self.close()  # somebody has removed the file: whoever comes now would lock a new one

    def release(self) -> None:
        """Gives the lock back; harmless without it."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the lock back for good."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @contextmanager
    def held(self, patience_seconds: float) -> Iterator[None]:
        """The lock for the body of a `with`.  Raises TimeoutError when others keep it too long.

        Short tries instead of a blocking flock, which knows no time limit.
        """
        end = time.monotonic() + patience_seconds
        pause = FIRST_PAUSE_SECONDS
        while not self.try_now():
            if time.monotonic() >= end:
                raise TimeoutError(f"another process has kept {self.path} locked for {patience_seconds:g} s")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        try:
            yield
        finally:
            self.release()


def open_or_make(path: Path) -> int:
    """A file descriptor of `path`; a new file is for its owner and the folder's group.  Raises OSError."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    try:
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o660)
    except FileExistsError:  # another process was quicker
        return os.open(path, flags)
    share(fd, path.parent)
    return fd


def share(file: int | Path, folder: Path) -> None:
    """Lets all of the folder's group use a new file of ours, whatever the umask and our own group.

    What root makes belongs to the owner of the folder too: `sudo callsign jobs` must not leave a file
    behind that keeps the server out of its own store.
    """
    os.chmod(file, 0o660)
    owner = os.stat(folder)
    with suppress(PermissionError):  # not one of that group: then the folder is this user's alone
        os.chown(file, owner.st_uid if os.geteuid() == 0 else -1, owner.st_gid)
