"""What each path makes of a call: the notification to store, or the reason to send none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agi_lines import CALLER, UNIQUE_ID, a_step
from callsign import __version__
from callsign.notification import Notification
from callsign.settings.sections import Settings
from callsign.steps.handlers import HANDLERS, Direct, Notify, Skipped, facts_to_ask
from callsign.steps.step import StepFault
from callsign.vendors.interface import Ask
from settings_file import NOOJEE, SKARABEE, load

LINKEDID = "1699999999.9"
CHANNEL = {"channel": UNIQUE_ID}  # for the log, where the call is another
OFFICES = """
[[skarabee.office]]
businessid = "9001"
key = "k"
numbers = ["050 11 22 33", "2XX", "sip:kantoor@pbx"]
[[skarabee.office]]
businessid = "9002"
key = "k"
numbers = ["05011223X", "00325011225X", "+31206586004"]
"""


@pytest.fixture
def plain(tmp_path: Path) -> Settings:
    return load(tmp_path, SKARABEE + NOOJEE)


def ask(settings: Settings, request: str, *args: str, **env: str) -> Notification | Skipped:
    step = a_step(request, *args, **env)
    handler = HANDLERS[request]
    assert isinstance(handler, Notify)
    return handler.notification(step, step.arguments(handler.names), settings)


def told(settings: Settings, request: str, *args: str, **env: str) -> Notification:
    found = ask(settings, request, *args, **env)
    assert isinstance(found, Notification)
    return found


def fault(settings: Settings, request: str, *args: str, **env: str) -> str:
    with pytest.raises(StepFault) as refusal:
        ask(settings, request, *args, **env)
    return str(refusal.value)


CLUSTER = """
[cluster]
database = "host=127.0.0.1 dbname=callsign user=callsign"
host = "pbx1"
"""


# -- skarabee ------------------------------------------------------------------------------------------


def test_skarabee_tells_who_calls_whom(plain: Settings) -> None:
    before = time.time()
    found = told(plain, "skarabee")
    assert dict(found.facts) == {"businessid": "8103", "phoneto": "201", "phonefrom": CALLER}
    assert (found.system, found.action, found.call) == ("skarabee", "skarabee", UNIQUE_ID)
    assert before <= found.created_at <= time.time()  # the call's time is signed, at whichever attempt
    assert found.lifetime_seconds == 14 * 60  # the service takes 15 minutes


def test_skarabee_takes_its_arguments_in_their_order(plain: Settings) -> None:
    found = told(plain, "skarabee", "056528999", "056528998", "8103", LINKEDID)
    assert dict(found.facts) == {"businessid": "8103", "phoneto": "056528998", "phonefrom": "056528999"} | CHANNEL
    assert found.call == LINKEDID
    assert HANDLERS["skarabee"].names == ("phonefrom", "phoneto", "businessid", "call")


def test_skarabee_does_not_hold_the_call(plain: Settings) -> None:
    handler = HANDLERS["skarabee"]
    assert isinstance(handler, Notify)
    assert handler.wait_seconds == 0


def test_the_number_dialled_from_outside_comes_before_the_extension(plain: Settings) -> None:
    assert told(plain, "skarabee", agi_dnid="056528998").facts["phoneto"] == "056528998"
    assert told(plain, "skarabee", agi_dnid="unknown").facts["phoneto"] == "201"
    assert told(plain, "skarabee", agi_dnid="").facts["phoneto"] == "201"
    # a trunk that registers without an extension is called at "s"
    assert told(plain, "skarabee", agi_dnid="s").facts["phoneto"] == "201"


@pytest.mark.parametrize("extension", ["s", "h", "i", "t", "T", "o", "a", "e", "failed", ""])
def test_an_extension_that_names_nobody_is_no_phoneto(plain: Settings, extension: str) -> None:
    found = fault(plain, "skarabee", agi_extension=extension)
    assert found == f'phoneto: the extension "{extension}" names nobody; give phoneto, such as ${{EXTEN}}'
    assert told(plain, "skarabee", "", "056528998", agi_extension=extension).facts["phoneto"] == "056528998"


def test_a_missing_section_is_named_with_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    wanted = f"the settings have no section [{{}}]: add it to {tmp_path / 'callsign.toml'}"
    assert fault(settings, "skarabee") == wanted.format("skarabee")
    assert fault(settings, "noojee/start") == wanted.format("noojee")
    assert fault(settings, "noojee/stop") == wanted.format("noojee")


def test_a_misspelt_name_does_not_go_out_as_a_number(plain: Settings) -> None:
    known = "phonefrom, phoneto, businessid, call"
    assert fault(plain, "skarabee", "phonetoo=201") == f"phonetoo= is none of this path's arguments: {known}"
    assert fault(plain, "skarabee", "", "businesid=1") == f"businesid= is none of this path's arguments: {known}"


@pytest.mark.parametrize(
    ("number", "businessid"),
    [
        ("050112233", "9001"),  # however the trunk and the settings write it
        ("+3250112233", "9001"),
        ("003250112233", "9001"),
        ("050112234", "9002"),  # a pattern of national numbers
        ("+3250112234", "9002"),
        ("003250112255", "9002"),  # and one of numbers as they are dialled
        ("250", "9001"),
        ("sip:kantoor@pbx", "9001"),
        ("0031206586004", "9002"),
        ("056528998", "8103"),
        ("300", "8103"),
    ],
)
def test_the_office_is_the_one_that_owns_the_called_number(tmp_path: Path, number: str, businessid: str) -> None:
    settings = load(tmp_path, SKARABEE + OFFICES)
    assert told(settings, "skarabee", agi_dnid=number).facts["businessid"] == businessid
    assert told(settings, "skarabee", phoneto(number)).facts["businessid"] == businessid


def phoneto(number: str) -> str:
    return f"phoneto={number}"


def test_the_dialplan_may_name_the_office(tmp_path: Path) -> None:
    settings = load(tmp_path, SKARABEE + OFFICES)
    assert told(settings, "skarabee", "businessid=9002", agi_dnid="050112233").facts["businessid"] == "9002"
    found = fault(settings, "skarabee", "businessid=9003")
    assert found == "businessid 9003: no such office in the settings, known: 8103, 9001, 9002"


def test_a_number_in_the_place_of_the_office_is_not_repeated(plain: Settings) -> None:
    assert CALLER not in fault(plain, "skarabee", "", "", CALLER)


def test_an_extension_goes_out_as_the_number_of_its_profile(tmp_path: Path) -> None:
    mapped = 'phoneto = { "201" = "056 52 89 98", "s" = "056528997" }\n'
    settings = load(tmp_path, SKARABEE + mapped + OFFICES)
    found = told(settings, "skarabee")
    # `mapped` keeps it as the profile has it, whatever [numbers] format says
    assert dict(found.facts) == {
        "businessid": "9001", "phoneto": "056 52 89 98", "phonefrom": CALLER, "mapped": "1"
    }  # fmt: skip
    # an analogue line has no other extension than "s"
    assert told(settings, "skarabee", agi_extension="s").facts["phoneto"] == "056528997"
    assert "mapped" not in told(settings, "skarabee", agi_dnid="202").facts


def test_an_extension_mapped_to_itself_counts_as_mapped(tmp_path: Path) -> None:
    settings = load(tmp_path, SKARABEE + 'phoneto = { "0032056528998" = "0032056528998" }\n')
    assert told(settings, "skarabee", phoneto("0032056528998")).facts["mapped"] == "1"


def test_the_office_may_own_the_extension_or_the_number_it_is_mapped_to(tmp_path: Path) -> None:
    settings = load(tmp_path, SKARABEE + 'phoneto = { "jan" = "050112233" }\n' + OFFICES)
    assert told(settings, "skarabee", phoneto("jan")).facts["businessid"] == "9001"


def test_the_office_of_the_number_that_goes_out_comes_before_the_one_of_the_extension(tmp_path: Path) -> None:
    mapped = 'phoneto = { "201" = "050112237", "202" = "056528998" }\n'
    settings = load(tmp_path, SKARABEE + mapped + OFFICES)  # 2XX is 9001's, and stands before 9002
    assert told(settings, "skarabee", phoneto("201")).facts["businessid"] == "9002"
    assert told(settings, "skarabee", phoneto("202")).facts["businessid"] == "9001"


INTERNAL = '[numbers]\ninternal = ["2XX", "3XXX"]\n'


def test_a_call_between_two_internal_numbers_is_skipped(tmp_path: Path) -> None:
    settings = load(tmp_path, INTERNAL + SKARABEE)
    assert ask(settings, "skarabee", agi_callerid="202", agi_extension="3001") == Skipped("an internal call")
    assert told(settings, "skarabee", agi_extension="3001")
    assert told(settings, "skarabee", agi_callerid="202", agi_extension="056528998")
    assert ask(settings, "skarabee", "202", "201") == Skipped("an internal call")


def test_a_mapped_extension_is_internal_still(tmp_path: Path) -> None:
    settings = load(tmp_path, INTERNAL + SKARABEE + 'phoneto = { "201" = "056528998" }')
    assert ask(settings, "skarabee", agi_callerid="202") == Skipped("an internal call")


WITHHELD = [
    {"agi_callerid": "unknown"},
    {"agi_callerid": ""},
    {"agi_callerid": "anonymous"},
    {"agi_callerid": "Restricted"},
    {"agi_callingpres": "32"},
    {"agi_callingpres": "35"},
    {"agi_callingpres": "67"},
]


@pytest.mark.parametrize("env", WITHHELD)
def test_an_anonymous_or_withheld_caller_is_skipped(plain: Settings, env: dict[str, str]) -> None:
    found = ask(plain, "skarabee", **env)
    assert found == Skipped('the caller is anonymous; [skarabee] anonymous = "send" would send it')


@pytest.mark.parametrize("env", WITHHELD)
def test_the_administrator_may_say_to_send_them(tmp_path: Path, env: dict[str, str]) -> None:
    settings = load(tmp_path, SKARABEE + 'anonymous = "send"')
    expected = CALLER if "agi_callingpres" in env else "anonymous"  # the only number there is, or none
    assert told(settings, "skarabee", **env).facts["phonefrom"] == expected


@pytest.mark.parametrize("name", ["trunk", "provider-1", "sip:trunk@192.0.2.1"])
def test_a_name_in_place_of_the_callers_number_is_nobodys(tmp_path: Path, plain: Settings, name: str) -> None:
    skipped = ask(plain, "skarabee", agi_callerid=name)
    assert isinstance(skipped, Skipped)
    assert "no number but a name" in skipped.reason
    settings = load(tmp_path, SKARABEE + 'anonymous = "send"')
    assert told(settings, "skarabee", agi_callerid=name).facts["phonefrom"] == "anonymous"
    assert told(plain, "skarabee", name, agi_callerid="unknown")  # as the dialplan has it


def test_an_allowed_presentation_is_sent(plain: Settings) -> None:
    assert told(plain, "skarabee", agi_callingpres="3").facts["phonefrom"] == CALLER


@pytest.mark.parametrize("notation", [CALLER, "+32478123456", "0478 12 34 56", "478123456", "32478123456"])
def test_a_withheld_number_is_withheld_in_any_notation_that_the_dialplan_gives(plain: Settings, notation: str) -> None:
    assert isinstance(ask(plain, "skarabee", notation, agi_callingpres="32"), Skipped)


def test_another_number_than_the_withheld_one_may_be_given(plain: Settings) -> None:
    # such as a trunk's own header, where the channel has no number at all
    assert told(plain, "skarabee", "056528999", agi_callerid="unknown", agi_callingpres="67")
    assert isinstance(ask(plain, "skarabee", "anonymous"), Skipped)


def test_one_call_to_one_number_has_one_mark_however_both_are_written(plain: Settings) -> None:
    first = told(plain, "skarabee", f"call={LINKEDID}", agi_dnid="056528998").dedupe_key
    assert first
    assert first == told(plain, "skarabee", "+3256", "+3256528998", "8103", LINKEDID).dedupe_key
    assert first != told(plain, "skarabee", f"call={LINKEDID}", agi_dnid="056528997").dedupe_key
    assert first != told(plain, "skarabee", f"call={UNIQUE_ID}", agi_dnid="056528998").dedupe_key


# What came from an own host, as callsign-call in extensions_callsign.conf passes it on
THERE = "pbx2-1700000000.5"


@pytest.mark.parametrize("number", ["056528998", "+3256528998", "056528998@pbx2", "201"])
def test_what_another_host_has_told_of_a_call_is_not_told_again(tmp_path: Path, number: str) -> None:
    settings = load(tmp_path, SKARABEE + 'phoneto = { "201" = "056528998" }')
    came = f"call={THERE};told=056528997;told={number}"
    assert ask(settings, "skarabee", came, agi_dnid="201") == Skipped("this call was notified already, by another host")
    assert told(settings, "skarabee", came, agi_dnid="202").facts["phoneto"] == "202"


@pytest.mark.parametrize("request_line", ["skarabee", "noojee/start", "noojee/stop"])
@pytest.mark.parametrize("behind", ["", ";told=056528998", ";told=;told=x"])
def test_a_call_has_the_name_that_another_host_gave_it(plain: Settings, request_line: str, behind: str) -> None:
    found = told(plain, request_line, f"call={THERE}{behind}")
    assert found.call == THERE
    assert found.facts["channel"] == UNIQUE_ID
    assert "told" not in str(found)


@pytest.mark.parametrize("request_line", ["skarabee", "noojee/start", "noojee/stop"])
def test_in_a_cluster_a_call_of_an_asterisk_without_systemname_is_named_after_its_host(
    tmp_path: Path, plain: Settings, request_line: str
) -> None:
    settings = load(tmp_path, SKARABEE + NOOJEE + CLUSTER)
    assert told(settings, request_line).call == f"pbx1/{UNIQUE_ID}"
    assert told(settings, request_line, f"call={LINKEDID}").call == f"pbx1/{LINKEDID}"
    for named in (THERE, "an order's number"):
        assert told(settings, request_line, f"call={named}").call == named
    assert told(plain, request_line, f"call={LINKEDID}").call == LINKEDID


@pytest.mark.parametrize("request_line", ["skarabee", "noojee/start", "noojee/stop"])
def test_a_channel_without_a_unique_id_must_name_its_call(plain: Settings, request_line: str) -> None:
    args = [] if request_line == "skarabee" else ["201"]
    found = fault(plain, request_line, *args, agi_uniqueid="unknown")
    assert found == "call: the channel has no unique id; give call, such as ${CHANNEL(linkedid)}"
    assert told(plain, request_line, *args, f"call={LINKEDID}", agi_uniqueid="").call == LINKEDID


# -- numbers as SIP leaves them ------------------------------------------------------------------------

LEFTOVERS = ["{};npdi=yes;rn=+3247", "tel:{};phone-context=+32", "sip:{}@192.0.2.1:5060;user=phone", "\u202a{}\u202c"]


@pytest.mark.parametrize("leftover", LEFTOVERS)
@pytest.mark.parametrize("number", ["+3250112233", "050112233", "+050112233"])
def test_what_sip_leaves_in_a_number_changes_neither_office_nor_number(
    tmp_path: Path, leftover: str, number: str
) -> None:
    settings = load(tmp_path, SKARABEE + OFFICES)
    plain_number = number.replace("+0", "0")
    for found in (
        told(settings, "skarabee", agi_dnid=leftover.format(number)),
        told(settings, "skarabee", agi_extension=leftover.format(number)),
        told(settings, "skarabee", "", phoneto(leftover.format(number))),
    ):
        assert dict(found.facts) == {"businessid": "9001", "phoneto": plain_number, "phonefrom": CALLER}
    for found in (
        told(settings, "skarabee", agi_callerid=leftover.format(number)),
        told(settings, "skarabee", f"phonefrom={leftover.format(number)}"),
    ):
        assert found.facts["phonefrom"] == plain_number


@pytest.mark.parametrize("leftover", LEFTOVERS)
def test_what_sip_leaves_in_a_number_makes_nobody_external_or_shown(tmp_path: Path, leftover: str) -> None:
    settings = load(tmp_path, INTERNAL + SKARABEE)
    internal = ask(settings, "skarabee", agi_callerid=leftover.format("202"), agi_extension=leftover.format("201"))
    assert internal == Skipped("an internal call")
    for nobody in ("anonymous", "asterisk", "0", "+", "-1"):
        assert isinstance(ask(settings, "skarabee", agi_callerid=leftover.format(nobody)), Skipped)
    withheld = ask(settings, "skarabee", leftover.format("+32478123456"), agi_callingpres="32")
    assert isinstance(withheld, Skipped)


@pytest.mark.parametrize("leftover", LEFTOVERS[:-1])  # settings hold nothing that nobody sees
def test_offices_and_maps_may_be_written_as_sip_has_them(tmp_path: Path, leftover: str) -> None:
    office = f"""
