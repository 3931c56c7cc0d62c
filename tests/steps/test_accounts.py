"""The option account=NAME: whose section and lane a step is for, and what is said of one that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from agi_lines import CALLER, a_step
from callsign.notification import Notification
from callsign.settings.sections import Settings
from callsign.steps.handlers import HANDLERS, Notify, Skipped, account_in
from callsign.steps.step import StepFault
from settings_file import NOOJEE, SKARABEE, load

ACCOUNTS = '[noojee.antwerp]\nkey = "a"\n[noojee.gent]\nkey = "g"\n'
MOR = '[mor]\nurl = "https://mor.example/api"\nuser = "admin"\nkey = "m"\n[mor.antwerp]\nkey = "a"\n'
OFFICES = """
[[skarabee.office]]
businessid = "9001"
key = "k"
name = "brugge"
numbers = ["050112233", "3XX"]
[[skarabee.office]]
businessid = "9002"
key = "k"
numbers = ["051112233"]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(tmp_path, SKARABEE + OFFICES + NOOJEE + ACCOUNTS + MOR)


def told(settings: Settings, request: str, *args: str, **env: str) -> Notification:
    step = a_step(request, *args, **env)
    handler = HANDLERS[step.path]
    assert isinstance(handler, Notify)
    found = handler.notification(step, step.arguments(handler.names), settings)
    assert not isinstance(found, Skipped)
    return found


def fault(settings: Settings, request: str, *args: str, **env: str) -> str:
    with pytest.raises(StepFault) as refusal:
        told(settings, request, *args, **env)
    return str(refusal.value)


@pytest.mark.parametrize("path", ["noojee/start", "noojee/stop"])
def test_a_recording_goes_to_the_account_that_the_option_names(settings: Settings, path: str) -> None:
    assert told(settings, f"{path}?account=antwerp").system == "noojee.antwerp"
    assert told(settings, f"{path}?account=gent&wait=0").system == "noojee.gent"


def test_without_the_option_or_with_an_empty_one_the_section_itself_is_meant(settings: Settings) -> None:
    assert told(settings, "noojee/start").system == "noojee"
    assert told(settings, "noojee/start?account=").system == "noojee"


def test_an_account_that_is_not_there_is_named_with_the_known_ones(settings: Settings) -> None:
    words = "account antwerpen: the settings have no section [noojee.antwerpen], known are antwerp, gent"
    assert fault(settings, "noojee/start?account=antwerpen") == words


def test_of_many_known_ones_those_like_it_are_named(tmp_path: Path) -> None:
    many = "".join(f'[noojee.tenant{number}]\nkey = "k"\n' for number in range(500))
    words = fault(load(tmp_path, NOOJEE + many), "noojee/start?account=tenand77")
    assert "tenant77" in words
    assert words.endswith("… (500 in all)")
    assert len(words) < 240


def test_where_there_are_no_accounts_that_is_said(tmp_path: Path) -> None:
    words = "account x: the settings have no section [noojee.x], there is none"
    assert fault(load(tmp_path, NOOJEE), "noojee/start?account=x") == words
    assert fault(load(tmp_path, SKARABEE), "noojee/start?account=x").startswith("the settings have no section [noojee]")


def test_where_only_accounts_are_there_one_has_to_be_named(tmp_path: Path) -> None:
    alone = load(tmp_path, '[noojee.antwerp]\nurl = "https://pbx.example"\nkey = "a"\n')
    assert told(alone, "noojee/start?account=antwerp").system == "noojee.antwerp"
    assert fault(alone, "noojee/start") == "[noojee] itself is no account: give account=NAME, known are antwerp"


def test_a_number_as_account_is_not_repeated(settings: Settings) -> None:
    assert CALLER not in fault(settings, f"noojee/start?account={CALLER}")


def test_a_question_goes_to_the_account_that_the_option_names(settings: Settings) -> None:
    assert account_in(a_step("mor/balance?account=antwerp"), settings) == "mor.antwerp"
    with pytest.raises(StepFault, match=r"account gent: the settings have no section \[mor.gent\], known are antwerp"):
        account_in(a_step("mor/balance?account=gent"), settings)


# -- Skarabee: an account is an office with a name ----------------------------------------------------------------


def test_for_skarabee_the_option_chooses_the_office_of_that_name(settings: Settings) -> None:
    found = told(settings, "skarabee?account=brugge")
    assert (found.system, found.facts["businessid"]) == ("skarabee.brugge", "9001")


@pytest.mark.parametrize(
    ("args", "system"),
    [
        (("", "050112233"), "skarabee.brugge"),
        (("", "+3250112233"), "skarabee.brugge"),
        (("", "312"), "skarabee.brugge"),
        (("businessid=9001",), "skarabee.brugge"),
        (("", "051112233"), "skarabee"),  # that office has no name: it is no account of its own
        (("businessid=8103", "phoneto=050112233"), "skarabee"),
    ],
)
def test_a_named_office_is_its_account_however_it_is_chosen(
    settings: Settings, args: tuple[str, ...], system: str
) -> None:
    assert told(settings, "skarabee", *args).system == system


def test_an_office_that_is_not_there_is_named_with_the_known_ones(settings: Settings) -> None:
    words = "account gent: the settings have no office of that name, known are brugge"
    assert fault(settings, "skarabee?account=gent") == words


def test_an_account_and_an_id_that_do_not_belong_together_are_an_error(settings: Settings) -> None:
    assert told(settings, "skarabee?account=brugge", "businessid=9001").system == "skarabee.brugge"
    words = "account brugge is office 9001, not 8103: give one of both"
    assert fault(settings, "skarabee?account=brugge", "businessid=8103") == words


def test_of_two_offices_that_list_a_number_in_two_notations_the_first_is_told(tmp_path: Path) -> None:
    office = '[[skarabee.office]]\nbusinessid = "{}"\nkey = "k"\nnumbers = ["{}"]\n'
    text = (
        office.format("9001", "+3250112233") + office.format("9002", "050112233") + office.format("9003", "0501122XX")
    )
    settings = load(tmp_path, SKARABEE + text)
    assert told(settings, "skarabee", "", "050112233").facts["businessid"] == "9001"
    assert told(settings, "skarabee", "", "050112234").facts["businessid"] == "9003"
