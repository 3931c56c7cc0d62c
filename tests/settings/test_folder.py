"""callsign.d/*.toml beside the settings file: sections and offices of their own, read with it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from callsign.settings import load as config
from callsign.settings.sections import Settings
from settings_file import NOOJEE, SKARABEE, write

ANTWERP = '[noojee.antwerp]\nkey = "antwerp-key"\n'
OFFICE = '[[skarabee.office]]\nbusinessid = "9001"\nkey = "k"\nname = "brugge"\nnumbers = ["050112233"]\n'


def put(folder: Path, name: str, text: str) -> Path:
    (folder / "callsign.d").mkdir(exist_ok=True)
    return write(folder / "callsign.d", text, name)


def load(folder: Path, main: str = NOOJEE) -> tuple[Settings, list[str]]:
    return config.load(write(folder, main))


def faults(folder: Path, main: str = NOOJEE) -> list[str]:
    with pytest.raises(config.ConfigError) as refusal:
        load(folder, main)
    return refusal.value.faults


def test_sections_and_offices_of_the_folder_are_read_with_the_file(tmp_path: Path) -> None:
    put(tmp_path, "antwerp.toml", ANTWERP)
    put(tmp_path, "brugge.toml", OFFICE)
    put(tmp_path, "mor.toml", '[mor]\nurl = "https://mor.example/api"\nuser = "admin"\nkey = "k"\n')
    read, warnings = load(tmp_path, NOOJEE + SKARABEE)
    assert read.accounts == ("skarabee", "skarabee.brugge", "noojee", "noojee.antwerp", "mor")
    assert read.section("noojee.antwerp").url == "https://pbx.example/rest"
    assert [path.name for path in read.folder] == ["antwerp.toml", "brugge.toml", "mor.toml"]
    assert warnings == []


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        put(tmp_path, f"{number:02}.toml", f'[noojee.a{number}]\nkey = "k"\n')
    assert load(tmp_path)[0].accounts == ("noojee", "noojee.a1", "noojee.a2", "noojee.a10")


def test_only_files_called_toml_count_and_none_that_is_hidden(tmp_path: Path) -> None:
    put(tmp_path, "antwerp.toml~", "no toml")
    put(tmp_path, ".antwerp.toml", "no toml")
    put(tmp_path, "antwerp.toml.bak", "no toml")
    (tmp_path / "callsign.d" / ".#antwerp.toml").symlink_to("me@here.1")  # an editor's lock
    assert load(tmp_path)[0].folder == ()


def test_each_fault_names_its_file(tmp_path: Path) -> None:
    first = put(tmp_path, "a.toml", "[noojee.a]\nkei = 1\n")
    second = put(tmp_path, "b.toml", '[nooje]\nurl = "x"\n[[skarabee.office]]\nbusinessid = "x"\nkey = "k"\n')
    found = faults(tmp_path, NOOJEE + SKARABEE.replace("8103", "x"))
    assert [line.partition(": ")[0] for line in found] == [
        str(tmp_path / "callsign.toml"),
        *[str(first)] * 2,
        *[str(second)] * 2,
    ]


def test_what_is_no_toml_names_its_file_and_all_such_are_told_at_once(tmp_path: Path) -> None:
    first, second = put(tmp_path, "a.toml", "[noojee"), put(tmp_path, "b.toml", "key\n")
    found = faults(tmp_path)
    assert [line.partition(": ")[0] for line in found] == [str(first), str(second)]


@pytest.mark.parametrize(
    ("main", "more", "what"),
    [
        (NOOJEE, NOOJEE, "[noojee]"),
        (NOOJEE, '[noojee]\nauth = "apikey"\n', "[noojee]"),
        (NOOJEE + ANTWERP, ANTWERP, "[noojee.antwerp]"),
        (NOOJEE + '[numbers]\ncountry = "NL"\n', '[numbers]\nformat = "e164"\n', "[numbers]"),
        (SKARABEE, "[skarabee]\nanonymous = 'send'\n", "[skarabee]"),
    ],
)
def test_a_section_that_stands_twice_is_a_fault_that_names_both_files(
    tmp_path: Path, main: str, more: str, what: str
) -> None:
    other = put(tmp_path, "a.toml", more)
    assert faults(tmp_path, main) == [f"{other}: {what}: stands in {tmp_path / 'callsign.toml'} already"]


def test_two_files_of_the_folder_that_say_the_same_are_named_both(tmp_path: Path) -> None:
    first, second = put(tmp_path, "a.toml", ANTWERP), put(tmp_path, "b.toml", ANTWERP)
    assert faults(tmp_path) == [f"{second}: [noojee.antwerp]: stands in {first} already"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (OFFICE.replace("brugge", "gent"), "businessid: another office has this one"),
        (OFFICE.replace("9001", "9002"), "name: another office is called brugge"),
        (OFFICE.replace("9001", "9002").replace("brugge", "gent"), "numbers: one of these is office 9001's already"),
    ],
)
def test_an_office_that_is_there_twice_names_both_files(tmp_path: Path, more: str, words: str) -> None:
    first = put(tmp_path, "a.toml", OFFICE)
    second = put(tmp_path, "b.toml", more)
    found = faults(tmp_path, SKARABEE)[0]
    assert found.startswith(f"{second}: [[skarabee.office]] 1: {words}")
    assert str(first) in found


def test_an_office_needs_the_section_that_says_where_skarabee_is(tmp_path: Path) -> None:
    path = put(tmp_path, "a.toml", OFFICE)
    assert faults(tmp_path) == [f"{path}: [[skarabee.office]]: wants a section [skarabee], with url, businessid, key"]


def test_a_file_that_others_can_read_is_a_warning_as_for_the_settings_file(tmp_path: Path) -> None:
    path = put(tmp_path, "a.toml", ANTWERP)
    path.chmod(0o644)
    assert load(tmp_path)[1] == [f"{path}: others on this machine can read it; chmod 640 {path}"]


def test_a_file_or_folder_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "callsign.d" / "gone.toml"
    path.parent.mkdir()
    path.symlink_to(tmp_path / "nothing")
    (fault,) = faults(tmp_path)
    assert fault == f"{path}: cannot be read: No such file or directory; mend it, or take it away"
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("", encoding="ascii")
    (fault,) = faults(tmp_path)
    assert fault.startswith(f"{path.parent}: cannot be read: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look anywhere")
def test_a_folder_that_this_user_may_not_look_into_is_a_fault(tmp_path: Path) -> None:
    folder = put(tmp_path, "a.toml", ANTWERP).parent
    folder.chmod(0)
    try:
        (fault,) = faults(tmp_path)
    finally:
        folder.chmod(0o700)
    assert fault.startswith(f"{folder}: cannot be read: ")
