"""Numbers as the dialplan and the trunks write them, and what a vendor gets of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from phonenumbers.phonemetadata import PhoneMetadata

from callsign.phone_numbers import (
    HAVE_A_PLAN,
    TRUNK_ZERO,
    NumberPatterns,
    as_vendor_wants,
    bare_number,
    is_withheld,
    knows_country,
    may_be_same,
    pattern_to_regex,
)
from product import bare_environment

FORMS = ("national", "e164", "asis")

# -- as the vendor wants them --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dialled",
    [
        "+3256528999",
        "003256528999",
        "056 52 89 99",
        "056528999",
        "056/52.89.99",
        "(056) 52 89 99",
        "+32 56 52 89 99",
        "+32 (0)56 52 89 99",
        "3256528999",  # many trunks leave the + out
        " 056528999 ",
    ],
)
def test_every_notation_of_a_belgian_number_becomes_one(dialled: str) -> None:
    assert as_vendor_wants(dialled, "BE", "national") == "056528999"
    assert as_vendor_wants(dialled, "BE", "e164") == "+3256528999"
    assert as_vendor_wants(dialled, "BE", "asis") == dialled.strip()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "account",
    [
        "201",
        "1207",
        "112",
        "*98",
        "#31#",
        "jan",
        "kantoor-1",
        "sip:101@pbx.example",
        "056528999@pbx.example",
        "0032abc",
        "0800 BELGIUM",
        "056528999 x3",
        "070 123",
        "0123",
        "+321",
        "0",
        "00",
        "+",
        "+32",
        "0" * 300,
        "",
        "٠٥٦٥٢٨٩٩٩",  # digits, but none that can be dialled or signed
    ],
)
def test_a_sip_account_or_short_number_passes_through(account: str, form: str) -> None:
    assert as_vendor_wants(account, "BE", form) == account


@pytest.mark.parametrize(
    ("account", "country"),
    [
        ("10012345", "BE"),  # 010 012345 is a number in Wavre; without its 0 nobody dials it
        ("100200300", "BE"),
        ("3201", "DE"),  # numbers of 4 digits are possible in Germany, and extensions of 4 digits are usual
        ("201234", "DE"),
        ("12345", "AT"),
        ("201234", "IT"),
    ],
)
def test_an_account_of_digits_alone_is_not_taken_for_a_number(account: str, country: str) -> None:
    assert as_vendor_wants(account, country, "national") == account
    assert as_vendor_wants(account, country, "e164") == account


def test_a_foreign_number_keeps_its_country_code() -> None:
    assert as_vendor_wants("+31 20 658 60 04", "BE", "national") == "+31206586004"
    assert as_vendor_wants("0031206586004", "BE", "national") == "+31206586004"
    assert as_vendor_wants("0031206586004", "BE", "e164") == "+31206586004"


@pytest.mark.parametrize(
    ("dialled", "country", "national", "e164"),
    [
        ("020 658 60 04", "NL", "0206586004", "+31206586004"),
        ("+31206586004", "NL", "0206586004", "+31206586004"),
        ("030 123456", "DE", "030123456", "+4930123456"),
        ("0800 12 345", "DE", "080012345", "+4980012345"),  # possible, not in the plan: its 0 must not get lost
        ("+4980012345", "DE", "+4980012345", "+4980012345"),  # and where to put one is not known
        ("+32 70 72 15 75", "BE", "070721575", "+3270721575"),  # a range that the plan does not know yet
        ("06 12 34 56 78", "FR", "0612345678", "+33612345678"),
        ("02 1234 5678", "IT", "0212345678", "+390212345678"),  # in Italy the 0 belongs to the number
        ("+39 02 1234 5678", "IT", "0212345678", "+390212345678"),
        ("(650) 253-0000", "US", "6502530000", "+16502530000"),
        ("+1 650 253 0000", "US", "6502530000", "+16502530000"),
        ("612345678", "ES", "612345678", "+34612345678"),
        ("01131206586004", "US", "+31206586004", "+31206586004"),  # 011 is what 00 is elsewhere
    ],
)
def test_numbers_are_read_as_dialled_in_the_country(dialled: str, country: str, national: str, e164: str) -> None:
    assert as_vendor_wants(dialled, country, "national") == national
    assert as_vendor_wants(dialled, country, "e164") == e164


def test_an_unknown_country_leaves_numbers_as_they_are() -> None:
    # a plain AGI script does not look the country up, so the call meets it here
    assert as_vendor_wants("056 52 89 99", "XX", "national") == "056 52 89 99"
    assert not knows_country("XX")
    assert knows_country("BE")


as_dialled = st.text("0123456789+ ()./-*#", max_size=20)
anything = st.one_of(st.text(max_size=40), as_dialled, as_dialled.map(lambda text: "+32" + text))
countries = st.sampled_from(["BE", "NL", "FR", "DE", "IT", "US", "GB", "LU", "AR", "RU", "XX"])


@given(anything, countries, st.sampled_from(FORMS))
def test_numbers_never_raise_and_are_the_same_when_read_again(number: str, country: str, form: str) -> None:
    once = as_vendor_wants(number, country, form)
    assert as_vendor_wants(once, country, form) == once


@given(st.from_regex(r"\+32[1-9][0-9]{7,8}", fullmatch=True), st.sampled_from(["national", "e164"]))
def test_a_number_abroad_is_one_number_however_its_prefix_is_written(number: str, form: str) -> None:
    with_plus = as_vendor_wants(number, "NL", form)
    assert as_vendor_wants("00" + number[1:], "NL", form) == with_plus == number


# -- as SIP leaves them --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+3256528998;npdi=yes;rn=+3247", "+3256528998"),
        ("tel:+32-56-52-89-98", "+32-56-52-89-98"),
        ("TEL:056528998;phone-context=+32", "056528998"),
        ("056528998;phone-context=pbx.example", "056528998"),
        ("sip:+3256528998@192.0.2.1:5060;user=phone", "+3256528998"),
        ("sips:kantoor@pbx.example", "kantoor"),
        ("sip:kantoor:secret@pbx.example", "kantoor"),
        ("<sip:056528998@pbx.example>;tag=1", "056528998"),
        ("056528998@pbx.example", "056528998"),
        ("056528998?Subject=x", "056528998"),
        ("056528998,,7", "056528998"),
        ("056528998\\,7", "056528998"),
        ('056528998"(\\', "056528998"),
        ("\u202a056528998\u202c", "056528998"),  # bidi marks, as contacts on a phone have them
        ("\u2066+32\u200b56\xad528998\u2069\ufeff", "+3256528998"),
        (" 056\u00a052 89\t98 ", "056528998"),
        ("+056528998", "056528998"),
        ("+0032 56528998", "003256528998"),
        ("+(0)56528998", "(0)56528998"),
        ("+32 (0)56 52 89 98", "+32(0)56528998"),
        ("kantoor-1", "kantoor-1"),
        ("*98", "*98"),
        ("#31#", "#31#"),
        ("tel", "tel"),
        ("sip:", ""),
        (";npdi=yes", ""),
        ("@056528998", ""),
        ("", ""),
    ],
)
def test_what_is_no_part_of_a_number_is_cut_off(written: str, number: str) -> None:
    assert bare_number(written) == number


@given(anything)
def test_a_bare_number_is_bare(text: str) -> None:
    once = bare_number(text)
    assert bare_number(once) == once
    assert not set(once) & set(';:,@?"\\<> \u202e\u200b\n')


@given(st.from_regex(r"\+?[0-9]{1,15}", fullmatch=True), st.text(max_size=40), st.sampled_from(";@?,"))
def test_whatever_follows_a_number_does_not_change_it(number: str, rest: str, separator: str) -> None:
    assert bare_number(number + separator + rest) == bare_number(number)


# -- withheld ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        *("anonymous", "unknown", "restricted", "", "Anonymous", " UNKNOWN ", "unavailable", "private", "withheld"),
        *("anonymous@anonymous.invalid", "sip:anonymous@192.0.2.1", "anonymous@192.0.2.1"),
        "x@anonymous.invalid",
        "x@anonymous.invalid:5060;user=phone",
        *(
            "0",
            "+",
            "-1",
            "-",
            "00000000",
            "+0",
            "asterisk",
            "Asterisk",
            "anonymous;x=1",
            "tel:anonymous",
            ";",
            "@host",
        ),
        *("\u202aanonymous\u202c", "<unknown>", "sip:asterisk@192.0.2.1", "0@192.0.2.1"),
    ],
)
def test_a_word_in_the_place_of_a_number_is_withheld(number: str) -> None:
    assert is_withheld(number)


@pytest.mark.parametrize(
    "number", ["056528999", "+3256528999", "201", "jan", "sip:201@pbx.example", "private1", "10", "-2"]
)
def test_a_number_or_account_is_not_withheld(number: str) -> None:
    assert not is_withheld(number)


# include/asterisk/callerid.h: 0-3 allowed, 32-35 restricted, 64 and up not available
@pytest.mark.parametrize("presentation", [32, 33, 34, 35, 64, 67])
def test_the_presentation_withholds_a_number_that_is_there(presentation: int) -> None:
    assert is_withheld("056528999", presentation)


@pytest.mark.parametrize("presentation", [0, 1, 2, 3])
def test_an_allowed_presentation_withholds_nothing(presentation: int) -> None:
    assert not is_withheld("056528999", presentation)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("056528999", "+3256528999"),
        ("003256528999", "+32 56 52 89 99"),
        ("56528999", "056528999"),
        ("201", "201"),
        ("jan", "jan"),
        ("sip:056528999@pbx", "+3256528999"),
        ("123456", "00123456"),
        ("123456", "+3256123456"),
    ],
)
def test_notations_of_one_number_may_be_the_same(one: str, other: str) -> None:
    assert may_be_same(one, other)
    assert may_be_same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("056528999", "056528998"),
        ("23456", "0123456"),
        ("999", "056528999"),
        ("056528999", ""),
        ("jan", "piet"),
        ("0565289900", "5652899"),
    ],
)
def test_different_numbers_are_not_the_same(one: str, other: str) -> None:
    assert not may_be_same(one, other)
    assert not may_be_same(other, one)


# -- Asterisk patterns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("2XX", ["200", "299"], ["20", "2000", "300", "2aa", "20\n"]),
        ("_2XX", ["200"], ["_200"]),
        (" _2XX ", ["200"], [" 200 "]),
        ("zxn", ["102"], ["002", "101"]),
        ("Z", ["1", "9"], ["0"]),
        ("N", ["2", "9"], ["1"]),
        ("20.", ["201", "20abc"], ["20"]),
        ("20!", ["20", "2012"], ["2"]),
        ("[1-36]0", ["10", "30", "60"], ["40", "50"]),
        ("[02-46*]", ["0", "3", "6", "*"], ["1", "5"]),
        ("050-11-22-XX", ["05011223" + "3"], ["050-11-22-33"]),
        ("+32XXXXXXXX", ["+3256528999"], ["3256528999"]),
        ("*98#", ["*98#"], ["98"]),
        ("201", ["201"], ["2010"]),
    ],
)
def test_a_pattern_matches_as_in_extensions_conf(pattern: str, matching: list[str], others: list[str]) -> None:
    patterns = NumberPatterns([pattern])
    assert all(number in patterns for number in matching)
    assert not any(number in patterns for number in others)


@pytest.mark.parametrize(
    "text", ["", "_", "-", "2.3", "2!3", "[1-5", "1-5]", "[]", "[5-1]", "[a-z]", "2|3", "(2)", "2 0", "jan", "2XX\n3XX"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no Asterisk pattern"):
        pattern_to_regex(text)
    with pytest.raises(ValueError, match="no Asterisk pattern"):
        NumberPatterns(["2XX", text])


def test_several_patterns_are_one_set_and_none_match_nothing() -> None:
    patterns = NumberPatterns(["2XX", "30[1-3]"])
    assert "250" in patterns
    assert "302" in patterns
    assert "2" not in patterns  # the alternatives do not run into one another
    assert "25030" not in patterns
    assert "" not in NumberPatterns()
    assert NumberPatterns(["2XX"]) == NumberPatterns(("2XX",)) != NumberPatterns(["3XX"])
    assert NumberPatterns(["2XX"]) != ("2XX",)
    assert len({NumberPatterns(["2XX"]), NumberPatterns(["2XX"])}) == 1


@given(st.text("XZNxzn0123456789[]-_.!*# ", max_size=12), st.text("0123456789*#", max_size=6))
def test_any_text_is_a_pattern_or_a_value_error(text: str, number: str) -> None:
    try:
        regex = pattern_to_regex(text)
    except ValueError:
        return
    assert (number in NumberPatterns([text])) == bool(re.fullmatch(regex, number))


@given(st.text("XZN0123456789", min_size=1, max_size=8), st.data())
def test_a_number_built_from_a_pattern_matches_it(pattern: str, data: st.DataObject) -> None:
    digits = {"X": "0123456789", "Z": "123456789", "N": "23456789"}
    number = "".join(data.draw(st.sampled_from(digits.get(symbol, symbol))) for symbol in pattern)
    patterns = NumberPatterns([pattern])
    assert number in patterns
    assert number + "0" not in patterns
    assert number[:-1] not in patterns


@given(st.lists(st.sampled_from(["2XX", "[1-3]X", "40!", "N."]), max_size=3), st.text("0123456789", max_size=4))
def test_a_set_matches_what_one_of_its_patterns_matches(patterns: list[str], number: str) -> None:
    assume(number)
    assert (number in NumberPatterns(patterns)) == any(number in NumberPatterns([p]) for p in patterns)


@given(st.sampled_from(sorted(TRUNK_ZERO)), st.from_regex(r"0[1-9][0-9]{5,14}", fullmatch=True))
def test_a_number_dialled_at_home_is_what_the_numbering_plan_says_too(country: str, number: str) -> None:
    spaced = number[:3] + " " + number[3:]  # with a space it takes the way through the plan
    assert as_vendor_wants(number, country, "national") == number
    assert as_vendor_wants(spaced, country, "national") in (number, spaced)
    assert PhoneMetadata.metadata_for_region(country).international_prefix == "00"


def test_the_countries_that_are_known_without_a_plan_have_one_and_loading_settings_loads_none(tmp_path: Path) -> None:
    assert phonenumbers.SUPPORTED_REGIONS >= HAVE_A_PLAN
    settings = tmp_path / "callsign.toml"
    settings.write_text('[numbers]\ncountry = "BE"\n')
    code = (
        "import pathlib, sys\nfrom callsign.settings import load as config\nimport callsign.server.serve\n"
        "config.load(pathlib.Path(sys.argv[1]), check_country=True)\n"
        "sys.exit('phonenumbers' in sys.modules or 'requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(settings)], env=bare_environment()).returncode == 0
