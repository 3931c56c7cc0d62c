"""agi/requirements.lock and the one for [cluster]: exactly what is installed, and from nowhere in particular."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from product import PROJECT

NAMES = ("requirements", "requirements-cluster")


def lock(name: str) -> str:
    return (PROJECT / f"agi/{name}.lock").read_text(encoding="utf-8")


def locked(name: str) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([a-z0-9-]+)==(\S+) \\$", lock(name)))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_locked_is_what_is_asked_for(name: str) -> None:
    lines = (PROJECT / f"agi/{name}.txt").read_text(encoding="utf-8").splitlines()
    asked = [Requirement(line) for line in (line.partition("#")[0].strip() for line in lines) if line]
    assert asked
    for wanted in asked:
        assert wanted.specifier.contains(locked(name)[canonicalize_name(wanted.name)], prereleases=True), wanted


@pytest.mark.parametrize("name", NAMES)
def test_each_package_has_an_exact_version_and_hashes_and_no_line_says_where_it_comes_from(name: str) -> None:
    entry = r"[a-z0-9-]+==[0-9a-z.]+( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    heading, _, entries = lock(name).partition("\n")
    assert re.fullmatch(f"({entry})+", entries)
    assert heading.startswith("#")
    assert "://" not in heading


def test_what_a_cluster_adds_comes_with_a_libpq_and_contradicts_nothing_of_the_other_lock() -> None:
    both, first = {**locked("requirements"), **locked("requirements-cluster")}, locked("requirements")
    assert {name: both[name] for name in first} == first
    assert locked("requirements-cluster")["psycopg"] == locked("requirements-cluster")["psycopg-binary"]
