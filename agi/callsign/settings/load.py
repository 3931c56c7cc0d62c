"""callsign.toml, and callsign.d beside it -> frozen settings; every fault named with its file, section and key."""

from __future__ import annotations

import os
import stat
import time
import zlib
from pathlib import Path
from typing import Any

from callsign.phone_numbers import knows_country
from callsign.record import replace
from callsign.settings import text as config_text
from callsign.settings.cross_check import cross_check
from callsign.settings.sections import SECTIONS, Settings
from callsign.settings.together import put_together
from callsign.settings.walk import Walk, open_to_others

DEFAULT_PATH = "/etc/callsign/callsign.toml"
FOLDER = "callsign.d"
"""Beside the settings file: its files, *.toml, add sections and offices."""

SETTLE_SECONDS = 0.3
"""A file that was changed more recently may still be being written: it is looked at again."""

MOST_LOOKS = 10  # at a file that is written to without end


class ConfigError(Exception):
    """The settings cannot be used; `faults` has one line for each thing to mend."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def path_of(option: str | None) -> Path:
    """Which file: the `--config` option, else $CALLSIGN_CONFIG, else /etc/callsign/callsign.toml."""
    return Path(option or os.environ.get("CALLSIGN_CONFIG") or DEFAULT_PATH)


def load(path: Path, check_country: bool = False) -> tuple[Settings, list[str]]:
    """The settings in `path` and the folder beside it, and warnings.  Raises ConfigError with every fault at once.

    `check_country` also looks up the country in the numbering plans, which take 50 ms to load: the server
    and `check` do, a plain AGI script that only stores a notification does not.
    """
    warnings: list[str] = []
    faults: list[str] = []
    trees: dict[Path, dict[str, Any]] = {}
    stamps: list[object] = []
    for file in (path, *_in_folder(path.parent / FOLDER, faults)):
        try:
            content, found, read = _settled(file)
            stamps.append((file.name, *read))
            trees[file] = config_text.tree(content, SECTIONS)
            warnings += found
        except OSError as fault:
            hint = "--config or $CALLSIGN_CONFIG can name another" if file == path else "mend it, or take it away"
            if isinstance(fault, PermissionError):
                hint = "take sudo, or let this user read it"
            faults.append(f"{file}: cannot be read: {fault.strerror}; {hint}")
        except ValueError as fault:
            faults.append(f"{file}: {fault}")
    if faults:
        raise ConfigError(faults)
    walk = Walk(path)
    settings = put_together(trees, walk)
    if not walk.faults:
        cross_check(settings, walk)
    walk.file = path
    if check_country and not knows_country(settings.numbers.country):
        walk.fault("[numbers] country", f'no numbering plan is known for "{settings.numbers.country}"')
    if walk.faults:
        raise ConfigError(walk.faults)
    others = tuple(file for file in trees if file != path)
    stamps += [(str(file), *_stamp(file.stat())) for file in dict.fromkeys(walk.files)]
    stamp = f"{zlib.crc32(repr(stamps).encode()):08x}"
    loaded = replace(settings, source=str(path), files=tuple(walk.files), folder=others, stamp=stamp)
    return loaded, warnings + walk.warnings


def places(path: Path) -> Settings:
    """Where server and store are, as far as files say so that cannot be used as a whole.  Never raises."""
    found: dict[str, Any] = {}
    for file in (path, *_in_folder(path.parent / FOLDER, [])):
        try:
            tree = config_text.tree(file.read_bytes(), SECTIONS)
        except (OSError, ValueError):
            continue
        for name in ("server", "outbox"):
            keys = tree.get(name)
            if not isinstance(keys, dict) or name in found:
                continue
            kind = SECTIONS[name]
            good = {key: v for key, v in keys.items() if Walk(file).section(kind, name, {key: v}) is not None}
            found[name] = Walk(file).section(kind, name, good)
    return Settings(source=str(path), **found)


def _stamp(read: os.stat_result) -> tuple[int, int]:
    return read.st_mtime_ns, read.st_size


def _in_folder(folder: Path, faults: list[str]) -> list[Path]:
    """The folder's files, in the order of their names; those that begin with a dot are an editor's."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as fault:
        faults.append(f"{folder}: cannot be read: {fault.strerror}; it is the folder of further settings")
        return []
    return [folder / name for name in names if name.endswith(".toml") and not name.startswith(".")]


def _settled(path: Path) -> tuple[bytes, list[str], tuple[int, int]]:
    """What is in the file once nobody has written to it for `SETTLE_SECONDS`, warnings, its stamp.  Raises OSError."""
    for _ in range(MOST_LOOKS):
        with path.open("rb") as file:
            warnings = open_to_others(path, file.fileno())
            content = file.read()
            read = os.fstat(file.fileno())
        age = time.time() - read.st_mtime
        if abs(age) >= SETTLE_SECONDS or not stat.S_ISREG(read.st_mode):  # what comes through a pipe comes once
            break
        time.sleep(SETTLE_SECONDS - abs(age))
    return content, warnings, _stamp(read)
