"""The running Python, copied into an Asterisk root: the root's own may be too old or lack our packages.

The copy brings its own shared libraries and dynamic loader, so it runs beside any C library. It is kept in
the root, by version and packages, and made anew only when one of them changes.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from run_folder import remove_tree

# Not needed to run a script, and half of the library's size.
LEFT_OUT = shutil.ignore_patterns(
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "_test*", "idle_test", "idlelib"),
    *("tkinter", "_tkinter*", "turtledemo", "ensurepip", "lib2to3", "config-*", "_ctypes_test*", "*.a"),
)


def install_script(root: Path, folder: Path, project: Path, config: str, name: str) -> None:
    """Copies the project's plain script and package into the run's folder, and a starter into its agi-bin."""
    python = install_python(root, project / "agi/requirements.txt")
    inside = f"/{folder.relative_to(root)}"
    shutil.copytree(project / "agi", folder / "project/agi", ignore=LEFT_OUT, dirs_exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    (folder / "etc/callsign.toml").write_text(config.replace("{folder}", f"{inside}/data"))
    (folder / "etc/callsign.toml").chmod(0o600)
    write_program(
        folder / "agi-bin" / name,
        f"export CALLSIGN_CONFIG={inside}/etc/callsign.toml\n"
        f'exec {python} {inside}/project/agi/agi-bin/callsign.agi "$@"\n',
    )


def install_python(root: Path, requirements: Path) -> str:
    """A program, as the root sees it, that runs this Python with the packages that `requirements` names."""
    packages = distributions(requirements.read_text())
    named = sorted(f"{package.metadata['Name']} {package.version}" for package in packages)
    key = hashlib.sha256("\n".join([sys.version, sys.base_prefix, *named]).encode()).hexdigest()[:12]
    inside = f"/callsign-python/{key}"
    there = root / inside.lstrip("/")
    there.parent.mkdir(exist_ok=True)
    with open(there.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not there.exists():
            half_made = there.with_name(f"{key}.part")
            if half_made.exists():
                remove_tree(half_made)
            _copy_python(half_made, inside, packages)
            half_made.rename(there)
    return f"{inside}/python"


def distributions(requirements: str) -> list[importlib.metadata.Distribution]:
    """The installed packages that a requirements file names, and those that they need, extras left out."""
    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = [line.split("#")[0].strip() for line in requirements.splitlines()]
    while wanted:
        line = wanted.pop()
        match = re.match(r"[A-Za-z0-9._-]+", line)
        if not match or "extra ==" in line or match[0].lower() in found:
            continue
        try:
            package = importlib.metadata.distribution(match[0])
        except importlib.metadata.PackageNotFoundError:
            if ";" in line:  # not for this Python or system
                continue
            raise
        found[match[0].lower()] = package
        wanted += package.requires or []
    return list(found.values())


def _copy_python(folder: Path, inside: str, packages: list[importlib.metadata.Distribution]) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    program = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    copied = folder / "lib" / library.name
    shutil.copytree(library, copied, ignore=LEFT_OUT)
    (folder / "bin").mkdir()
    shutil.copy2(program, folder / "bin/python")
    site = folder / "packages"
    for package in packages:
        for file in package.files or []:
            if ".." not in file.parts and file.suffix != ".pyc":
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(package.locate_file(file)), site / file)
    loader = copy_libraries(folder, [program, *copied.rglob("*.so"), *site.rglob("*.so")])
    # The kernel cannot start the copy, its loader being elsewhere: sys.executable names the starter.
    (site / "sitecustomize.py").write_text(f'import sys\nsys.executable = "{inside}/python"\n')
    write_program(
        folder / "python",
        f"export PYTHONHOME={inside} PYTHONPATH={inside}/packages\n"
        f'exec {inside}/libraries/{loader} --library-path {inside}/libraries {inside}/bin/python "$@"\n',
    )


def copy_libraries(folder: Path, binaries: list[Path]) -> str:
    """Copies every shared library that the binaries need; returns the dynamic loader's name."""
    (folder / "libraries").mkdir()
    loader = ""
    asked = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True)
    for line in asked.stdout.splitlines():
        path = re.search(r"(/\S+) \(0x", line)
        if path is None:
            continue
        name = Path(path[1]).name
        if name.startswith(("ld-linux", "ld64", "ld-musl")):
            loader = name
        if not (folder / "libraries" / name).exists():
            shutil.copy2(path[1], folder / "libraries" / name)
    if not loader:
        raise RuntimeError(f"ldd names no dynamic loader for {binaries[0]}: {asked.stdout}{asked.stderr}")
    return loader


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
