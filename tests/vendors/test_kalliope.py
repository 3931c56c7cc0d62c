"""Kalliope's files, driven by hand: no socket, no clock and no chance of their own."""

from __future__ import annotations

import json
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from callsign.delivery.conversation import run_conversation
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.settings.secret import Secret
from callsign.settings.sections import Kalliope, Numbers
from callsign.vendors.interface import Probed
from callsign.vendors.kalliope import history as kalliope_history
from callsign.vendors.kalliope import last_call
from callsign.vendors.kalliope import signing as kalliope_signing
from callsign.vendors.kalliope.history import History, Window
from callsign.vendors.kalliope.last_call import CROWDED_REASON, MASKED_REASON, Memory
from callsign.vendors.kalliope.pbx_clock import local_period, moment
from callsign.vendors.kalliope.register import COLUMNS, NoRegister, rows_of
from callsign.vendors.kalliope.signing import Signer
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Delivered, Found, Invalid, Refused, TryLater
from clocks_play import Clock

VECTORS = tomli.loads((Path(__file__).parents[1] / "vectors" / "kalliope.toml").read_text(encoding="utf-8"))["vector"]

URL = "https://kalliope.example"
SALT = "b5a8fdcf2f8d5acdad33c4a072a97d7a"
ROME = ZoneInfo("Europe/Rome")
NOON = datetime(2026, 5, 20, 12, 0, tzinfo=ROME).timestamp()
DAY = 86400.0
CUSTOMER = "056528999"
LONG_SECONDS = 30.0
HEADER = "#" + ",".join(COLUMNS)


def repr_of(body: str) -> str:
    """Of a test's parameter, short."""
    return repr(body[:40])


def settings(**changes: Any) -> Kalliope:
    section = {"url": URL, "username": "admin", "password": Secret("admin"), **changes}
    return Kalliope(**section)


def row(at: float, called: str = CUSTOMER, extension: str = "206", **changes: str) -> dict[str, str]:
    """A call that begins at `at` (epoch seconds) and has no length."""
    start = datetime.fromtimestamp(at, ROME).strftime("%Y-%m-%d %H:%M:%S")
    made = dict.fromkeys(COLUMNS, "")
    made |= {"id": f"{int(at)}.0", "source": "local_exten", "start_time": start, "end_time": start}
    return made | {"account_code": extension, "called": called, "status": "NO ANSWER"} | changes


def as_csv(rows: Sequence[Mapping[str, str]]) -> bytes:
    return "\n".join([HEADER, *(",".join(one[name] for name in COLUMNS) for one in rows), ""]).encode()


class Pbx:
    """Plays the PBX for `run_conversation`: answers by period, as the register has a call after its end."""

    def __init__(self, wall: Clock) -> None:
        self.wall = wall
        self.calls: list[tuple[float, dict[str, str]]] = []  # when it is over, and its row
        self.salt = SALT
        self.sent: list[Request] = []
        self.fails: list[Reply] = []  # for the first requests for the register
        self.bytes = 0

    def call(self, at: float, seconds: float = 0.0, **changes: str) -> None:
        self.calls.append((at + seconds, row(at, **changes)))

    def __call__(self, request: Request, _seconds: float) -> Reply:
        self.sent.append(request)
        if request.method == "GET":
            return Answer(200, {}, json.dumps({"salt": self.salt}).encode())
        if self.fails:
            return self.fails.pop(0)
        wanted = fields_of(request)
        found = [
            one
            for end, one in self.calls
            if end <= self.wall() and wanted["begin"] <= one["start_time"] <= wanted["end"]
        ]
        body = as_csv(found)
        self.bytes += len(body)
        return Answer(200, {"content-type": "text/csv"}, body)

    def periods(self) -> list[tuple[str, str]]:
        asked = [fields_of(request) for request in self.sent if request.method == "POST"]
        return [(one["begin"], one["end"]) for one in asked]


def fields_of(request: Request) -> dict[str, str]:
    return {field.tag: field.text or "" for field in ElementTree.fromstring(request.body)[0]}


class Ticking(Clock):
    """No two readings are the same."""

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


