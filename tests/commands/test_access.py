"""What install.sh runs in the folders of settings and store: no file that somebody cannot use is overlooked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from product import PROJECT

ACCESS = PROJECT / "agi" / "callsign" / "commands" / "access.py"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="it is root who gives access")


def access(verb: str, folder: Path) -> int:
    command = [sys.executable, "-I", str(ACCESS), verb, "settings", "nobody"]
    return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False).returncode


@pytest.mark.parametrize("shut", ["a.toml", "b.toml", "c.toml"])
def test_one_file_that_is_shut_is_seen_whatever_comes_before_and_behind_it(tmp_path: Path, shut: str) -> None:
    for name in ("a.toml", "b.toml", "c.toml"):
        (tmp_path / name).touch(mode=0o600)
    assert access("look", tmp_path) == 1
    assert access("grant", tmp_path) == 0
    assert access("look", tmp_path) == 0
    (tmp_path / shut).chmod(0o600)
    assert access("look", tmp_path) == 1


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_leads_to_no_other_file(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    other, folder = tmp_path / "shadow", tmp_path / "folder"
    other.touch(mode=0o600)
    folder.mkdir()
    link(other, folder / "a.toml")
    before = other.stat()
    assert access("grant", folder) == 0
    assert (other.stat().st_mode, other.stat().st_gid) == (before.st_mode, before.st_gid)
    assert "system.posix_acl_access" not in os.listxattr(other)
