"""The running Python as an administrator could bring it to a machine whose own is too old: one folder, anywhere.

It brings its libraries and its loader.  Its program is a script that starts the loader under the name it was
itself called by, so that a virtual environment made of it is one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from chroot_python import copy_libraries, write_program

LEFT_OUT = shutil.ignore_patterns(
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "_test*", "idle_test", "idlelib"),
    *("tkinter", "_tkinter*", "turtledemo", "lib2to3", "config-*", "_ctypes_test*", "*.a"),
)


def portable_python(cache: Path) -> Path:
    """A folder whose `bin/python3` runs; made once."""
    key = hashlib.sha256(f"{sys.version} {sys.base_prefix} compiled".encode()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "portable-python.lock"):
        there = cache / f"portable-python-{key}"
        if not there.exists():
            half_made = cache / f"portable-python-{key}.part"
            shutil.rmtree(half_made, ignore_errors=True)
            _make(half_made)
            half_made.rename(there)
    return there


def wheels(cache: Path, *locks: Path) -> Path:
    """A folder with all that the product needs at run time, filled as README says; made once."""
    texts = "".join(lock.read_text() for lock in locks)
    key = hashlib.sha256(f"{sys.version} {texts}".encode()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "wheels.lock"):
        there = cache / f"wheels-{key}"
        if not there.exists():
            half_made = cache / f"wheels-{key}.part"
            shutil.rmtree(half_made, ignore_errors=True)
            download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            only = ["--only-binary", ":all:", "--require-hashes"]
            wanted = [word for lock in locks for word in ("-r", str(lock))]
            subprocess.run([*download, *only, "--dest", str(half_made), *wanted], check=True)
            half_made.rename(there)
    return there


class locked:
    """One test process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = open(self._path, "w")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def _make(folder: Path) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    copied = folder / "lib" / library.name
    shutil.copytree(library, copied, ignore=LEFT_OUT)
    (folder / "bin").mkdir()
    shutil.copy2(program, folder / "bin/program")
    loader = copy_libraries(folder, [program, *copied.rglob("*.so")])
    for name in ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"):  # glibc's, which packages may ask for
        shutil.copy2(_beside_libc(name), folder / "libraries" / name)
    write_program(
        folder / "bin/python3",
        'here=$(dirname "$(dirname "$(readlink -f "$0")")")\n'
        f'exec "$here/libraries/{loader}" --library-path "$here/libraries" --argv0 "$0" "$here/bin/program" "$@"\n',
    )
    # A service may not write there: it would compile all that it imports at each start.
    subprocess.run([folder / "bin/python3", "-m", "compileall", "-q", copied], env={"PATH": os.defpath}, check=True)


def _beside_libc(name: str) -> Path:
    maps = Path("/proc/self/maps").read_text()
    libc = next(line.split()[-1] for line in maps.splitlines() if line.endswith("/libc.so.6"))
    return Path(libc).parent / name