class Desk:
    """One process: its memory, two clocks that go together, and the PBX."""

    def __init__(self, now: float = NOON) -> None:
        self.wall, self.steady = Clock(now), Ticking(5000.0)
        self.pbx = Pbx(self.wall)
        nonces = iter(f"{number:032x}" for number in range(10**6))
        self.memory = Memory(self.wall, self.steady, Signer(self.wall, lambda: next(nonces)))
        self.settings, self.numbers = settings(), Numbers(country="BE")

    def later(self, seconds: float) -> None:
        self.wall.now += seconds
        self.steady.now += seconds

    def ask(self, number: str = CUSTOMER, days: str | None = None) -> Any:
        facts = {"number": number} | ({} if days is None else {"days": days})
        return run_conversation(
            last_call.lastcall(self.settings, self.numbers, facts, self.memory),
            self.pbx,
            lambda: 0.0,
            LONG_SECONDS,
            LONG_SECONDS,
        )

    def prefetch(self) -> Any:
        conversation = last_call.prefetch(self.settings, self.numbers, self.memory)
        return run_conversation(conversation, self.pbx, lambda: 0.0, LONG_SECONDS, LONG_SECONDS)

    def extension(self, number: str = CUSTOMER, days: str | None = None) -> str:
        told = self.ask(number, days)
        assert isinstance(told, Found), told
        return told.variables.get("KALLIOPEEXTEN", "")


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- the header --------------------------------------------------------------------------------------


def header_of(vector: Mapping[str, str]) -> str:
    section = settings(username=vector["username"], domain=vector["domain"], password=Secret(vector["password"]))
    return kalliope_signing.header(section, vector["salt"], vector["nonce"], vector["created"])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["source"])
def test_the_header_is_the_examples_on_one_line(vector: dict[str, str]) -> None:
    assert header_of(vector) == (
        f'RestApiUsernameToken Username="{vector["username"]}", Domain="{vector["domain"]}", '
        f'Digest="{vector["digest"]}", Nonce="{vector["nonce"]}", Created="{vector["created"]}"'
    )


def test_the_documents_digest_password_is_hex_text_with_the_braces() -> None:
    printed = VECTORS[0]
    found = kalliope_signing.digest_password(Secret(printed["password"]), printed["salt"])
    assert found.reveal() == printed["digest_password"]


def test_a_password_beyond_ascii_counts_in_utf8() -> None:
    # self-made regression vector: the documents say nothing of it
    found = kalliope_signing.digest_password(Secret("pässword"), SALT)
    assert found.reveal() == "69e5f64987c2d580e55164681b268650947d05f86b1d2452cfbdf8f1e141f513"


@pytest.mark.parametrize("field", ["username", "domain", "password", "salt", "nonce", "created"])
def test_the_digest_changes_with_every_signed_field(field: str) -> None:
    for vector in VECTORS:
        tampered = {**vector, field: vector[field][:-1] + ("1" if vector[field][-1] != "1" else "2")}
        assert vector["digest"] not in header_of(tampered)


def test_created_is_utc_to_the_second() -> None:
    at = datetime(2016, 4, 29, 15, 48, 26, 900000, tzinfo=timezone.utc).timestamp()
    assert kalliope_signing.created_text(at) == "2016-04-29T15:48:26Z"


def test_each_request_has_a_header_of_its_own_and_the_salt_none(desk: Desk) -> None:
    desk.prefetch()
    salt, *signed = desk.pbx.sent
    assert (salt.url, salt.headers) == (f"{URL}/rest/salt/default", {"Accept": "application/json"})
    headers = [request.headers["X-authenticate"] for request in signed]
    assert len(headers) == len(set(headers)) == 7
    assert all(f'Created="{kalliope_signing.created_text(NOON)}"' in header for header in headers)
    assert all(request.is_safe for request in desk.pbx.sent)


def test_the_ca_file_goes_with_every_request(desk: Desk) -> None:
    desk.settings = settings(verify="/ca.pem")
    desk.prefetch()
    assert {request.verify for request in desk.pbx.sent} == {"/ca.pem"}


@pytest.mark.parametrize(
    "body", [f'{{"salt":"{SALT}"}}', f'<?xml version="1.0"?><response><salt>{SALT}</salt></response>']
)
def test_the_salt_is_read_from_json_and_from_xml(desk: Desk, body: str) -> None:
    conversation = last_call.prefetch(desk.settings, desk.numbers, desk.memory)
    next(conversation)
    assert "X-authenticate" in conversation.send(Answer(200, {}, body.encode())).headers
    assert desk.memory.signer.salts == {(URL, "default"): SALT}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"salt":""}', b'{"salt":7}', b"<html>login</html>", b'{"salt":"a b"}'])
def test_a_page_without_a_salt_is_told(desk: Desk, body: bytes) -> None:
    conversation = last_call.prefetch(desk.settings, desk.numbers, desk.memory)
    next(conversation)
    with pytest.raises(StopIteration) as end:
        conversation.send(Answer(200, {}, body))
    assert end.value.value == TryLater("the PBX gave no salt; is [kalliope] url right?")


