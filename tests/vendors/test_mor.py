"""MOR's questions, driven by hand: what goes out, and what each answer becomes for the dialplan."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Generator
from typing import Any
from urllib.parse import parse_qsl

import pytest

from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.settings.secret import Secret
from callsign.settings.sections import Mor, Numbers
from callsign.vendors.interface import Probed
from callsign.vendors.mor import questions as mor
from callsign.vendors.registry import VENDORS
from callsign.verdicts import Found, Invalid, Refused, TryLater, Verdict

KEY = "the-key-of-mor"
URL = "https://mor.example/billing/api"
CALLER = "+3256528999"
BALANCE, OWNER = VENDORS["mor"].asks["mor/balance"], VENDORS["mor"].asks["mor/caller"]


def settings(**changes: Any) -> Mor:
    return Mor(**{"url": URL, "user": "admin", "key": Secret(KEY), **changes})


def says(xml: str, status: int = 200) -> Answer:
    return Answer(status, {}, xml.encode())


def lead(conversation: Generator[Request, Reply, Any], *replies: Reply) -> tuple[list[Request], Any]:
    """What went out, and what came of it."""
    sent, left = [], list(replies)
    try:
        request = next(conversation)
        while True:
            sent.append(request)
            request = conversation.send(left.pop(0))
    except StopIteration as stop:
        assert left == []
        return sent, stop.value


def balance(reply: Reply, **facts: str) -> Verdict:
    found: Verdict = lead(BALANCE.converse(settings(), Numbers(), facts or {"username": "bob"}, None), reply)[1]
    return found


def owner(reply: Reply) -> Verdict:
    found: Verdict = lead(OWNER.converse(settings(), Numbers(), {"cli": CALLER}, None), reply)[1]
    return found


def fields(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


# -- the request -------------------------------------------------------------------------------------


def test_the_balance_is_asked_by_a_form_with_the_hash_of_its_values() -> None:
    facts = {"currency": "EUR", "username": "O'Brien & Söhne+"}
    ((request,), _) = lead(
        BALANCE.converse(settings(), Numbers(), facts, None), says("<page><balance>1</balance></page>")
    )
    assert (request.method, request.url, request.query) == ("POST", f"{URL}/user_balance_get", ())
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert dict(fields(request)) == {"u": "admin", **facts, "hash": sha1(f"O'Brien & Söhne+EUR{KEY}")}
    assert request.is_safe
    assert request.verify is True
    assert KEY not in repr(request)


def test_an_owner_is_asked_with_nothing_hashed_but_the_key() -> None:
    ((request,), _) = lead(OWNER.converse(settings(), Numbers(), {"cli": CALLER}, None), says("<page/>"))
    assert request.url == f"{URL}/cli_info_get"
    assert dict(fields(request)) == {"u": "admin", "cli": "056528999", "hash": sha1(KEY)}
    assert request.is_safe


@pytest.mark.parametrize(
    ("numbers", "cli"),
    [(Numbers(format="e164"), CALLER), (Numbers(format="asis"), CALLER), (Numbers(country="NL"), CALLER)],
)
def test_the_number_goes_out_in_the_form_of_the_settings(numbers: Numbers, cli: str) -> None:
    ((request,), _) = lead(OWNER.converse(settings(), numbers, {"cli": CALLER}, None), says("<page/>"))
    assert dict(fields(request))["cli"] == cli


def test_parameters_may_go_into_the_query() -> None:
    given = settings(params_in="query", url=f"{URL}/", verify="/etc/ca.pem")
    ((request,), _) = lead(BALANCE.converse(given, Numbers(), {"username": "bob"}, None), says("<page/>"))
    assert (request.url, request.body, request.headers) == (f"{URL}/user_balance_get", b"", {})
    assert request.query == (("u", "admin"), ("username", "bob"), ("hash", sha1(f"bob{KEY}")))
    assert request.verify == "/etc/ca.pem"


def test_empty_values_are_not_sent() -> None:
    section = settings()
    assert "currency" not in dict(fields(mor.request(section, "user_balance_get", {"username": "bob", "currency": ""})))


def test_what_only_the_server_knows_to_be_harmless_is_not_called_safe() -> None:
    section = settings()
    for method in ("user_balance_update", "sms_send", "callback_init", "user_login", "no_such_method"):
        assert not mor.request(section, method, {}).is_safe


# -- mor/balance -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("66.0000", "66.0000"),
        ("-349282.18", "-349282.18"),
        ("0", "0"),
        ("+5", "5"),
        ("12,50", "12.50"),
        (" 7.5\n", "7.5"),
        ("1.0e-05", "0.00"),
        ("-3.5527e-15", "0.00"),
    ],
)
def test_a_balance_is_an_amount_with_a_point(text: str, amount: str) -> None:
    found = Found({"MORBALANCE": amount})
    assert balance(says(f"<page><balance>{text}</balance></page>")) == found
    assert balance(says(text)) == found  # MOR before X4
    assert balance(says(f"<page><balance>{text}</balance><currency>EUR</currency></page>")) == found


@pytest.mark.parametrize(
    "text", ["", "-", "1.2.3", "1 000", "NaN", "inf", "1e999", "1e99", "9" * 99, "12x", "${SHELL(id)}", "\u0661"]
)
def test_what_is_no_amount_is_no_balance(text: str) -> None:
    found = balance(says(f"<page><balance>{text}</balance></page>"))
    assert isinstance(found, TryLater)
    assert "balance" in found.reason


def test_a_page_without_a_balance_is_none() -> None:
    for page in ("<page><cli/></page>", "<Status>Ok</Status>", "<balance>5</balance>", "<page>5</page>"):
        assert isinstance(balance(says(page)), TryLater)


def test_mors_no_is_refused_in_its_own_words() -> None:
    found = balance(says("<page><error>User was not found</error></page>"))
    assert isinstance(found, Refused)
    assert found.reason.startswith("User was not found; ")


def test_a_server_in_trouble_and_none_at_all_are_no_verdict() -> None:
    assert isinstance(balance(says("<h1>Bad Gateway</h1>", 502)), TryLater)
    assert balance(NoAnswer("it refuses connections", sent=False)) == TryLater("it refuses connections")


def test_the_user_must_be_named() -> None:
    assert BALANCE.needs == ("username",)
    assert (BALANCE.names, BALANCE.variables, BALANCE.caller) == (("username", "currency"), ("MORBALANCE",), "")


def test_a_value_that_the_server_would_not_hash_is_not_asked_with() -> None:
    sent, found = lead(mor.ask(settings(), "user_details_get", {"user_id": "007"}))
    assert sent == []
    assert isinstance(found, Invalid)
    assert found.reason.startswith("user_id: wanted digits without a leading zero")


# -- mor/caller --------------------------------------------------------------------------------------

DEVICE = "<device><user_id>{}</user_id><device_id>{}</device_id></device>"


def test_the_owner_is_a_user_and_a_device_also_from_a_gzipped_file() -> None:
    page = f"<page><cli>{DEVICE.format(2, 7)}</cli></page>"
    found = Found({"MORUSERID": "2", "MORDEVICEID": "7"})
    assert owner(says(page)) == found
    assert owner(Answer(200, {"content-type": "application/x-gzip"}, gzip.compress(page.encode()))) == found


def test_of_several_devices_the_first_is_told_with_a_remark() -> None:
    found = owner(says(f"<page><cli>{DEVICE.format(2, 7)}{DEVICE.format(3, 8)}</cli></page>"))
    assert isinstance(found, Found)
    assert dict(found.variables) == {"MORUSERID": "2", "MORDEVICEID": "7"}
    assert found.reason.startswith("2 devices")


def test_nobody_is_an_answer_too() -> None:
    assert owner(says("<status><error>CLI not found</error></status>")) == Found({}, "CLI not found")


def test_another_no_is_none() -> None:
    for words in ("CLI is empty", "Incorrect hash", "Access Denied"):
        found = owner(says(f"<status><error>{words}</error></status>"))
        assert isinstance(found, Refused)
        assert found.reason.startswith(words)


@pytest.mark.parametrize("ids", [("", ""), ("2", ""), ("x", "7"), ("2", "-1"), ("2", "9" * 40)])
def test_what_is_no_id_is_no_owner(ids: tuple[str, str]) -> None:
    assert isinstance(owner(says(f"<page><cli>{DEVICE.format(*ids)}</cli></page>")), TryLater)
    assert isinstance(owner(says("<page><cli/></page>")), TryLater)


def test_the_caller_is_asked_about_by_default() -> None:
    assert (OWNER.names, OWNER.variables) == (("cli",), ("MORUSERID", "MORDEVICEID"))
    assert (OWNER.caller, OWNER.needs) == ("cli", ())


# -- sign and check ----------------------------------------------------------------------------------


def test_sign_orders_the_names_itself_and_masks_the_key() -> None:
    given = {"calltype": "answered", "period_start": "1252454580", "user_id": "123"}
    told = mor.explain(settings(key=Secret("Very Sercet Key")), given, 0.0)
    assert told.text == "1231252454580answered****"
    assert told.signature == "b93c35d5c6183288322122561a3da7e09abb63b7"  # "MOR API hash construction"
    assert list(told.values) == ["user_id", "period_start", "calltype"]


def test_sign_of_nothing_is_that_of_the_key_alone() -> None:
    told = mor.explain(settings(key=Secret("secret")), {}, 0.0)
    assert (told.text, told.signature) == ("****", "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4")


def test_sign_takes_the_method_for_those_with_names_of_their_own() -> None:
    told = mor.explain(settings(), {"method": "subscription_update", "subscription_id": "5"}, 0.0)
    assert told.text == "5****"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"usernam": "bob"}, "did you mean username?"),
        ({"hash": "1"}, "hash: is not hashed"),
        ({"u": "admin"}, "u: is not hashed by MOR"),
        ({"user_id": "007"}, "leading zero"),
        ({"subscription_id": "5"}, "not hashed"),
    ],
)
def test_sign_says_what_is_not_hashed(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        mor.explain(settings(), given, 0.0)


def probed(reply: Reply) -> object:
    (request,), found = lead(VENDORS["mor"].probe(settings(), None), reply)
    assert request.url == f"{URL}/system_version_get"
    assert request.is_safe
    return found


def test_the_probe_proves_user_and_key_by_the_version() -> None:
    assert probed(says("<page><version>MOR X17</version></page>")) == Probed(True, "version MOR X17")
    refused = probed(says("<status><error>Incorrect hash</error></status>"))
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("Incorrect hash; check [mor] key")
    assert isinstance(probed(says("<page/>")), TryLater)
    assert probed(NoAnswer("it refuses connections", sent=False)) == TryLater("it refuses connections")