[[skarabee.office]]
businessid = "9003"
key = "k"
numbers = ["{leftover.format("+3250112299")}"]
"""
    mapping = f'phoneto = {{ "{leftover.format("jan")}" = "050112299" }}\n'
    settings = load(tmp_path, SKARABEE + mapping + office)
    assert told(settings, "skarabee", phoneto("050112299")).facts["businessid"] == "9003"
    assert told(settings, "skarabee", phoneto("jan")).facts["phoneto"] == "050112299"
    assert told(settings, "skarabee", phoneto("sip:jan@elsewhere")).facts["phoneto"] == "050112299"


@pytest.mark.parametrize("number", ["+", "-1", "@056528998", ";x=1"])
def test_what_stands_for_no_number_is_no_phoneto(plain: Settings, number: str) -> None:
    found = fault(plain, "skarabee", phoneto(number))
    assert "names nobody" in found
    assert "056528998" not in found  # a reason holds no number


def test_the_operator_at_0_may_be_called(plain: Settings) -> None:
    assert told(plain, "skarabee", agi_extension="0").facts["phoneto"] == "0"


ASKED = [("mor/caller", "cli"), ("kalliope/lastcall", "number")]


@pytest.mark.parametrize("leftover", LEFTOVERS)
@pytest.mark.parametrize(("path", "name"), ASKED)
def test_a_question_about_a_number_reads_it_in_the_same_way(
    tmp_path: Path, path: str, name: str, leftover: str
) -> None:
    settings = load(tmp_path, MOR_AND_KALLIOPE)
    number = leftover.format("+056528999")
    assert asked(settings, path, agi_callerid=number) == {name: "056528999"}
    assert asked(settings, path, f"{name}={number}", agi_callerid="anonymous") == {name: "056528999"}
    assert asked(settings, path, f"{name}={number}", agi_callingpres="32") == {name: "056528999"}
    assert isinstance(asked(settings, path, agi_callerid=leftover.format("trunk")), Skipped)
    for nobody in ("anonymous", "asterisk", "0", "+", "-1"):
        assert isinstance(asked(settings, path, agi_callerid=leftover.format(nobody)), Skipped)
        assert isinstance(asked(settings, path, f"{name}={leftover.format(nobody)}"), Skipped)


def asked(settings: Settings, path: str, *args: str, **env: str) -> dict[str, str] | Skipped:
    question = HANDLERS[path]
    assert isinstance(question, Ask)
    step = a_step(path, *args, **env)
    return facts_to_ask(question, step, step.arguments(question.names))


MOR_AND_KALLIOPE = """
[mor]
url = "https://mor.example/billing/api"
user = "admin"
key = "k"
[kalliope]
url = "https://kalliope.example"
username = "admin"
password = "k"
"""


# -- noojee/start --------------------------------------------------------------------------------------


def test_noojee_start_records_this_channel(plain: Settings) -> None:
    before = time.time()
    found = told(plain, "noojee/start")
    assert dict(found.facts) == {"extenOrUniqueId": UNIQUE_ID}
    assert (found.system, found.action, found.call) == ("noojee", "noojee/start", UNIQUE_ID)
    assert before <= found.created_at <= time.time()
    assert found.lifetime_seconds == 60
    assert found.dedupe_key == ""  # a recording may be started twice in one call


def test_noojee_start_takes_its_arguments_in_their_order(plain: Settings) -> None:
    found = told(plain, "noojee/start", "201", "order 7", "Anne", LINKEDID)
    assert dict(found.facts) == {"extenOrUniqueId": "201", "tag": "order 7", "agentLoginName": "Anne"} | CHANNEL
    assert found.call == LINKEDID
    assert HANDLERS["noojee/start"].names == ("extenOrUniqueId", "tag", "agentLoginName", "call")


def test_noojee_waits_two_seconds_for_the_recorder() -> None:
    for path in ("noojee/start", "noojee/stop"):
        handler = HANDLERS[path]
        assert isinstance(handler, Notify)
        assert handler.wait_seconds == 2


@pytest.mark.parametrize("path", ["noojee/start", "noojee/stop"])
@pytest.mark.parametrize("extension", ["201", "1700000000", "SIP/201", "201.5", "x-201.5", "+3256528998"])
def test_a_command_by_extension_lives_ten_seconds(plain: Settings, path: str, extension: str) -> None:
    # a late one would hit the next call of that phone
    assert told(plain, path, extension).lifetime_seconds == 10


@pytest.mark.parametrize(("path", "seconds"), [("noojee/start", 60), ("noojee/stop", 3600)])
@pytest.mark.parametrize("unique_id", [UNIQUE_ID, LINKEDID, "pbx-1700000000.12", "my-pbx-1700000000.12"])
def test_a_command_by_unique_id_lives_longer(plain: Settings, path: str, seconds: float, unique_id: str) -> None:
    assert told(plain, path, unique_id).lifetime_seconds == seconds


def test_the_channels_own_unique_id_is_one_whatever_it_looks_like(plain: Settings) -> None:
    assert told(plain, "noojee/start", agi_uniqueid="rack/3-1700000000.1").lifetime_seconds == 60


@pytest.mark.parametrize("path", ["noojee/start", "noojee/stop"])
def test_a_recording_must_be_named_in_one_word(plain: Settings, path: str) -> None:
    wanted = "extenOrUniqueId: wanted an extension or a unique id, without spaces"
    assert fault(plain, path, "201 202") == wanted
    assert fault(plain, path, agi_uniqueid="unknown") == wanted


# -- noojee/stop ---------------------------------------------------------------------------------------


def test_noojee_stop_ends_this_channels_recording(plain: Settings) -> None:
    found = told(plain, "noojee/stop")
    assert dict(found.facts) == {"extenOrUniqueId": UNIQUE_ID}
    assert (found.system, found.action, found.call) == ("noojee", "noojee/stop", UNIQUE_ID)
    assert found.lifetime_seconds == 3600
    assert found.dedupe_key == ""


def test_noojee_stop_takes_its_arguments_in_their_order(plain: Settings) -> None:
    found = told(plain, "noojee/stop", "201", "Anne", LINKEDID)
    assert dict(found.facts) == {"extenOrUniqueId": "201", "agentLoginName": "Anne"} | CHANNEL
    assert found.call == LINKEDID
    assert HANDLERS["noojee/stop"].names == ("extenOrUniqueId", "agentLoginName", "call")


# -- ping ----------------------------------------------------------------------------------------------


def test_ping_says_that_callsign_is_there_and_which() -> None:
    handler = HANDLERS["ping"]
    assert isinstance(handler, Direct)
    assert handler.names == ()
    assert handler.variables() == {"CALLSIGNSTATUS": "OK", "CALLSIGNREASON": "", "CALLSIGNVERSION": __version__}