@pytest.mark.parametrize("status", [401, 403])
def test_a_new_salt_is_fetched_once_after_a_failed_authentication(desk: Desk, status: int) -> None:
    desk.prefetch()
    desk.pbx.sent.clear()
    desk.pbx.salt = "f" * 32
    desk.later(10)
    desk.pbx.fails = [Answer(status, {}, b"")]
    assert desk.prefetch() == Delivered()
    assert [request.method for request in desk.pbx.sent] == ["POST", "GET", "POST"]
    first, _, second = desk.pbx.sent
    assert first.headers["X-authenticate"] != second.headers["X-authenticate"]
    assert desk.memory.signer.salts == {(URL, "default"): "f" * 32}


def test_an_authentication_that_fails_again_is_refused_and_says_where_to_look(desk: Desk) -> None:
    desk.prefetch()
    desk.later(10)
    desk.pbx.sent.clear()
    desk.pbx.fails = [Answer(401, {}, b""), Answer(401, {}, b"")]
    told = desk.prefetch()
    assert isinstance(told, Refused)
    assert told.reason.startswith("HTTP 401: check [kalliope] username, password and domain")
    assert len(desk.pbx.sent) == 3


@pytest.mark.parametrize("changes", [{"url": "https://other.example"}, {"domain": "other"}], ids=["url", "domain"])
def test_a_salt_is_never_used_for_another_pbx_or_tenant(desk: Desk, changes: dict[str, str]) -> None:
    desk.prefetch()
    desk.pbx.sent.clear()
    desk.pbx.salt = "f" * 32
    desk.settings = settings(**changes)
    assert desk.prefetch() == Delivered()
    assert [request.method for request in desk.pbx.sent[:2]] == ["GET", "POST"]


def test_a_salt_just_fetched_is_not_fetched_again(desk: Desk) -> None:
    desk.pbx.fails = [Answer(401, {}, b"")]
    assert isinstance(desk.prefetch(), Refused)
    assert [request.method for request in desk.pbx.sent] == ["GET", "POST"]


def test_a_refusal_tells_how_far_the_clocks_are_apart(desk: Desk) -> None:
    at = datetime(2026, 5, 20, 10, 0, tzinfo=timezone.utc).timestamp()
    reply = Answer(401, {"date": "Wed, 20 May 2026 09:50:00 GMT"}, b"", at)
    trouble = kalliope_signing.trouble_with(reply)
    assert trouble is not None
    assert "our clock is 600 s ahead of the PBX's" in trouble.reason


# -- rows --------------------------------------------------------------------------------------------

