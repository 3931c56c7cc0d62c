"""The keys in the settings: given there or in a file of their own, and told by nothing that callsign writes."""

from __future__ import annotations

import codecs
import os
import re
import stat
import threading
from pathlib import Path

import pytest

from callsign.settings import load as config
from callsign.settings.secret import Secret
from settings_file import NOOJEE, SECRETS, SKARABEE, faults, load, whole, write

SEEN = ": must be one line of visible characters"


@pytest.mark.parametrize(
    ("section", "key"),
    [("skarabee", "key"), ("noojee", "key"), ("mor", "key"), ("kalliope", "password"), ("sraps", "key_secret")],
)
def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path, section: str, key: str) -> None:
    file = write(tmp_path, "\ufeff the-key-of-the-file \r\n", "key")  # as an editor on Windows leaves it
    head, _, rest = whole(tmp_path).partition(f"[{section}]\n")
    changed = re.sub(rf'^{key} = ".*"$', f'{key}_file = "{file}"', rest, count=1, flags=re.MULTILINE)
    read = getattr(load(tmp_path, f"{head}[{section}]\n{changed}"), section)
    assert getattr(read, key) == Secret("the-key-of-the-file")


def test_an_office_may_have_its_key_in_a_file(tmp_path: Path) -> None:
    file = write(tmp_path, "office-key\n", "key")
    read = load(tmp_path, SKARABEE + f'[[skarabee.office]]\nbusinessid = "1"\nkey_file = "{file}"').skarabee
    assert read is not None
    assert read.office[0].key == Secret("office-key")


def test_a_key_file_that_gives_no_key_says_why(tmp_path: Path) -> None:
    section = '[noojee]\nurl = "https://pbx.example"\nkey_file = "{}"\n'
    cases = {
        tmp_path / "none": "cannot be read: No such file or directory",
        tmp_path: "is no regular file",
        Path("/dev/zero"): "is no regular file",
        write(tmp_path, "", "empty"): ": must not be empty",
        write(tmp_path, " \n", "blank"): ": must not be empty",
        write(tmp_path, "one\ntwo\n", "lines"): ": must be one line of visible characters: character 4 is U+000A",
        write(tmp_path, "x" * 4097, "large"): "is too large for a key",
    }
    for name, content, reason in (
        ("latin", b"the\nk\xe9y", ": line 2 holds a byte that is not UTF-8: save it as UTF-8"),
        ("utf-16", "the-key".encode("utf-16"), ": is UTF-16: save it as UTF-8"),
        ("utf-16-be", "the-key".encode("utf-16-be"), ": line 1 holds a NUL, as UTF-16 has them: save it as UTF-8"),
        ("two-boms", codecs.BOM_UTF8 * 2 + b"the-key", f"{SEEN}: character 1 is U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("pasted", "the\u200b-key".encode(), f"{SEEN}: character 4 is U+200B ZERO WIDTH SPACE"),
    ):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
        cases[tmp_path / name] = reason
    for path, reason in cases.items():
        (found,) = faults(tmp_path, section.format(path))
        assert found.startswith("[noojee] key_file: ")
        assert found.endswith(f"{path} {reason}".replace(" : ", ": "))


@pytest.mark.parametrize("key", ["key_file", "verify"])
def test_a_pipe_is_refused_and_not_waited_for(key: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ended: list[list[str]] = []
    secret = "" if key == "key_file" else 'key = "k"\n'
    text = f'[noojee]\nurl = "https://pbx.example"\n{secret}{key} = "{pipe}"\n'
    thread = threading.Thread(target=lambda: ended.append(faults(tmp_path, text)), daemon=True)
    thread.start()
    thread.join(30)
    assert ended == [[f"[noojee] {key}: {pipe} is no regular file"]]


def test_a_key_may_have_as_many_bytes_as_there_are_looked_at(tmp_path: Path) -> None:
    file = write(tmp_path, "x" * 4096, "key")
    section = load(tmp_path, f'[noojee]\nurl = "https://pbx.example"\nkey_file = "{file}"\n').noojee
    assert section is not None
    assert section.key == Secret("x" * 4096)


def test_a_secret_given_twice_is_a_fault(tmp_path: Path) -> None:
    file = write(tmp_path, "another", "key")
    assert faults(tmp_path, NOOJEE + f'key_file = "{file}"') == ["[noojee] key: given twice, as key and as key_file"]


def test_a_key_written_where_its_file_belongs_is_not_repeated(tmp_path: Path) -> None:
    found = faults(tmp_path, '[noojee]\nurl = "https://pbx.example"\nkey_file = "s3cr3t"')
    assert "s3cr3t" not in "".join(found)


@pytest.mark.parametrize(
    "swapped",
    [
        '[skarabee]\nurl = "https://x.example"\nkey = "8103"\nbusinessid = "{}"',
        '[skarabee]\nurl = "{}"\nkey = "8103"\nbusinessid = "8103"',
        '[noojee]\nurl = "https://x.example"\nkey = "k"\nauth = "{}"',
        '[noojee]\nurl = "https://x.example"\nkey = "k"\nverify = "{}"',
        '[numbers]\ninternal = ["{}"]',
        '[numbers]\ncountry = "{}"',
        '[server]\nallow = ["{}"]',
        '[server]\nlisten = "{}"',
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(tmp_path: Path, swapped: str) -> None:
    key = "326C4EA6636911C0537F"
    assert key not in "".join(faults(tmp_path, swapped.format(key)))


def test_no_repr_of_the_settings_shows_a_secret(tmp_path: Path) -> None:
    read = load(tmp_path, whole(tmp_path))
    shown = f"{read!r} {read} {[read.skarabee, read.noojee, read.mor, read.kalliope, read.sraps, read.cluster]}"
    assert len(SECRETS) == 7
    assert not any(secret in shown for secret in SECRETS)


def test_a_file_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    file = write(tmp_path, "the-key", "key")
    path = write(tmp_path, f'[noojee]\nurl = "https://pbx.example"\nkey_file = "{file}"\n')
    for mode, others in ((0o600, False), (0o640, False), (0o660, False), (0o644, True), (0o602, True)):
        for changed in (path, file):
            changed.chmod(mode)
            _, warnings = config.load(path)
            about = f"{changed}: others on this machine can read it; chmod 640 {changed}"
            assert warnings == ([about] if others else [])
            changed.chmod(stat.S_IRUSR | stat.S_IWUSR)
