"""callsign.toml: the whole of it is read, and whatever is wrong in it is named where it stands."""

from __future__ import annotations

import os
import re
import time
import zoneinfo
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest

from callsign.phone_numbers import NumberPatterns
from callsign.record import fields
from callsign.settings import load as config
from callsign.settings.secret import Secret
from callsign.settings.sections import (
    SECTIONS,
    Cluster,
    Kalliope,
    Mor,
    Noojee,
    Numbers,
    Office,
    OutboxSection,
    Skarabee,
    Sraps,
)
from settings_file import NOOJEE, SKARABEE, WHOLE, certificate, faults, load, whole, write

# -- what is right -------------------------------------------------------------------------------------


def test_every_section_and_key_is_read(tmp_path: Path) -> None:
    ca = certificate(tmp_path)
    read = load(tmp_path, whole(tmp_path), check_country=True)
    assert read.server.listen == ("127.0.0.1", 4600)
    assert read.server.allow == (ip_network("127.0.0.1"), ip_network("::1"), ip_network("192.168.1.0/24"))
    assert read.server.metrics == ("127.0.0.1", 4593)
    assert read.outbox == OutboxSection(Path("/var/lib/callsign/other.db"), "full", 14.0)
    assert read.numbers == Numbers("NL", "e164", NumberPatterns(["2XX", "3XXX"]))
    assert read.skarabee == Skarabee(
        url="https://voip.skarabee.net/api/",
        businessid="8103",
        key=Secret("skarabee-secret-of-8103"),
        clock="auto",
        timezone="Europe/Amsterdam",
        anonymous="send",
        phoneto={"201": "056528998"},
        office=(Office("9001", Secret("skarabee-secret-of-9001"), ("050112233", "2XX")),),
    )
    assert [office.businessid for office in read.skarabee.offices] == ["8103", "9001"]
    assert read.noojee == Noojee(
        "https://pbx.example/servicemanager/rest", Secret("noojee-secret-of-mine"), "apikey", str(ca)
    )
    assert read.mor == Mor("https://mor.example/billing/api", "admin", Secret("mor-secret-of-mine"), "query", str(ca))
    assert read.kalliope == Kalliope(
        "https://kalliope.example", "admin", Secret("kalliope-secret-of-mine"), "office", "Europe/Brussels", str(ca)
    )
    assert read.sraps == Sraps(
        "https://api.sraps.snom.com/api/v1", "key-1", Secret("sraps-secret-of-mine"), "application/json", str(ca)
    )
    database = "host=db1 dbname=callsign user=callsign sslmode=verify-full"
    assert read.cluster == Cluster(database, Secret("cluster-secret-of-mine"), "pbx1", 0.5, 10.0, True)
    assert read.source == str(tmp_path / "callsign.toml")


def test_the_whole_example_names_every_key_there_is() -> None:
    # so that a key added later is added to the test above too
    for name, section in SECTIONS.items():
        text = WHOLE.partition(f"[{name}]\n")[2].partition("\n[")[0]
        written = set(re.findall(r"^(\w+) = ", text, re.MULTILINE))
        assert written == set(fields(section)) - {"office"}


def test_what_is_not_given_has_the_promised_default(tmp_path: Path) -> None:
    read = load(
        tmp_path, SKARABEE + NOOJEE + '[kalliope]\nurl = "https://k.example"\nusername = "admin"\npassword = "x"\n'
    )
    assert read.server.listen == ("127.0.0.1", 4591)
    assert read.server.allow == (ip_network("127.0.0.1"), ip_network("::1"))
    assert read.server.metrics is None
    assert read.outbox == OutboxSection(Path("/var/lib/callsign/outbox.db"), "interval", 7.0)
    assert read.numbers == Numbers("BE", "national", NumberPatterns())
    assert read.skarabee is not None
    assert (read.skarabee.clock, read.skarabee.timezone) == ("unix", "Europe/Brussels")
    assert (read.skarabee.anonymous, read.skarabee.phoneto, read.skarabee.office) == ("skip", {}, ())
    assert read.noojee is not None
    assert (read.noojee.auth, read.noojee.verify) == ("hash", True)
    assert read.kalliope is not None
    assert (read.kalliope.domain, read.kalliope.timezone) == ("default", "Europe/Rome")