ONE = row(NOON)
SHAPES = {
    "csv": ("text/csv; charset=UTF-8", as_csv([ONE]).decode()),
    "csv with CR LF": ("text/csv", as_csv([ONE]).decode().replace("\n", "\r\n")),
    "csv without a header": ("text/csv", as_csv([ONE]).decode().partition("\n")[2]),
    "json": ("application/json", json.dumps([{**ONE, "bill_secs": 0, "answer_time": None}], indent=2)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("told", [True, False])
def test_a_register_is_read_as_csv_and_as_json_whatever_its_type_says(shape: str, told: bool) -> None:
    kind, text = SHAPES[shape]
    headers = {"content-type": kind if told else "text/plain"}
    (found,) = rows_of(Answer(200, headers, text.encode()))
    assert {name: found[name] for name in ONE} == {**ONE, "bill_secs": found["bill_secs"]}
    assert found["bill_secs"] in ("", "0")


@pytest.mark.parametrize(
    "body", ["", " \n", "[]", " [ ] ", "<cdr/>", '<?xml version="1.0"?>\n<cdr>\n</cdr>', HEADER, HEADER + "\n"]
)
def test_no_calls_have_many_shapes(body: str) -> None:
    assert list(rows_of(Answer(200, {}, body.encode()))) == []


def test_no_calls_may_be_no_content_too(desk: Desk) -> None:
    desk.pbx.fails = [Answer(204, {}, b"")]
    assert desk.extension() == ""


@pytest.mark.parametrize(
    "body",
    [
        "<html><body>login</body></html>",
        "<!DOCTYPE html><html/>",
        '<?xml version="1.0"?><!DOCTYPE cdr [<!ENTITY a "aa"><!ENTITY b "&a;">]><cdr><call><id>&b;</id></call></cdr>',
        '<!DOCTYPE cdr SYSTEM "file:///etc/passwd"><cdr/>',
        "<cdr><call><id>1</id></call></cdr>",
        '{"error":"no"}',
        '[{"id":"1"}',
        '[{"id":"1"} {"id":"2"}]',
        "[1,2]",
        "[]x",
        "[" * 100000,
        "some,other,words",
        HEADER + "\n1,2,3\n",
        '"' + "x" * 200000,
        "\x00\xff",
        f"#{',' * 100}\n{',' * 100}\n",
        HEADER + "\n" + "x" * 70000 + "," * 13 + "\n",
        "[" + '{"id":"1"},' * 800_000 + '{"id":"1"}]',
    ],
    ids=repr_of,
)
def test_what_is_no_register_is_told_so(body: str) -> None:
    with pytest.raises(NoRegister):
        list(rows_of(Answer(200, {}, body.encode())))


def test_xml_where_csv_was_asked_for_is_called_that() -> None:
    with pytest.raises(NoRegister, match="XML or a page, where CSV was asked for"):
        rows_of(Answer(200, {}, b"<cdr><call><id>1</id></call></cdr>"))


def test_a_comma_in_quotes_is_of_one_value() -> None:
    (found,) = rows_of(Answer(200, {}, as_csv([{**ONE, "gateway_name": '"a, b"'}])))
    assert found["gateway_name"] == "a, b"


@given(st.binary() | st.text().map(str.encode) | st.from_regex(r"\[(\{.*\},?)*\]|<cdr>.*|#id,.*").map(str.encode))
def test_no_bytes_whatever_raise_anything_else(body: bytes) -> None:
    for kind in ("text/csv", "application/json", "application/xml", ""):
        with suppress(NoRegister):
            list(rows_of(Answer(200, {"content-type": kind}, body)))


# -- the look-up -------------------------------------------------------------------------------------


def test_the_last_extension_that_called_is_found_in_any_notation(desk: Desk) -> None:
    desk.pbx.call(NOON - 7200, extension="205")
    desk.pbx.call(NOON - 3600, extension="206", status="BUSY")
    desk.pbx.call(NOON - 1800, called="056528998", extension="207")
    for number in (CUSTOMER, "+3256528999", "003256528999", "056 52 89 99"):
        told = desk.ask(number)
        assert told == Found(
            {"KALLIOPEEXTEN": "206", "KALLIOPETIME": "2026-05-20 11:00:00", "KALLIOPECALLSTATUS": "BUSY"}
        )


def test_the_latest_call_counts_in_whatever_order_calls_are_read(desk: Desk) -> None:
    for number in (3, 1, 5, 2):  # days ago; the past is read the newest first
        desk.pbx.call(NOON - number * DAY - 60, extension=f"20{number}")
    desk.prefetch()
    assert desk.extension() == "201"
    desk.pbx.calls = [(0.0, row(NOON - 100, extension="207")), (0.0, row(NOON - 200, extension="208"))]
    desk.later(700)
    desk.prefetch()
    assert desk.extension() == "207"


def test_nobody_called_is_ok_and_empty(desk: Desk) -> None:
    assert desk.ask() == Found({})


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "gateway"},
        {"source": ""},
        {"account_code": "", "caller": "056528998"},
        {"account_code": "sales", "caller": ""},
        {"called": ""},
        {"start_time": "yesterday"},
        {"start_time": ""},
    ],
)
def test_a_row_that_is_no_call_of_an_extension_does_not_count(desk: Desk, changes: dict[str, str]) -> None:
    history = History("Europe/Rome", "BE", 7)
    history.take(Window(NOON - DAY, NOON, 0), [row(NOON - 60) | changes], 1.0)
    assert history.look_up(CUSTOMER) is None


@pytest.mark.parametrize("called", [f"{CUSTOMER};npdi=yes;rn=+3247", f"sip:{CUSTOMER}@192.0.2.1", f"\u202a{CUSTOMER}"])
def test_a_called_number_of_the_register_is_read_as_a_channels_is(called: str) -> None:
    history = History("Europe/Rome", "BE", 7)
    history.take(Window(NOON - DAY, NOON, 0), [row(NOON - 60, called=called)], 1.0)
    assert history.look_up(CUSTOMER) is not None


def test_the_caller_is_the_extension_where_the_account_code_is_none(desk: Desk) -> None:
    desk.pbx.call(NOON - 60, extension="cost centre 9", caller="209")
    assert desk.extension() == "209"


def test_a_look_up_with_a_fresh_history_asks_nothing(desk: Desk) -> None:
    desk.pbx.call(NOON - 60)
    desk.prefetch()
    desk.pbx.sent.clear()
    desk.later(59)
    assert desk.extension() == "206"
    assert desk.ask("0470000000") == Found({})
    assert desk.pbx.sent == []


def test_a_plain_script_reads_no_further_back_than_it_must(desk: Desk) -> None:
    desk.pbx.call(NOON - 1.5 * DAY)
    assert desk.extension() == "206"
    assert len(desk.pbx.periods()) == 2


def test_days_limits_how_old_a_call_may_be(desk: Desk) -> None:
    desk.pbx.call(NOON - 2.5 * DAY)
    desk.prefetch()
    assert [desk.extension(days=days) for days in ("1", "2", "3", "7")] == ["", "", "206", "206"]


