"""The stand-in of MOR, over real sockets: as strict as the vendor's pages, and by its own reading of them."""

from __future__ import annotations

import gzip
import hashlib
from urllib.parse import urlencode, urlsplit

import pytest

from callsign.http.transport import HttpTransport
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.settings.secret import Secret
from callsign.settings.sections import Mor
from callsign.vendors.mor import answer as mor_answer
from callsign.vendors.mor import questions as mor
from callsign.vendors.mor.xml import Element
from callsign.verdicts import Refused
from exchange import Reply, exchange

KEY = "the-key-of-mor"
ACCOUNT = {"user": "admin", "key": KEY}
ACCOUNTS = {"mor": ACCOUNT}


def proof(*values: str, key: str = KEY) -> str:
    return hashlib.sha1(("".join(values) + key).encode()).hexdigest()


def send(
    box: Sandbox, method: str, form: dict[str, str], query: str = "", verb: str = "POST", kind: str = ""
) -> tuple[Reply, bytes]:
    target = urlsplit(f"{box.url('mor')}/{method}").path + query
    headers = {"Content-Type": kind or "application/x-www-form-urlencoded"} if form else {}
    reply = exchange(box.port, verb, target, urlencode(form) if form else None, headers)
    return reply, reply.body


def said(box: Sandbox, method: str, form: dict[str, str]) -> str:
    response, body = send(box, method, form)
    assert response.status == 200  # whatever is wrong
    assert body.startswith(b"<?xml")
    return box.seen[-1].verdict


GOOD = {"u": "admin", "username": "bob", "hash": proof("bob")}


def test_a_balance_comes_as_a_page_to_be_saved(box: Sandbox) -> None:
    response, body = send(box, "user_balance_get", GOOD)
    assert b"<page><balance>12.3400</balance></page>" in body
    assert response.headers["Content-Type"].startswith("text/html")
    assert "attachment" in response.headers["Content-Disposition"]
    assert box.seen[-1].verdict == "OK"


def test_the_printed_hashes_are_accepted_with_their_keys() -> None:
    # wiki.kolmisoft.com, MOR_API_user_details_get and MOR_API_user_balance_update
    with Sandbox(accounts={"mor": {"user": "admin", "key": "456789"}}) as box:
        details = {"u": "admin", "user_id": "123", "hash": "f7c3bc1d808e04732adf679965ccc34ca7ae3441"}
        assert said(box, "user_details_get", details) == "OK"
        update = {"balance": "100", "user_id": "123", "u": "admin", "hash": "b1bef44691c237b574263e09b2838ad1e658e507"}
        assert said(box, "user_balance_update", update) == "OK"


def test_the_order_of_the_request_has_no_say_and_that_of_the_hash_has(box: Sandbox) -> None:
    form = {"currency": "USD", "u": "admin", "username": "bob"}
    assert said(box, "user_balance_get", {**form, "hash": proof("bob", "USD")}) == "OK"
    assert said(box, "user_balance_get", {"hash": proof("USD", "bob"), **form}) == "Incorrect hash"


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"username": "eve"}, "Incorrect hash"),
        ({"hash": proof("bob", key="another-key")}, "Incorrect hash"),
        ({"hash": proof("bob").upper()}, "Incorrect hash"),
        ({"currency": "EUR"}, "Incorrect hash"),
        ({"u": "eve"}, "Bad login"),
        ({"cli": "1"}, "The page of this method knows no parameter cli"),
        ({"currency": ""}, "currency is sent without a value"),
        ({"username": "unknown", "hash": proof("unknown")}, "User was not found"),
        ({"currency": "XXX", "hash": proof("bob", "XXX")}, "Currency was not found"),
    ],
)
def test_what_is_wrong_is_said_under_http_200(box: Sandbox, change: dict[str, str], verdict: str) -> None:
    assert said(box, "user_balance_get", {**GOOD, **change}) == verdict


@pytest.mark.parametrize("name", list(GOOD))
def test_nothing_may_be_missing(box: Sandbox, name: str) -> None:
    assert said(box, "user_balance_get", {n: v for n, v in GOOD.items() if n != name}) == f"{name} is missing"


@pytest.mark.parametrize("value", ["007", "-1", "1.5", "x", "²"])
def test_a_number_that_the_server_would_change_is_named(box: Sandbox, value: str) -> None:
    form = {"u": "admin", "user_id": value, "hash": proof(value)}
    assert "left out of the hash" in said(box, "user_details_get", form)


