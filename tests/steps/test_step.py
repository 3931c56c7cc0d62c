"""What one AGI() line says: path, options, arguments, and the facts of the channel."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_lines import CALLER, UNIQUE_ID, a_step
from callsign.steps.step import MAX_ARGUMENT_CHARACTERS, Step, StepFault, read_step

NAMES = ("phonefrom", "phoneto", "businessid", "call")

# -- path and options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_line", "path", "options"),
    [
        ("skarabee", "skarabee", {}),
        ("noojee/start?wait=0", "noojee/start", {"wait": "0"}),
        ("skarabee/", "skarabee", {}),
        ("/skarabee?", "skarabee", {}),
        (" skarabee ?wait=1", "skarabee", {"wait": "1"}),
        ("", "", {}),
        ("a?x=1&y=2", "a", {"x": "1", "y": "2"}),
        ("a?wait=%31", "a", {"wait": "1"}),
    ],
)
def test_the_script_is_a_path_and_options(request_line: str, path: str, options: dict[str, str]) -> None:
    step = a_step(request_line)
    assert (step.path, step.options) == (path, options)


def test_a_plain_script_is_told_its_path_as_an_argument() -> None:
    step = read_step({"agi_network_script": "other"}, ["201"], request="skarabee?wait=1")
    assert (step.path, step.options, step.args) == ("skarabee", {"wait": "1"}, ("201",))


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("2", 2.0), ("0.5", 0.5), ("60", 60.0)])
def test_wait_says_how_long_the_dialplan_may_be_held(text: str, seconds: float) -> None:
    assert a_step(f"skarabee?wait={text}").wait_seconds(7) == seconds


def test_without_wait_the_path_has_its_own() -> None:
    assert a_step("skarabee").wait_seconds(7) == 7


@pytest.mark.parametrize("text", ["", "-1", "60.1", "nan", "inf", "-inf", "1e9", "two", "1s", "1 2"])
def test_a_wait_that_is_no_time_is_named_with_what_is_wanted(text: str) -> None:
    with pytest.raises(StepFault) as refusal:
        a_step(f"skarabee?wait={text}").wait_seconds(7)
    assert str(refusal.value) == f"option wait={text}: wanted seconds from 0 to 60"


def test_an_unknown_option_is_named_with_the_known_one() -> None:
    with pytest.raises(StepFault) as refusal:
        a_step("skarabee?wiat=2").wait_seconds(0)
    assert str(refusal.value) == "option wiat: unknown, the options are wait=SECONDS and account=NAME"


def test_a_number_in_an_option_is_not_repeated() -> None:
    for request_line in (f"skarabee?wait={CALLER}", f"skarabee?{CALLER}"):
        with pytest.raises(StepFault) as refusal:
            a_step(request_line).wait_seconds(0)
        assert CALLER not in str(refusal.value)


# -- arguments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ([], {}),
        (["1", "2", "3", "4"], {"phonefrom": "1", "phoneto": "2", "businessid": "3", "call": "4"}),
        (["", "2"], {"phoneto": "2"}),
        (["call=4", "1", "2"], {"call": "4", "phonefrom": "1", "phoneto": "2"}),  # a named one takes no place
        (["businessid=", "phoneto="], {}),
        (["", "", "", "", "", ""], {}),  # a comma at the end makes an empty argument more
        (["1", "", "", "", ""], {"phonefrom": "1"}),
        ([" phoneto = 2 "], {"phoneto": "2"}),  # AGI(…, phoneto=2): the space after the comma arrives too
        (["phoneTo=2", "BUSINESSID=3"], {"phoneto": "2", "businessid": "3"}),  # as Skarabee's pages spell it
        (["sip:1@x;user=phone"], {"phonefrom": "sip:1@x;user=phone"}),
        (["=1"], {"phonefrom": "=1"}),
        (["phonefrom=call=4"], {"phonefrom": "call=4"}),
    ],
)
def test_arguments_go_by_name_or_by_place(args: list[str], found: dict[str, str]) -> None:
    assert a_step("skarabee", *args).arguments(NAMES) == found


@pytest.mark.parametrize(
    ("args", "fault"),
    [
        (["1", "2", "3", "4", "5"], "5 arguments, but skarabee takes at most 4: phonefrom, phoneto, businessid, call"),
        (["1", "phonefrom=2"], "argument phonefrom is given twice"),
        (["phonefrom=1", "2"], "argument phonefrom is given twice"),
        (["call=1", "Call=1"], "argument call is given twice"),
        (["", "x" * 256], "argument phoneto: wanted one line of at most 255 characters"),
        (["call=a\nb"], "argument call: wanted one line of at most 255 characters"),
        (["call=a\x00b"], "argument call: wanted one line of at most 255 characters"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(args: list[str], fault: str) -> None:
    with pytest.raises(StepFault) as refusal:
        a_step("skarabee", *args).arguments(NAMES)
    assert str(refusal.value) == fault


def test_a_tag_that_is_too_long_is_cut_and_the_call_recorded() -> None:
    assert a_step("noojee/start", "tag=" + "é" * 300).arguments(("tag",)) == {"tag": "é" * 255}
    with pytest.raises(StepFault, match="wanted one line"):
        a_step("noojee/start", "agentLoginName=" + "é" * 300).arguments(("agentLoginName",))


def test_a_name_is_known_in_any_case() -> None:
    args = ("agentloginname=Anne", "extenOrUniqueId=201")
    found = a_step("noojee/stop", *args).arguments(("extenOrUniqueId", "agentLoginName"))
    assert found == {"extenOrUniqueId": "201", "agentLoginName": "Anne"}


def test_a_path_without_arguments_takes_none() -> None:
    assert a_step("ping", "", " ").arguments(()) == {}
    with pytest.raises(StepFault, match=r"^1 arguments, but ping takes none$"):
        a_step("ping", "x").arguments(())


@pytest.mark.parametrize(
    "text", ["Müller & Söhne", "a\u00a0b", "日本", "👩\u200d👧", 'O\'Brien "Bob" (x, é \\', "x" * 255]
)
def test_text_that_people_write_is_kept_as_it_is(text: str) -> None:
    # a no-break space in a tag is no reason not to record a call
    assert a_step("noojee/start", f"tag={text}").arguments(("tag",)) == {"tag": text}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('"Doe, John"', "Doe, John"),
        ("Doe\\, John", "Doe, John"),
        ('"Doe\\, John "', "Doe, John"),
        ("Doe, John", "Doe, John"),
        ('"Doe", John', '"Doe", John'),
        ('"a" and "b"', '"a" and "b"'),
        ('"', '"'),
        ("a\\b", "a\\b"),
    ],
)
def test_a_comma_may_be_written_as_asterisks_users_do(text: str, meant: str) -> None:
    assert a_step("noojee/start", f"tag={text}").arguments(("tag",)) == {"tag": meant}
    assert a_step("sraps/assign", "x", text).arguments(("mac", "profile")) == {"mac": "x", "profile": meant}


def test_nothing_in_quotes_leaves_its_place_to_the_default() -> None:
    assert a_step("skarabee", '""', '" "', "8103").arguments(NAMES) == {"businessid": "8103"}


def test_bytes_that_are_no_utf8_are_made_storable() -> None:
    # Python gives them to a plain script as lone surrogates, at which SQLite and urlencode raise
    step = read_step({}, ["M\udcfcller"], request="noojee/start\udcff")
    assert step.path.isprintable()
    (value,) = step.arguments(("tag",)).values()
    assert value.startswith("M\ufffd")
    assert value.endswith("ller")
    json.dumps(value, ensure_ascii=False).encode()


words = st.one_of(
    st.text(max_size=300),
    st.sampled_from([*NAMES, "", "="]),
    st.builds("{}={}".format, st.sampled_from(NAMES), st.text(max_size=9)),
)


@given(st.lists(words, max_size=6))
def test_any_arguments_are_found_or_a_fault_of_one_line(args: list[str]) -> None:
    try:
        found = a_step("skarabee", *args).arguments(NAMES)
    except StepFault as fault:
        told = str(fault)
    else:
        told = ""
        assert set(found) <= set(NAMES)
        assert all(value and value == value.strip() for value in found.values())
        assert all(len(value) <= MAX_ARGUMENT_CHARACTERS for value in found.values())
        json.dumps(found, ensure_ascii=False).encode()
    assert told.isprintable()


@given(st.dictionaries(st.sampled_from(NAMES), st.from_regex(r"[0-9a-z@.:+-]{1,9}", fullmatch=True)), st.randoms())
def test_named_arguments_mean_the_same_in_any_order(given_: dict[str, str], random: object) -> None:
    args = [f"{name}={value}" for name, value in given_.items()]
    random.shuffle(args)  # type: ignore[attr-defined]
    assert a_step("skarabee", *args).arguments(NAMES) == given_


@given(st.lists(st.from_regex(r"[0-9a-z@.:+-]{0,9}", fullmatch=True), max_size=4))
def test_places_and_names_mean_the_same(values: list[str]) -> None:
    by_name = [f"{name}={value}" for name, value in zip(NAMES, values, strict=False)]
    assert a_step("skarabee", *values).arguments(NAMES) == a_step("skarabee", *by_name).arguments(NAMES)


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3))
def test_any_request_is_a_step(request_line: str, args: list[str]) -> None:
    step = read_step({}, args, request=request_line)
    try:
        seconds = step.wait_seconds(1)
    except StepFault as fault:
        assert str(fault).isprintable()  # noqa: PT017 - no refusal is wanted here, only allowed
    else:
        assert 0 <= seconds <= 60


# -- facts of the channel ------------------------------------------------------------------------------


def test_the_word_unknown_stands_for_nothing() -> None:
    step = a_step("skarabee", agi_dnid="unknown", agi_rdnis="")
    assert step.fact("agi_callerid") == CALLER
    assert step.fact("agi_uniqueid") == UNIQUE_ID
    assert [step.fact(name) for name in ("agi_dnid", "agi_rdnis", "agi_nothing")] == ["", "", ""]


@pytest.mark.parametrize("value", ["x" * 256, "a\tb", "a\x1bb"])
def test_a_fact_that_no_vendor_should_get_is_refused(value: str) -> None:
    with pytest.raises(StepFault, match=r"^agi_callerid: wanted one line"):
        a_step("skarabee", agi_callerid=value).fact("agi_callerid")


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("35", 35), ("67", 67), ("", 0), ("x", 0), ("-1", 0), ("٣", 0), ("9" * 9, 0)]
)
def test_the_presentation_is_a_number(text: str, number: int) -> None:
    assert a_step("skarabee", agi_callingpres=text).presentation() == number
    assert read_step({}, []).presentation() == 0


def test_a_step_shows_no_number() -> None:
    assert CALLER not in repr(a_step("skarabee", CALLER))


def test_a_misspelt_name_is_named_where_no_free_text_is_meant() -> None:
    names = ("extenOrUniqueId", "tag", "agentLoginName", "call")
    with pytest.raises(StepFault, match="agentlogin= is none of this path's arguments: extenOrUniqueId, tag"):
        Step("noojee/start", {}, ["agentlogin=x"], {}).arguments(names)
    with pytest.raises(StepFault, match="cal= is none"):
        Step("noojee/start", {}, ["201", "tag", "agent", "cal=1.2"], {}).arguments(names)
    assert Step("noojee/start", {}, ["201", "case=17"], {}).arguments(names)["tag"] == "case=17"