def test_more_days_than_are_held_are_fetched_once_and_kept(desk: Desk) -> None:
    desk.pbx.call(NOON - 20.5 * DAY)
    desk.prefetch()
    assert desk.extension() == ""
    assert desk.extension(days="31") == "206"
    asked = len(desk.pbx.sent)
    for _ in range(3):
        assert desk.extension(days="31") == "206"
        assert desk.ask("0470000000", days="31") == Found({})
    history = desk.memory.history(desk.settings, "BE")
    assert history.since == NOON - 31 * DAY
    assert len(desk.pbx.sent) == asked + 31 - 21


@pytest.mark.parametrize("days", ["0", "32", "-1", "1.5", "a week", "٣", "1e1", "007"])
def test_days_out_of_range_are_unfit(desk: Desk, days: str) -> None:
    told = desk.ask(days=days)
    assert told == Invalid("days: wanted a whole number from 1 to 31")
    assert desk.pbx.sent == []


def test_masked_numbers_are_told_instead_of_nothing_found(desk: Desk) -> None:
    desk.pbx.call(NOON - 60, called="056528xxx")
    assert desk.ask() == Found({}, MASKED_REASON)
    desk.later(10)
    assert desk.prefetch() == Delivered(MASKED_REASON)


def test_a_pbx_without_end_is_held_within_bounds_and_told_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kalliope_history, "MOST_NUMBERS", 300)
    for number in range(1000):
        desk.pbx.call(NOON - 1000 + number, called=f"05{number:07}")
    assert desk.prefetch() == Delivered(CROWDED_REASON)
    history = desk.memory.history(desk.settings, "BE")
    assert 150 <= len(history._latest) <= 300
    assert (desk.extension("050000999"), desk.ask("050000000")) == ("206", Found({}, CROWDED_REASON))


@pytest.mark.parametrize("name", ["called", "status"])
def test_a_text_without_end_is_no_part_of_a_call(desk: Desk, name: str) -> None:
    desk.pbx.call(NOON - 60, called="056528998")
    desk.pbx.call(NOON - 50, **{"called": "056528998", name: "0" * 65})
    assert desk.extension("056528998") == "206"
    assert len(desk.memory.history(desk.settings, "BE")._latest) == 1


def test_other_settings_mean_another_history(desk: Desk) -> None:
    desk.pbx.call(NOON - 60)
    assert desk.extension() == "206"
    desk.settings = settings(url="https://other.example")
    desk.pbx.calls.clear()
    assert desk.extension() == ""
    assert desk.pbx.sent[-1].url.startswith("https://other.example/")


# -- what is read, and when --------------------------------------------------------------------------


def test_both_ends_of_a_period_are_given_in_the_pbxs_time_also_over_the_month(desk: Desk) -> None:
    desk = Desk(datetime(2026, 6, 1, 0, 5, tzinfo=ROME).timestamp())
    desk.pbx.call(desk.wall() - 600)  # in May
    assert desk.extension() == "206"
    assert desk.pbx.periods() == [("2026-05-31 00:05:00", "2026-06-01 00:15:01")]


@pytest.mark.parametrize(
    ("seconds", "within"), [(30, 10), (290, 10), (1200, 60), (3500, 60), (4 * 3600, 600), (11 * 3600, 600)]
)
def test_a_call_is_found_soon_after_its_end_however_long_it_was(seconds: float, within: float) -> None:
    desk = Desk()
    desk.prefetch()
    desk.pbx.call(desk.wall() + 5, seconds)
    over = desk.wall() + 5 + seconds
    while desk.wall() <= over + within:
        desk.later(10)
        assert desk.prefetch() == Delivered()
    assert desk.extension() == "206"


@pytest.mark.parametrize("ahead", [-290, 0, 290])
def test_the_pbxs_clock_may_be_as_far_off_as_it_lets_us_in(ahead: float) -> None:
    desk = Desk()
    desk.prefetch()
    desk.pbx.call(desk.wall() + ahead + 5)
    desk.pbx.calls[-1] = (desk.wall() + 10, desk.pbx.calls[-1][1])
    desk.later(20)
    desk.prefetch()
    assert desk.extension() == "206"


def test_after_an_outage_nothing_is_left_out(desk: Desk) -> None:
    desk.prefetch()
    desk.pbx.fails = [NoAnswer("gone", sent=False)] * 3
    for number in range(3):
        desk.later(6 * 3600)
        desk.pbx.call(desk.wall() - 3600, called=f"05652899{number}")
        assert desk.prefetch() == TryLater("gone")
    desk.later(10)
    assert desk.prefetch() == Delivered()
    assert [desk.extension(f"05652899{number}") for number in range(3)] == ["206"] * 3


