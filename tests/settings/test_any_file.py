"""Whatever lies at the settings' path: settings or faults come of it, never another exception, never a secret."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callsign.record import fields
from callsign.settings.load import ConfigError, load
from callsign.settings.sections import SECTIONS, Settings
from settings_file import SECRETS, WHOLE

LEAK = "LEAKED-SECRET-0123456789"


def _toml(value: Any) -> str:
    """`value` as TOML; JSON's strings are TOML's, but for one character."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")
    return str(value).lower()


key_names = sorted({f"{name}{end}" for kind in SECTIONS.values() for name in fields(kind) for end in ("", "_file")})
encodable = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF), max_size=20)
names = st.one_of(st.sampled_from([*key_names, *SECTIONS]), encodable)
words = ["", "/", "unix", "hash", "skip", "8103", "BE", "Europe/Brussels", "https://x.example", "2XX", "/dev/null"]
texts = st.one_of(encodable, st.sampled_from(words), st.sampled_from([LEAK, f"/none/{LEAK[:3]}", f"https://{LEAK}@x"]))
numbers = st.one_of(st.integers(), st.floats(), st.booleans(), st.sampled_from([10**4000]))
values = st.recursive(
    st.one_of(texts, numbers),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)
sections = st.dictionaries(st.sampled_from(key_names), values, max_size=8)
trees = st.dictionaries(st.one_of(st.sampled_from(list(SECTIONS)), names), st.one_of(sections, values), max_size=5)


in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(folder: Path, raw: bytes) -> tuple[Settings | None, list[str]]:
    """The settings and warnings, or none and the faults."""
    path = folder / "callsign.toml"
    path.write_bytes(raw)
    os.utime(path, (0, 0))  # nobody has just written to it
    try:
        return load(path)
    except ConfigError as refusal:
        return None, [str(refusal), *refusal.faults]


@in_one_folder
@given(trees)
def test_any_tree_is_settings_or_faults_of_one_line_without_a_secret(tmp_path: Path, tree: dict[str, Any]) -> None:
    text = "\n".join(_toml({name: value})[2:-2] for name, value in tree.items())
    found, lines = read(tmp_path, text.encode())
    assert found or lines
    assert all(line.isprintable() for line in lines)
    assert not any(LEAK in line for line in lines)
    assert LEAK not in repr([found.mor, found.noojee, found.kalliope, found.sraps] if found else "")
    assert not any("is no TOML" in line for line in lines)  # or this test tests nothing


@in_one_folder
@given(st.one_of(st.binary(), encodable.map(str.encode)))
def test_any_bytes_are_settings_or_faults_of_one_line(tmp_path: Path, raw: bytes) -> None:
    found, lines = read(tmp_path, raw)
    assert found or lines
    assert all(line.isprintable() for line in lines)


@in_one_folder
@given(
    st.integers(0, len(WHOLE)), st.sampled_from(['"', "\\", "\n", "[", "]", "=", "{", "}", "'", "\x00", "\x7f", ","])
)
def test_a_file_with_one_slip_never_tells_its_secrets(tmp_path: Path, at: int, slip: str) -> None:
    _, lines = read(tmp_path, (WHOLE[:at] + slip + WHOLE[at:]).encode())
    assert not any(secret in line for secret in SECRETS for line in lines)