def test_an_owner_comes_as_a_gzipped_file_and_nobody_as_an_error(box: Sandbox) -> None:
    form = {"u": "admin", "cli": "056528999", "hash": proof()}
    response, body = send(box, "cli_info_get", form)
    assert response.headers["Content-Encoding"] is None
    assert b"<device><user_id>2</user_id><device_id>7</device_id></device>" in gzip.decompress(body)
    assert said(box, "cli_info_get", {**form, "cli": "056528990"}) == "CLI not found"
    assert said(box, "cli_info_get", {"u": "admin", "hash": proof()}) == "CLI is empty"


def test_a_method_of_no_page_is_undefined(box: Sandbox) -> None:
    assert said(box, "user_balanse_get", GOOD) == "Undefined method"


def test_get_is_refused_unless_the_account_allows_it(box: Sandbox) -> None:
    query = "?" + urlencode(GOOD)
    send(box, "user_balance_get", {}, query, "GET")
    assert box.seen[-1].verdict == "GET Requests are disabled"
    send(box, "user_balance_get", {}, query, "PUT")
    assert "POST and GET" in box.seen[-1].verdict
    with Sandbox(accounts={"mor": {**ACCOUNT, "get": "yes"}}) as open_box:
        send(open_box, "user_balance_get", {}, query, "GET")
        assert open_box.seen[-1].verdict == "OK"


def test_query_and_form_count_together_and_nothing_twice(box: Sandbox) -> None:
    rest = {name: value for name, value in GOOD.items() if name != "u"}
    send(box, "user_balance_get", rest, "?u=admin")
    assert box.seen[-1].verdict == "OK"
    send(box, "user_balance_get", GOOD, "?u=admin")
    assert "more than once" in box.seen[-1].verdict
    send(box, "user_balance_get", GOOD, kind="text/plain")
    assert "Content-Type" in box.seen[-1].verdict


def test_the_line_for_the_screen_shows_no_hash_and_no_number(box: Sandbox) -> None:
    send(box, "cli_info_get", {"u": "admin", "cli": "056528999", "hash": proof()})
    send(box, "cli_info_get", {}, "?" + urlencode({"u": "admin", "cli": "056528999", "hash": proof(), "p": "pass"}))
    for seen in box.seen:
        for hidden in (proof(), "056528999", KEY, "pass"):
            assert hidden not in seen.masked()
    assert "u=admin" in box.seen[-1].masked()


def test_a_short_key_is_none(box: Sandbox) -> None:
    with Sandbox(accounts={"mor": {"user": "admin", "key": "short"}}) as other:
        assert (
            said(other, "user_balance_get", {**GOOD, "hash": proof("bob", key="short")}) == "API must have Secret Key"
        )


@pytest.mark.parametrize("params_in", ["body", "query"])
@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("user_balance_get", {"currency": "EUR", "username": "O'Brien & Söhne+ 100%"}),
        ("user_details_get", {"username": "bob", "user_id": "5"}),
        ("user_balance_update", {"balance": "-1.5", "user_id": "5"}),
        ("user_calls_get", {"s_user": "5", "period_end": "1764374399", "period_start": "1764288000"}),
        ("user_calls_get", {"s_user": "all", "only_did": "1", "s_did": "7"}),
        ("callback_init", {"src": "201", "dst": "056528998", "device": "7"}),
        ("cli_info_get", {"cli": "+3256528999", "domain": "x"}),
        ("system_version_get", {}),
    ],
)
def test_what_callsign_signs_the_stand_in_accepts(
    box: Sandbox, method: str, given: dict[str, str], params_in: str
) -> None:
    section = Mor(box.url("mor"), "admin", Secret(KEY), params_in)
    reply = HttpTransport().send(mor.request(section, method, given), 10)
    assert isinstance(mor_answer.read(reply, section.key), Element)
    assert box.seen[-1].verdict == "OK"


def test_a_trouble_is_said_in_mors_way(box: Sandbox) -> None:
    box.trouble["mor"] = Trouble(refuse_status="Feature disabled")
    section = Mor(box.url("mor"), "admin", Secret(KEY))
    reply = HttpTransport().send(mor.request(section, "user_balance_get", {"username": "bob"}), 10)
    found = mor_answer.read(reply, section.key)
    assert isinstance(found, Refused)
    assert found.reason.startswith("Feature disabled; in MOR's settings")
    assert said(box, "user_balance_get", {**GOOD, "hash": "0" * 40}) == "Incorrect hash"  # its own fault first