def test_after_an_outage_of_weeks_no_reading_is_longer_than_the_pbx_can_answer(desk: Desk) -> None:
    desk.pbx.call(NOON - 60)
    desk.prefetch()
    desk.later(20 * DAY)
    for days in (0.1, 5.0):
        desk.pbx.call(desk.wall() - days * DAY, called=f"05652899{days:.0f}")
    desk.pbx.sent.clear()
    assert desk.prefetch() == Delivered()
    periods = [tuple(map(datetime.fromisoformat, period)) for period in desk.pbx.periods()]
    assert max(end - begin for begin, end in periods) < timedelta(days=1.1)
    assert [desk.extension(f"05652899{days}") for days in (0, 5)] == ["206", "206"]
    assert desk.extension() == ""


def test_a_clock_of_ours_that_was_set_right_leaves_nothing_out(desk: Desk) -> None:
    desk.prefetch()
    desk.later(10)
    desk.pbx.call(desk.wall())
    desk.wall.now += 7200  # an administrator sets it forward
    desk.later(10)
    desk.pbx.call(desk.wall() - 5, called="056528990")
    desk.prefetch()
    assert desk.extension("056528990") == "206"
    desk.wall.now -= 7200
    desk.later(10)
    desk.prefetch()
    assert desk.extension() == "206"


def test_old_calls_are_forgotten(desk: Desk) -> None:
    desk.pbx.call(NOON - 6.9 * DAY)
    desk.pbx.call(NOON - 60, called="056528990")
    desk.prefetch()
    desk.later(DAY)
    desk.prefetch()
    history = desk.memory.history(desk.settings, "BE")
    assert len(history._latest) == 1
    assert history.since == desk.wall() - 7 * DAY


FALL_BACK = datetime(2026, 10, 25, 1, 0, tzinfo=timezone.utc).timestamp()  # 03:00 becomes 02:00 in Rome


@pytest.mark.parametrize("minutes", range(-180, 181, 20))
def test_the_hour_that_is_there_twice_is_read_whole(minutes: int) -> None:
    end = FALL_BACK + 60 * minutes
    for length in (600, 3600, 12 * 3600):
        begin, last = local_period(end - length, end, "Europe/Rome")
        for step in range(0, length + 1, 300):
            shown = datetime.fromtimestamp(end - step, ROME).strftime("%Y-%m-%d %H:%M:%S")
            assert begin <= shown <= last
        for edge in (begin, last):  # a PBX that counts in UTC would take one of the two
            local = datetime.fromisoformat(edge)
            assert local.replace(tzinfo=ROME, fold=0).timestamp() == local.replace(tzinfo=ROME, fold=1).timestamp()


def test_calls_found_across_both_changes_of_the_clocks() -> None:
    for change in (FALL_BACK, datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc).timestamp()):
        desk = Desk(change - 3600)
        desk.prefetch()
        for number in range(12):
            desk.later(600)
            desk.pbx.call(desk.wall() - 30, extension=str(200 + number))
            desk.prefetch()
            assert desk.extension() == str(200 + number)


def test_the_calls_id_tells_the_two_equal_hours_apart() -> None:
    time = "2026-10-25 02:30:00"
    first, second = FALL_BACK - 1800, FALL_BACK + 1800
    assert moment(time, f"{first:.0f}.7", "Europe/Rome") == first
    assert moment(time, f"pbx-{second:.0f}.7", "Europe/Rome") == second
    assert moment(time, "7", "Europe/Rome") == first
    # the document's sample has an id of another day than its time: then the time counts
    assert moment("2016-01-12 11:52:34", "1463997154.0", "Europe/Rome") == 1452595954


def test_one_reading_takes_a_day_so_that_it_is_short(desk: Desk) -> None:
    desk.prefetch()
    periods = desk.pbx.periods()
    assert len(periods) == 7
    assert periods[0] == ("2026-05-19 12:00:00", "2026-05-20 12:10:01")
    assert periods[-1] == ("2026-05-13 12:00:00", "2026-05-14 12:00:01")


def test_polling_reads_the_newest_minutes_often_and_hours_seldom(desk: Desk) -> None:
    desk.prefetch()
    desk.pbx.sent.clear()
    for _ in range(360):
        desk.later(10)
        desk.prefetch()
    lengths = [datetime.fromisoformat(end) - datetime.fromisoformat(begin) for begin, end in desk.pbx.periods()]
    hours = [length.total_seconds() / 3600 for length in lengths]
    assert len(hours) == 360
    assert sum(hour > 12 for hour in hours) == 6
    assert sum(1 < hour < 12 for hour in hours) == 54