def test_only_the_sections_in_use_are_needed(tmp_path: Path) -> None:
    read = load(tmp_path, "")
    assert {name for name in SECTIONS if getattr(read, name) is not None} == {"server", "outbox", "numbers"}


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + SKARABEE.replace("\n", "\r\n")).skarabee is not None


def play_sleep(monkeypatch: pytest.MonkeyPatch, sleep: Callable[[float], object]) -> None:
    """For who reads the settings alone: other threads of this process sleep as ever."""
    monkeypatch.setattr(config, "time", SimpleNamespace(time=time.time, sleep=sleep))


def test_a_file_that_is_being_written_is_read_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "")
    parts = ["", SKARABEE, SKARABEE + NOOJEE, SKARABEE + NOOJEE]

    def write_on(_: float) -> None:
        text = parts.pop(0)
        path.write_text(text)
        if not parts:
            os.utime(path, (0, 0))  # a while ago by now

    play_sleep(monkeypatch, write_on)
    path.write_text("")  # just now
    read, _ = config.load(path)
    assert parts == []
    assert (read.skarabee is not None, read.noojee is not None) == (True, True)


def test_a_file_that_is_written_without_end_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, SKARABEE)
    waits: list[float] = []
    play_sleep(monkeypatch, lambda seconds: waits.append(seconds) or path.write_text(SKARABEE))
    path.write_text(SKARABEE)
    assert config.load(path)[0].skarabee is not None
    assert sum(waits) <= config.MOST_LOOKS * config.SETTLE_SECONDS


def test_a_clock_that_was_wrong_when_the_file_was_written_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, SKARABEE)
    os.utime(path, (4e9, 4e9))
    play_sleep(monkeypatch, lambda _: pytest.fail("it waits"))
    assert config.load(path)[0].skarabee is not None


def test_an_ipv6_address_is_listened_to_in_brackets(tmp_path: Path) -> None:
    assert load(tmp_path, '[server]\nlisten = "[::1]:4591"').server.listen == ("::1", 4591)


@pytest.mark.parametrize(
    ("listen", "allow", "is_open"),
    [
        ("0.0.0.0:4591", '"0.0.0.0/0"', True),
        ("192.0.2.5:4591", '"127.0.0.1", "0.0.0.0/1", "128.0.0.0/1"', True),
        ("[::]:4591", '"::/0"', True),
        ("[::]:4591", '"0.0.0.0/0"', True),
        ("0.0.0.0:4591", '"::/0"', False),
        ("0.0.0.0:4591", '"192.0.2.0/24"', False),
        ("127.0.0.1:4591", '"0.0.0.0/0"', False),
        ("[::1]:4591", '"::/0", "0.0.0.0/0"', False),
    ],
)
def test_a_port_that_the_whole_network_may_use_is_a_warning_that_says_for_what(
    tmp_path: Path, listen: str, allow: str, is_open: bool
) -> None:
    _, warnings = config.load(write(tmp_path, f'[server]\nlisten = "{listen}"\nallow = [{allow}]\n'))
    assert len(warnings) == is_open
    assert all("recordings" in line and line.startswith("[server] allow: ") for line in warnings)


def test_settings_cannot_be_changed_where_they_are_used(tmp_path: Path) -> None:
    read = load(tmp_path, SKARABEE + 'phoneto = { "201" = "056528998" }')
    assert read.skarabee is not None
    with pytest.raises(TypeError):
        read.skarabee.phoneto["201"] = "056528999"  # type: ignore[index]
    with pytest.raises(AttributeError):
        read.skarabee.url = ""  # type: ignore[misc]


# -- which file ----------------------------------------------------------------------------------------


