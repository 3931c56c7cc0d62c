"""agi/requirements.lock: exactly what is installed, and from nowhere in particular."""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from product import PROJECT

LOCK = (PROJECT / "agi/requirements.lock").read_text(encoding="utf-8")
LOCKED = dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+) \\$", LOCK))


def test_what_is_locked_is_what_is_asked_for() -> None:
    lines = (PROJECT / "agi/requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = [Requirement(line) for line in (line.partition("#")[0].strip() for line in lines) if line]
    assert asked
    for wanted in asked:
        assert wanted.specifier.contains(LOCKED[canonicalize_name(wanted.name)], prereleases=True), wanted


def test_each_package_has_an_exact_version_and_hashes_and_no_line_says_where_it_comes_from() -> None:
    entry = r"[a-z0-9-]+==[0-9a-z.]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    heading, _, entries = LOCK.partition("\n")
    assert re.fullmatch(f"({entry})+", entries)
    assert heading.startswith("#")
    assert "://" not in heading