# -- trouble -----------------------------------------------------------------------------------------

TROUBLES: list[tuple[Reply, type]] = [
    (NoAnswer("kalliope.example refuses connections", sent=False), TryLater),
    (Answer(500, {}, b""), TryLater),
    (Answer(503, {}, b"<html>"), TryLater),
    (Answer(404, {}, b""), TryLater),
    (Answer(302, {"location": "/login"}, b""), TryLater),
    (Answer(200, {}, b"<html>login</html>"), TryLater),
    (Answer(200, {}, b"\x00"), TryLater),
    (Answer(401, {}, b""), Refused),
    (Answer(405, {}, b""), Refused),
]


@pytest.mark.parametrize(("reply", "kind"), TROUBLES)
def test_a_stale_history_is_no_answer_and_the_trouble_is_told(desk: Desk, reply: Reply, kind: type) -> None:
    desk.pbx.call(NOON - 60)
    desk.prefetch()
    desk.later(61)
    desk.pbx.fails = [reply] * 2
    told = desk.ask()
    assert isinstance(told, kind)
    assert told.reason
    assert not desk.memory.reading.locked()
    desk.pbx.fails.clear()
    assert desk.extension() == "206"


def test_trouble_does_not_hide_a_history_that_is_fresh(desk: Desk) -> None:
    desk.pbx.call(NOON - 60)
    desk.prefetch()
    desk.later(30)
    desk.pbx.fails = [NoAnswer("gone", sent=False)]
    assert desk.prefetch() == TryLater("gone")
    assert desk.extension() == "206"


def test_the_salts_trouble_is_told_too(desk: Desk) -> None:
    conversation = last_call.lastcall(desk.settings, desk.numbers, {"number": CUSTOMER}, desk.memory)
    next(conversation)
    with pytest.raises(StopIteration) as end:
        conversation.send(Answer(502, {}, b""))
    assert end.value.value == TryLater("HTTP 502")


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_conversation_given_up_in_the_middle_leaves_the_lock_free(desk: Desk, steps: int) -> None:
    conversation = last_call.prefetch(desk.settings, desk.numbers, desk.memory)
    reply: Reply | None = None
    for _ in range(steps):
        request = next(conversation) if reply is None else conversation.send(reply)
        reply = desk.pbx(request, 1.0)
    assert desk.memory.reading.locked()
    conversation.close()
    assert not desk.memory.reading.locked()
    assert desk.prefetch() == Delivered()


def test_what_was_read_before_a_fetch_broke_off_is_not_read_again(desk: Desk) -> None:
    conversation = last_call.prefetch(desk.settings, desk.numbers, desk.memory)
    reply = desk.pbx(next(conversation), 1.0)
    for _ in range(3):
        reply = desk.pbx(conversation.send(reply), 1.0)
    conversation.close()
    desk.pbx.sent.clear()
    desk.prefetch()
    assert len(desk.pbx.periods()) == 5  # two days were taken, the third one's answer was not


class CountedLock:
    """The memory's lock, which tells when `wanted` threads have come to it."""

    def __init__(self, wanted: int) -> None:
        self._lock = threading.Lock()
        self._guard = threading.Lock()
        self._wanted, self._came = wanted, 0
        self.all_came = threading.Event()

    def acquire(self, timeout: float = -1) -> bool:
        assert 0 < timeout < LONG_SECONDS  # nobody waits for ever
        with self._guard:
            self._came += 1
            if self._came >= self._wanted:
                self.all_came.set()
        return self._lock.acquire(timeout=LONG_SECONDS)

    def release(self) -> None:
        self._lock.release()


@pytest.mark.parametrize(("reply", "asked"), [(None, 7), (NoAnswer("gone", sent=False), 1)])
def test_fifty_calls_at_once_share_one_fetch_and_its_trouble(desk: Desk, reply: Reply | None, asked: int) -> None:
    lock = CountedLock(50)
    desk.memory.reading = lock  # type: ignore[assignment]
    desk.pbx.fails = [reply] if reply else []
    served = desk.pbx.__call__

    def send(request: Request, seconds: float) -> Reply:
        assert lock.all_came.wait(LONG_SECONDS)
        return served(request, seconds)

    def ask(_: int) -> Any:
        facts = {"number": CUSTOMER}
        return run_conversation(
            last_call.lastcall(desk.settings, desk.numbers, facts, desk.memory), send, lambda: 0.0, 60.0, 60.0
        )

    with ThreadPoolExecutor(50) as pool:
        told = list(pool.map(ask, range(50), timeout=LONG_SECONDS))
    assert told == [Found({}) if reply is None else TryLater("gone")] * 50
    assert len(desk.pbx.periods()) == asked