def test_the_option_comes_before_the_environment_and_that_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLSIGN_CONFIG", "/from/environment.toml")
    assert config.path_of("/from/option.toml") == Path("/from/option.toml")
    assert config.path_of(None) == Path("/from/environment.toml")
    monkeypatch.setenv("CALLSIGN_CONFIG", "")
    assert config.path_of(None) == Path("/etc/callsign/callsign.toml")
    monkeypatch.delenv("CALLSIGN_CONFIG")
    assert config.path_of(None) == Path("/etc/callsign/callsign.toml")


def test_a_file_that_cannot_be_read_is_one_fault_with_its_reason(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(config.ConfigError) as refusal:
            config.load(path)
        hint = "--config or $CALLSIGN_CONFIG can name another"
        assert refusal.value.faults == [f"{path}: cannot be read: {reason}; {hint}"]


# -- what is wrong -------------------------------------------------------------------------------------

NEAREST = [
    ('[skarabe]\nkey = "x"', "[skarabe]: unknown section; did you mean skarabee?"),
    ("[zzz]", f"[zzz]: unknown section; known are {', '.join(SECTIONS)}"),
    (SKARABEE + 'bussinessid = "1"', "[skarabee] bussinessid: unknown key; did you mean businessid?"),
    (SKARABEE + 'Clock = "unix"', "[skarabee] Clock: unknown key; did you mean clock?"),
    (SKARABEE + 'keyfile = "/x"', "[skarabee] keyfile: unknown key; did you mean key_file?"),
    (NOOJEE + "verifiy = true", "[noojee] verifiy: unknown key; did you mean verify?"),
    (NOOJEE + 'zzz = "1"', "[noojee] zzz: unknown key; known are url, key, auth, verify, key_file"),
    (
        SKARABEE + '[[skarabee.office]]\nbusinessid = "1"\nkey = "k"\nnumber = ["1"]',
        "[[skarabee.office]] 1: number: unknown key; did you mean numbers?",
    ),
    ("[numbers]\n[numbers.internal]", '[numbers] internal: wanted a list such as ["050112233"], found a table'),
]


@pytest.mark.parametrize(("text", "fault"), NEAREST)
def test_an_unknown_name_is_told_with_the_nearest_known_one(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == [fault]


MISSING = [
    ("[skarabee]", ["url", "businessid", "key (or key_file)"]),
    ("[noojee]", ["url", "key (or key_file)"]),
    ("[mor]", ["url", "user", "key (or key_file)"]),
    ("[kalliope]", ["url", "username", "password (or password_file)"]),
    ("[sraps]", ["url", "key_id", "key_secret (or key_secret_file)"]),
]


@pytest.mark.parametrize(("section", "keys"), MISSING)
def test_every_missing_value_is_named(tmp_path: Path, section: str, keys: list[str]) -> None:
    assert faults(tmp_path, section) == [f"{section} {key}: is missing" for key in keys]


def test_a_missing_value_of_an_office_is_named_with_the_office(tmp_path: Path) -> None:
    text = SKARABEE + '[[skarabee.office]]\nbusinessid = "1"\nkey = "k"\n[[skarabee.office]]\nbusinessid = "2"'
    assert faults(tmp_path, text) == ["[[skarabee.office]] 2: key (or key_file): is missing"]


def test_all_faults_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = faults(
        tmp_path, '[outbox]\nkeep_days = "x"\n[nojee]\n[skarabee]\nurl = "x"\nclok = "unix"\n[numbers]\ncountry = 1'
    )
    places = ["[outbox] keep_days", "[nojee]", "[skarabee] url", "[skarabee] clok", "[skarabee] businessid"]
    places += ["[skarabee] key (or key_file)", "[numbers] country"]
    assert [line.partition(": ")[0] for line in found] == places


def test_a_number_of_two_offices_is_a_fault_and_is_not_shown(tmp_path: Path) -> None:
    office = '[[skarabee.office]]\nbusinessid = "{}"\nkey = "k"\nnumbers = ["050 11 22 33", "{}"]\n'
    text = SKARABEE + office.format("9001", "2XX") + office.format("9002", "3XX")
    (fault,) = faults(tmp_path, text)
    assert fault.startswith("[[skarabee.office]] 2: numbers: one of these is office 9001's already")
    assert "0501122" not in fault.replace(" ", "")


def test_a_list_of_peers_must_not_be_empty(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "[server]\nallow = []\n")
    assert fault == "[server] allow: must not be empty: nobody could connect"


def test_two_offices_with_one_id_are_a_fault(tmp_path: Path) -> None:
    # the second key would never be used
    office = '[[skarabee.office]]\nbusinessid = "{}"\nkey = "k"\n'
    text = SKARABEE + office.format("9001") + office.format("8103") + office.format("9001")
    assert faults(tmp_path, text) == [
        "[[skarabee.office]] 2: businessid: another office has this one",
        "[[skarabee.office]] 3: businessid: another office has this one",
    ]


def test_a_country_without_a_numbering_plan_is_found_when_looked_up(tmp_path: Path) -> None:
    # `serve` and `check` look it up; a plain AGI script has no time for the plans
    assert faults(tmp_path, '[numbers]\ncountry = "XX"', check_country=True) == [
        '[numbers] country: no numbering plan is known for "XX"'
    ]
    read, _ = config.load(tmp_path / "callsign.toml")
    assert read.numbers.country == "XX"


def test_a_machine_without_time_zones_is_told_what_to_install(tmp_path: Path) -> None:
    search_path = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        if zoneinfo.available_timezones():
            pytest.skip("the package tzdata is installed, which no path switches off")
        # also where the zone is only the default, but only where it is needed
        for text in ('timezone = "Europe/Brussels"', 'clock = "local"'):
            assert faults(tmp_path, SKARABEE + text) == [
                "[skarabee] timezone: no time zone database here: install tzdata"
            ]
        assert load(tmp_path, SKARABEE + 'clock = "unix"').skarabee is not None
    finally:
        zoneinfo.reset_tzpath(search_path)


# -- what is no TOML -----------------------------------------------------------------------------------

NO_TOML = [
    ("[skarabee]\nkey = MY-SECRET", "is no TOML: Invalid value (at line 2, column 7)"),
    ("[skarabee]\nkey MY-SECRET", "is no TOML: Expected '=' after a key in a key/value pair (at line 2, column 5)"),
    ('[skarabee]\nkey = "MY-SECRET', "is no TOML: Unterminated string (at end of document)"),
    ('[skarabee]\nkey = "MY-SECRET\nx', "is no TOML: Illegal character (at line 2, column 17)"),
    ('[skarabee]\nkey = "MY-SECRET\\q"', "is no TOML: Unescaped '\\' in a string (at line 2, column 18)"),
    ("[MY-SECRET]\n[MY-SECRET]", "is no TOML: Cannot declare (at line 2, column 11)"),
    ("a = { MY-SECRET = 1, MY-SECRET = 2 }", "is no TOML: Duplicate inline table key (at line 1, column 34)"),
    ("a = " + "9" * 5000, "is no TOML: a number has too many digits"),
    ("a = " + "[" * 5000, "is no TOML: it is nested too deep"),
    ("a = " + "{a=" * 5000, "is no TOML: it is nested too deep"),
]


@pytest.mark.parametrize(("text", "fault"), NO_TOML, ids=[fault for _, fault in NO_TOML])
def test_what_is_no_toml_is_told_by_its_place_and_not_quoted(tmp_path: Path, text: str, fault: str) -> None:
    (found,) = faults(tmp_path, text)
    # the columns and the words are the parser's, and may change with it; that there are some is ours
    assert re.match(r"is no TOML: \w+( .+)? \((at line \d+, column \d+|at end of document)\)$", found) or found == fault
    assert "MY-SECRET" not in found


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        (SKARABEE + NOOJEE + SKARABEE, "[skarabee], or a part of it,", 8),
        (SKARABEE + "[[skarabee.office]]\n[skarabee.office]\n", "[skarabee], or a part of it,", 6),
        (SKARABEE + 'key = "MY-SECRET"\n[mor]', "a key or section", 5),
    ],
)
def test_what_stands_twice_is_named(tmp_path: Path, text: str, what: str, line: int) -> None:
    (found,) = faults(tmp_path, text)
    assert found.startswith(f"is no TOML: {what} stands twice (at line {line}, ")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "\ufeff\ufeff" + NOOJEE,
            "Invalid statement (at line 1, column 1): U+FEFF ZERO WIDTH NO-BREAK SPACE stands there",
        ),
        ("[noojee]\r\n\u200burl = 1", "Invalid statement (at line 2, column 1): U+200B ZERO WIDTH SPACE stands there"),
        (
            "[noojee]\nurl\u00a0= 1",
            "Expected '=' after a key in a key/value pair (at line 2, column 4): U+00A0 NO-BREAK SPACE stands there",
        ),
        (
            "[noojee]\nkey = \u201cMY-SECRET\u201d",
            "Invalid value (at line 2, column 7): U+201C LEFT DOUBLE QUOTATION MARK stands there",
        ),
    ],
)
def test_what_nobody_sees_beside_the_values_is_named_where_it_stands(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == [f"is no TOML: {fault}"]


@pytest.mark.parametrize("character", "\u200b\u200e\u202e\u2060\ufeff\u00ad\u00a0\ufe0f\u3164\u2028\ue000")
@pytest.mark.parametrize(
    ("text", "where"),
    [
        (SKARABEE.replace("the-key", "the-{}key"), "[skarabee] key"),
        (SKARABEE.replace("voip", "voi{}p"), "[skarabee] url"),
        (SKARABEE.replace("8103", "81{}03"), "[skarabee] businessid"),
        (SKARABEE + 'clock = "unix{}"', "[skarabee] clock"),
        (SKARABEE + 'phoneto = {{ "201{}" = "056528998" }}', "[skarabee] phoneto"),
        (
            SKARABEE + '[[skarabee.office]]\nbusinessid = "1"\nkey = "k"\nnumbers = ["050{}"]',
            "[[skarabee.office]] 1: numbers",
        ),
        ('[numbers]\ncountry = "BE{}"', "[numbers] country"),
        ('[server]\nlisten = "127.0.0.1:4591{}"', "[server] listen"),
        (SKARABEE + '"clock{}" = "unix"', "[skarabee] clock"),
        ('["noojee{}"]', "[noojee"),
    ],
)
def test_a_character_that_nobody_sees_is_refused_with_its_place(
    tmp_path: Path, text: str, where: str, character: str
) -> None:
    found = faults(tmp_path, text.format(character))
    assert len(found) == 1
    assert found[0].startswith(where)
    assert re.search(rf"character \d+ is U\+{ord(character):04X}", found[0])


def test_other_scripts_and_spaces_between_words_are_seen(tmp_path: Path) -> None:
    read = load(tmp_path, '[mor]\nurl = "https://m.example"\nkey = "k"\nuser = "Zoë Peeters 山田"').mor
    assert read is not None
    assert read.user == "Zoë Peeters 山田"


@pytest.mark.parametrize(
    ("encoding", "fault"),
    [
        ("utf-16", "is UTF-16: save it as UTF-8"),
        ("utf-16-le", "line 1 holds a NUL, as UTF-16 has them: save it as UTF-8"),
        ("latin-1", "line 4 holds a byte that is not UTF-8: save it as UTF-8"),
    ],
)
def test_another_encoding_is_named_with_what_to_save_the_file_as(tmp_path: Path, encoding: str, fault: str) -> None:
    path = write(tmp_path, "")
    path.write_bytes(SKARABEE.replace("the-key", "the-kéy").encode(encoding))
    with pytest.raises(config.ConfigError) as refusal:
        config.load(path)
    assert refusal.value.faults == [f"{path}: {fault}"]


def test_bytes_that_are_no_text_are_told_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "callsign.toml"
    path.write_bytes(b'[skarabee]\nkey = "\xe9"')
    path.chmod(0o600)
    with pytest.raises(config.ConfigError) as refusal:
        config.load(path)
    assert refusal.value.faults == [f"{path}: line 2 holds a byte that is not UTF-8: save it as UTF-8"]
