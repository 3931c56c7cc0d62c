"""Further accounts of a vendor: [noojee.antwerp] beside [noojee], an office with a name for Skarabee."""

from __future__ import annotations

from pathlib import Path

import pytest

from callsign.settings.sections import Settings
from settings_file import NOOJEE, SKARABEE, certificate, faults, load

KEYS = {"noojee": "key", "mor": "key", "kalliope": "password", "sraps": "key_secret"}
MAIN = {
    "noojee": 'url = "https://pbx.example/rest"\nauth = "apikey"\n',
    "mor": 'url = "https://mor.example/api"\nuser = "admin"\nparams_in = "query"\n',
    "kalliope": 'url = "https://kalliope.example"\nusername = "admin"\ndomain = "office"\n',
    "sraps": 'url = "https://sraps.example"\nkey_id = "key-1"\naccept = "application/json"\n',
}


def revealed(settings: Settings, account: str, system: str) -> str:
    key: str = getattr(settings.section(account), KEYS[system]).reveal()
    return key


@pytest.mark.parametrize("system", KEYS)
def test_an_account_takes_from_the_section_above_what_it_does_not_say_itself(tmp_path: Path, system: str) -> None:
    own = f'[{system}]\n{MAIN[system]}{KEYS[system]} = "main-key"\n'
    read = load(tmp_path, f'{own}[{system}.antwerp]\nurl = "https://antwerp.example"\n{KEYS[system]} = "other-key"\n')
    main, further = read.section(system), read.section(f"{system}.antwerp")
    assert (further.url, revealed(read, f"{system}.antwerp", system)) == ("https://antwerp.example", "other-key")
    assert revealed(read, system, system) == "main-key"
    for line in MAIN[system].splitlines()[1:]:
        name = line.partition(" = ")[0]
        assert getattr(further, name) == getattr(main, name)
    assert read.accounts == (system, f"{system}.antwerp")


@pytest.mark.parametrize("system", KEYS)
def test_a_secret_is_not_taken_from_the_section_above(tmp_path: Path, system: str) -> None:
    key = KEYS[system]
    text = f'[{system}]\n{MAIN[system]}{key} = "main-key"\n[{system}.antwerp]\nurl = "https://antwerp.example"\n'
    assert faults(tmp_path, text) == [f"[{system}.antwerp] {key} (or {key}_file): is missing"]


def test_an_account_says_of_itself_what_differs_and_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "antwerp.key").write_text("from-a-file\n", encoding="ascii")
    (tmp_path / "antwerp.key").chmod(0o600)
    more = f'[noojee.antwerp]\nkey_file = "{tmp_path}/antwerp.key"\nverify = "{certificate(tmp_path)}"\n'
    read = load(tmp_path, NOOJEE + more)
    assert revealed(read, "noojee.antwerp", "noojee") == "from-a-file"
    assert read.section("noojee.antwerp").verify == str(certificate(tmp_path))
    assert read.section("noojee").verify is True


def test_accounts_need_no_section_above_that_is_an_account_itself(tmp_path: Path) -> None:
    read = load(tmp_path, '[noojee.antwerp]\nurl = "https://pbx.example/rest"\nkey = "the-key"\n')
    assert read.noojee is None
    assert read.accounts == ("noojee.antwerp",)


def test_a_fault_above_is_told_once_and_not_for_each_account(tmp_path: Path) -> None:
    main = NOOJEE.replace("https:", "file:")
    assert faults(tmp_path, f'{main}[noojee.a]\nkey = "a"\n[noojee.b]\nkey = "b"\n') == [
        "[noojee] url: wanted an address such as https://host/path"
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('[noojee.antwerp]\nkey = "k"\nkei = 1\n', "[noojee.antwerp] kei: unknown key; did you mean key?"),
        ('[noojee.antwerp]\nkey = "k"\nauth = "basic"\n', '[noojee.antwerp] auth: wanted "hash" or "apikey"'),
        ('[noojee.a.b]\nkey = "k"\n', "[noojee.a] b: unknown key"),
        ('[noojee."a b"]\nkey = "k"\n', "[noojee.a b]: the name of an account: wanted"),
        ('[noojee."a\\u200bb"]\nkey = "k"\n', "the name of an account: wanted"),
        ('[noojee."\\u3164"]\nkey = "k"\n', "the name of an account: wanted"),
        ('[noojee.""]\nkey = "k"\n', "[noojee.]: the name of an account: wanted"),
        ('[noojee.key]\nkey = "k"\n', "is no TOML"),
    ],
)
def test_a_fault_of_an_account_names_it(tmp_path: Path, more: str, words: str) -> None:
    fault, *_ = faults(tmp_path, NOOJEE + more)
    assert words in fault


@pytest.mark.parametrize("section", ["server", "outbox", "numbers"])
def test_a_section_that_is_no_vendors_has_no_accounts(tmp_path: Path, section: str) -> None:
    (fault,) = faults(tmp_path, f'[{section}.antwerp]\nkey = "k"\n')
    assert fault.startswith(f"[{section}] antwerp: unknown key")


OFFICE = '[[skarabee.office]]\nbusinessid = "9001"\nkey = "office-key"\nname = "brugge"\n'


def test_for_skarabee_an_account_is_an_office_with_that_name(tmp_path: Path) -> None:
    read = load(tmp_path, SKARABEE + OFFICE)
    section = read.section("skarabee.brugge")
    assert (section.businessid, section.key.reveal()) == ("9001", "office-key")
    assert section.url == read.section("skarabee").url
    assert read.accounts == ("skarabee", "skarabee.brugge")


def test_an_office_without_a_name_is_no_account(tmp_path: Path) -> None:
    assert load(tmp_path, SKARABEE + OFFICE.replace('name = "brugge"\n', "")).accounts == ("skarabee",)


def test_two_offices_of_one_name_are_a_fault(tmp_path: Path) -> None:
    again = OFFICE.replace("9001", "9002")
    assert faults(tmp_path, SKARABEE + OFFICE + again) == [
        "[[skarabee.office]] 2: name: another office is called brugge"
    ]


def test_a_section_of_skarabee_by_name_is_told_how_an_office_is_written(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, SKARABEE + '[skarabee.brugge]\nbusinessid = "9001"\nkey = "k"\n')
    assert fault == '[skarabee.brugge]: an account of Skarabee is an office: [[skarabee.office]] with name = "brugge"'