def test_whoever_waits_too_long_for_anothers_reading_gives_up(desk: Desk) -> None:
    class Taken:
        def acquire(self, timeout: float = -1) -> bool:
            assert timeout == last_call.TURN_SECONDS
            return False

    desk.memory.reading = Taken()  # type: ignore[assignment]
    assert isinstance(desk.ask(), TryLater)
    assert desk.pbx.sent == []


# -- sign, check -------------------------------------------------------------------------------------


def test_sign_masks_the_digest_password_and_shows_the_digest() -> None:
    printed = VECTORS[0]
    told = VENDORS["kalliope"].explain(settings(), {name: printed[name] for name in ("nonce", "created", "salt")}, 0.0)
    assert told.text == "bfb79078ff44c35714af28b7412a702b****admindefault2016-04-29T15:48:26Z"
    assert told.signature == printed["digest"]
    assert printed["digest_password"] not in f"{told.values} {told.method} {told.text}"


def test_sign_makes_up_nonce_and_time() -> None:
    told = kalliope_signing.explain(settings(), {"salt": SALT}, 1461944906.0)
    again = kalliope_signing.explain(settings(), {"salt": SALT}, 1461944906.0)
    assert told.values["created"] == "2016-04-29T15:48:26Z"
    assert len(told.values["nonce"]) == 32
    assert told.values["nonce"] != again.values["nonce"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "salt: give salt=…, which https://kalliope.example/rest/salt/default tells anybody"),
        ({"salt": "a b"}, "salt"),
        ({"salt": SALT, "nonce": "1234567"}, "nonce"),
        ({"salt": SALT, "created": "2016-04-29 15:48:26"}, "created"),
        ({"salt": SALT, "password": "x"}, "unknown"),
    ],
)
def test_sign_says_what_is_wanted(values: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        kalliope_signing.explain(settings(), values, 0.0)


def probed(desk: Desk, reply: Reply | None = None) -> Any:
    if reply is not None:
        desk.pbx.fails = [reply]
    conversation: Generator[Request, Reply, Any] = last_call.probe(desk.settings, desk.memory)
    return run_conversation(conversation, desk.pbx, lambda: 0.0, LONG_SECONDS, LONG_SECONDS)


def test_check_proves_the_credentials_with_an_hour_of_the_register(desk: Desk) -> None:
    told = probed(desk)
    assert (told.credentials, told.words) == (True, "user and password are taken")
    assert [request.method for request in desk.pbx.sent] == ["GET", "POST"]
    assert desk.pbx.periods() == [("2026-05-20 11:00:00", "2026-05-20 12:00:01")]


@pytest.mark.parametrize(("reply", "kind"), TROUBLES)
def test_check_tells_each_trouble(desk: Desk, reply: Reply, kind: type) -> None:
    told = probed(desk, reply)
    assert isinstance(told, kind) or (told.credentials and not told.is_well)


def test_check_tells_of_masked_numbers_and_of_clocks(desk: Desk) -> None:
    desk.pbx.call(NOON - 60, called="056528xxx")
    assert probed(desk) == Probed(True, MASKED_REASON, is_well=False)
    date = "Wed, 20 May 2026 10:04:00 GMT"
    told = probed(desk, Answer(200, {"date": date}, b"", datetime(2026, 5, 20, 10, 0, tzinfo=timezone.utc).timestamp()))
    assert told.is_well
    assert "our clock is 240 s behind the PBX's" in told.words


def test_no_repr_shows_a_number_or_the_password(desk: Desk) -> None:
    desk.pbx.call(NOON - 60)
    desk.prefetch()
    shown = f"{desk.memory!r} {desk.pbx.sent!r} {desk.memory.history(desk.settings, 'BE')!r}"
    for piece in (
        CUSTOMER,
        "56528999",
        "Secret(admin",
        kalliope_signing.digest_password(Secret("admin"), SALT).reveal(),
    ):
        assert piece not in shown


def test_the_vendor_is_asked_and_prefetched_as_promised() -> None:
    vendor = VENDORS["kalliope"]
    ask = vendor.asks["kalliope/lastcall"]
    assert (ask.names, ask.caller) == (("number", "days"), "number")
    assert ask.variables == ("KALLIOPEEXTEN", "KALLIOPETIME", "KALLIOPECALLSTATUS")
    assert vendor.prefetch is not None
    assert last_call.NEW_SECONDS < vendor.prefetch.every_seconds < last_call.FRESH_SECONDS
    assert isinstance(vendor.new_memory(), Memory)
    assert kalliope_history.OVERLAPS[-1].back_seconds >= 2 * kalliope_signing.ACCEPTED_SECONDS
