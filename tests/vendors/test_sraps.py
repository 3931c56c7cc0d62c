"""SRAPS's files: by hand against a played service, and over real HTTP against the stand-in."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callsign.delivery.asking import Asking
from callsign.delivery.conversation import NO_TIME
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.http.transport import HttpTransport
from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.settings.secret import Secret
from callsign.settings.sections import Numbers, Settings, Sraps
from callsign.vendors.interface import Probed
from callsign.vendors.registry import VENDORS
from callsign.vendors.sraps import client, hawk, phones
from callsign.vendors.sraps.client import LINKS_SECONDS, MOST_PAGES, MOST_TRIES, PROFILES_SECONDS
from callsign.vendors.sraps.memory import Memory
from callsign.verdicts import Found, Invalid, Refused, TryLater, Verdict
from clocks_play import Clock
from product import bare_environment

KEY = Secret("the-key-secret")
URL = "https://api.sraps.example/api/v1"
COMPANY = f"{URL}/companies/c1"
ENDPOINTS = f"{COMPANY}/endpoints/"
PROFILES = f"{COMPANY}/provisioning-profiles/"
MAC = "000413aabbcc"
PHONE_URL = f"{ENDPOINTS}{MAC}"
IDS = {name: f"{n:032x}" for n, name in enumerate(("Default", "Hot desk", "Sales"), 1)}
PHONE = {
    "mac": MAC,
    "autoprovisioning_enabled": True,
    "name": "Reception",
    "provisioning_profile": IDS["Default"],
    "settings_manager": {"5f": {"value": "é", "attrs": {"perm": "RW"}}},
}
NOW = 1_700_000_000.0

Respond = Callable[[Request], Reply]


def section(**changes: Any) -> Sraps:
    return Sraps(**{"url": URL, "key_id": "ck_1", "key_secret": KEY, **changes})


def settings(**changes: Any) -> Settings:
    return Settings(sraps=section(**changes))


def memory() -> Memory:
    count = iter(range(1, 1000))
    return Memory(Clock(NOW), Clock(5000.0), lambda: f"nonce-{next(count)}")


def says(document: object, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, json.dumps(document).encode(), NOW)


class Service:
    """The service as a function of the request; what a test puts into `instead` goes before, once for each entry."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.company: object = COMPANY
        self.links: object = {"endpoints": ENDPOINTS, "provisioning-profiles": PROFILES}
        self.profiles: object = [{"uuid": uuid, "name": name} for name, uuid in IDS.items()]
        self.phone: dict[str, Any] = dict(PHONE)
        self.instead: dict[tuple[str, str], list[Reply | Respond]] = {}

    def __call__(self, request: Request) -> Reply:
        self.sent.append(request)
        waiting = self.instead.get((request.method, request.url.partition("?")[0]), [])
        if waiting:
            first = waiting.pop(0)
            return first(request) if callable(first) else first
        path = request.url.partition("?")[0]
        if request.method == "PUT" and path == PHONE_URL:
            self.phone = json.loads(request.body)
            return says(self.phone)
        found = {
            f"{URL}/tokens/ck_1": {"links": {"company": self.company}},
            COMPANY: {"links": self.links},
            PHONE_URL: {**self.phone, "links": {"company": COMPANY}},
            PROFILES: self.profiles,
        }
        return says(found[path]) if path in found else says({"detail": "Not found."}, 404)

    def urls(self) -> list[str]:
        return [f"{request.method} {request.url.removeprefix(URL)}" for request in self.sent]


def played(conversation: Generator[Request, Reply, Any], service: Respond) -> Any:
    try:
        request = next(conversation)
        while True:
            request = conversation.send(service(request))
    except StopIteration as stop:
        return stop.value


def endpoint(service: Respond, mem: Memory | None = None, mac: str = MAC, given: Sraps | None = None) -> Verdict:
    verdict: Verdict = played(
        phones.ask_endpoint(given or section(), Numbers(), {"mac": mac}, mem or memory()), service
    )
    return verdict


def assign(service: Respond, mem: Memory | None = None, profile: str = "Hot desk", mac: str = MAC) -> Verdict:
    facts = {"mac": mac, "profile": profile}
    verdict: Verdict = played(phones.ask_assign(section(), Numbers(), facts, mem or memory()), service)
    return verdict


def reason(verdict: Verdict) -> str:
    return verdict.reason


ASKED = ["GET /tokens/ck_1", "GET /companies/c1", f"GET /companies/c1/endpoints/{MAC}"]
LISTED = "GET /companies/c1/provisioning-profiles/?page_size=1000"
SHOWN = Found({"SRAPSNAME": "Reception", "SRAPSPROFILE": "Default"})
ASSIGNED = {"SRAPSNAME": "Reception", "SRAPSPROFILE": "Hot desk"}


# -- what is asked -----------------------------------------------------------------------------------


def test_the_phones_name_and_its_profiles_name_are_found_along_the_companys_links() -> None:
    service = Service()
    assert endpoint(service) == SHOWN
    assert service.urls() == [*ASKED, LISTED]


def test_every_request_is_signed_for_its_url_with_a_nonce_of_its_own_and_names_the_version() -> None:
    service = Service()
    assign(service)
    nonces = set()
    for request in service.sent:
        told = hawk.attributes(request.headers["Authorization"])
        assert told is not None
        payload = hawk.payload_hash(request.body, "application/json") if request.body else ""
        what = hawk.signed(request.method, request.full_url(), int(NOW), told["nonce"], payload)
        assert request.headers["Authorization"] == hawk.authorization("ck_1", KEY, what)
        assert request.headers["Accept"] == "application/json; version=v1"
        assert ("Content-Type" in request.headers) == bool(request.body) == (request.method == "PUT")
        assert request.is_safe == (request.method == "GET")
        nonces.add(told["nonce"])
    assert len(nonces) == len(service.sent) == 5


def test_a_key_id_that_no_path_can_hold_is_escaped() -> None:
    service = Service()
    endpoint(service, given=section(key_id="a b/c?"))
    assert service.urls() == ["GET /tokens/a%20b%2Fc%3F"]
    assert phones.explain(section(key_id="a b/c?"), {}, NOW).values["url"] == f"{URL}/tokens/a%20b%2Fc%3F"


def test_the_accept_header_and_the_ca_file_are_those_of_the_settings() -> None:
    service = Service()
    endpoint(service, given=section(accept="application/json", verify="/etc/callsign/ca.pem"))
    assert {request.headers["Accept"] for request in service.sent} == {"application/json"}
    assert {request.verify for request in service.sent} == {"/etc/callsign/ca.pem"}


@pytest.mark.parametrize(
    "text",
    [
        *("00:04:13:AA:BB:CC", "00-04-13-aa-bb-cc", "0004.13aa.bbcc", "000413-aabbcc", "000413:AABBCC"),
        *("000413aabbcc", " 000413AABBCC ", "00 04 13 aa bb cc", "0004-13AA-BBCC"),
    ],
)
def test_a_mac_is_taken_in_any_usual_form(text: str) -> None:
    service = Service()
    assert endpoint(service, mac=text) == SHOWN
    assert ASKED[2] in service.urls()


@pytest.mark.parametrize(
    "text",
    [
        "000413aabbc",
        "000413aabbccd",
        "00:04:13:aa:bb",
        "0:4:13:aa:bb:cc",
        "000413aabbcg",
        "../../tokens",
        "00041३aabbcc",
    ],
)
def test_what_is_no_mac_is_told_and_nothing_asked(text: str) -> None:
    service = Service()
    for verdict in (endpoint(service, mac=text), assign(service, mac=text)):
        assert isinstance(verdict, Invalid)
        assert "12 hex digits" in verdict.reason
    assert service.sent == []


@given(st.binary(min_size=6, max_size=6), st.sampled_from([1, 2, 3, 6]), st.sampled_from(":-."), st.booleans())
def test_every_mac_comes_out_the_same(raw: bytes, size: int, separator: str, is_upper: bool) -> None:
    text = raw.hex(separator, size) if size < 6 else raw.hex()
    assert phones.mac_of(text.upper() if is_upper else text) == raw.hex()


@given(st.text(max_size=30))
def test_any_text_is_a_mac_or_none(text: str) -> None:
    found = phones.mac_of(text)
    assert found is None or (len(found) == 12 and found.isascii())


# -- what is kept ------------------------------------------------------------------------------------


def test_links_and_profiles_are_fetched_once() -> None:
    service, mem = Service(), memory()
    endpoint(service, mem)
    service.sent.clear()
    assert endpoint(service, mem) == SHOWN
    assert service.urls() == [ASKED[2]]


def test_the_profiles_are_fetched_again_after_five_minutes_and_the_links_after_an_hour() -> None:
    service, mem = Service(), memory()
    steady = mem.steady
    assert isinstance(steady, Clock)
    endpoint(service, mem)
    service.sent.clear()
    steady.now += PROFILES_SECONDS
    endpoint(service, mem)
    assert service.urls() == [ASKED[2], LISTED]
    service.sent.clear()
    steady.now += LINKS_SECONDS - PROFILES_SECONDS
    endpoint(service, mem)
    assert service.urls() == [*ASKED, LISTED]
    assert PROFILES_SECONDS == 300


@pytest.mark.parametrize("changed", [{"key_secret": Secret("new")}, {"key_id": "ck_2"}, {"url": f"{URL}/"}])
def test_nothing_is_kept_for_another_account(changed: dict[str, Any]) -> None:
    service, mem = Service(), memory()
    endpoint(service, mem)
    service.sent.clear()
    endpoint(service, mem, given=section(**changed))
    assert service.sent[0].url.startswith(f"{URL}/tokens/")


def test_a_phone_that_is_not_there_is_refused() -> None:
    service = Service()
    verdict = endpoint(service, mac="000413000000")
    assert isinstance(verdict, Refused)
    assert verdict.reason.startswith("HTTP 404: no such phone 000413000000")
    assert len(service.sent) == 3


def test_a_404_behind_kept_links_has_them_fetched_anew_and_followed_where_they_moved() -> None:
    service, mem = Service(), memory()
    endpoint(service, mem)
    service.sent.clear()
    service.links = {"endpoints": f"{COMPANY}/phones", "provisioning-profiles": PROFILES}
    service.instead[("GET", PHONE_URL)] = [says({}, 404)]
    service.instead[("GET", f"{COMPANY}/phones/{MAC}")] = [says(PHONE)]
    assert endpoint(service, mem) == SHOWN
    assert service.urls() == [ASKED[2], *ASKED[:2], f"GET /companies/c1/phones/{MAC}"]


def test_a_404_behind_links_that_did_not_move_is_the_phones() -> None:
    service, mem = Service(), memory()
    endpoint(service, mem)
    service.sent.clear()
    assert isinstance(endpoint(service, mem, mac="000413000000"), Refused)
    assert service.urls() == ["GET /companies/c1/endpoints/000413000000", *ASKED[:2]]


# -- links and pages ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link", [COMPANY, "/api/v1/companies/c1", "companies/c1", COMPANY.replace(".example", ".EXAMPLE:443")]
)
def test_a_link_may_be_absolute_or_relative(link: str) -> None:
    service = Service()
    service.company = link
    service.instead[("GET", COMPANY.replace(".example", ".EXAMPLE:443"))] = [says({"links": service.links})]
    assert endpoint(service) == SHOWN


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/companies/c1",
        "//evil.example/companies/c1",
        "http://api.sraps.example/api/v1/companies/c1",
        "https://api.sraps.example:8443/api/v1/companies/c1",
        "https://api.sraps.example@evil.example/",
        "https://user@api.sraps.example/api/v1/companies/c1",
        "https://api.sraps.example.evil.example/",
        "https://[::1/companies",
        "https://api.sraps.example:port/",
        "/companies/é",
        "/companies/c 1",
        "\\\\evil.example\\c1",
        "javascript:alert(1)",
    ],
)
def test_nothing_is_signed_for_another_server(link: str) -> None:
    service = Service()
    service.company = link
    verdict = endpoint(service)
    assert isinstance(verdict, Invalid)
    assert "not followed" in verdict.reason
    assert "[sraps] url" in verdict.reason
    assert service.urls() == ASKED[:1]


@pytest.mark.parametrize("company", [None, 7, {"href": COMPANY}])
def test_an_answer_without_the_link_is_no_answer(company: object) -> None:
    service = Service()
    service.company = company
    assert "no link to company" in reason(endpoint(service))


@pytest.mark.parametrize(
    ("link", "first"),
    [
        ("profiles", "/profiles?page_size=1000"),
        ("profiles/", "/profiles/?page_size=1000"),
        ("p?of=c1", "/p?of=c1&page_size=1000"),
    ],
)
def test_a_list_is_asked_for_at_its_link_as_it_is(link: str, first: str) -> None:
    service = Service()
    service.links = {"endpoints": ENDPOINTS.rstrip("/"), "provisioning-profiles": link}
    endpoint(service)
    assert service.urls()[2:] == [ASKED[2], f"GET {first}"]


def test_an_escape_in_a_link_is_signed_as_it_is_sent() -> None:
    service = Service()
    service.links = {"endpoints": "/api/v1/a%2fb/", "provisioning-profiles": PROFILES}
    endpoint(service)
    assert f"GET /a%2Fb/{MAC}" in service.urls()


def pages(service: Service, link: Callable[[int], dict[str, str]], wrap: Callable[[list[object], int], object]) -> None:
    """Serves the three profiles one by one."""
    entries = [{"uuid": uuid, "name": name} for name, uuid in IDS.items()]
    service.instead[("GET", PROFILES)] = [
        says(wrap([entry], n), **(link(n) if n < len(entries) else {})) for n, entry in enumerate(entries, 1)
    ]


@pytest.mark.parametrize(
    "header",
    [
        '<{0}?page={1}>; rel="next"',
        "</api/v1/companies/c1/provisioning-profiles/?page={1}>; rel=next",
        '<{0}?page=1>; rel="prev", <?page={1}>; title="a, b"; rel="last next"',
        '<{0}?page={1}>;rel="Next"; type="application/json"',
    ],
)
def test_pages_are_followed_by_the_link_header(header: str) -> None:
    service = Service()
    pages(service, lambda n: {"link": header.format(PROFILES, n + 1)}, lambda entries, _: entries)
    assert isinstance(assign(service, profile="Sales"), Found)
    assert [url for url in service.urls() if "profiles" in url][1:] == [
        f"GET /companies/c1/provisioning-profiles/?page={n}" for n in (2, 3)
    ]


def test_pages_are_followed_by_what_the_body_says() -> None:
    service = Service()
    pages(
        service,
        lambda _: {},
        lambda entries, n: {"results": entries, "next": f"{PROFILES}?page={n + 1}" if n < 3 else None},
    )
    assert isinstance(assign(service, profile="Sales"), Found)


def test_another_relation_is_no_next_page() -> None:
    service = Service()
    pages(service, lambda _: {"link": f'<{PROFILES}?page=9>; rel="last"; title="next"'}, lambda entries, _: entries)
    assert isinstance(endpoint(service), Found)
    assert len(service.sent) == 4


def test_a_next_page_elsewhere_is_not_followed() -> None:
    service = Service()
    pages(service, lambda _: {"link": '<https://evil.example/?page=2>; rel="next"'}, lambda entries, _: entries)
    assert isinstance(endpoint(service), Invalid)
    assert len(service.sent) == 4


def test_pages_without_an_end_are_given_up() -> None:
    service = Service()
    again = says([], link=f'<{PROFILES}>; rel="next"')
    service.instead[("GET", PROFILES)] = [again] * 100
    assert "no end" in reason(endpoint(service))
    assert len(service.sent) == len(ASKED) + MOST_PAGES + 1


def test_pages_that_are_too_long_together_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_LIST_BYTES", 1000)
    service = Service()
    service.instead[("GET", PROFILES)] = [says([{"uuid": "x" * 300}], link=f'<{PROFILES}>; rel="next"')] * 100
    assert "no end" in reason(endpoint(service))
    assert len(service.sent) == len(ASKED) + 4


@pytest.mark.parametrize("entry", [None, 7, "x", [], {}, {"uuid": 7, "name": "x"}])
def test_an_entry_that_is_none_is_passed_over(entry: object) -> None:
    service = Service()
    service.profiles = [entry, {"uuid": IDS["Default"], "name": "Default"}]
    assert endpoint(service) == SHOWN


# -- the profile -------------------------------------------------------------------------------------


def profile(wanted: str, profiles: Mapping[str, str]) -> str:
    chosen = phones.choose(wanted, profiles)
    return chosen.reason if isinstance(chosen, Invalid) else chosen[0]


def test_a_profile_is_chosen_by_its_name_and_case_counts_only_where_it_must() -> None:
    profiles = {"1": "Sales", "2": "SALES", "3": "Hot desk"}
    assert profile("Sales", profiles) == "1"
    assert profile("SALES", profiles) == "2"
    assert profile("HOT DESK", profiles) == "3"
    assert profile("sales", profiles) == 'profile "sales": in which case? There are SALES, Sales'


def test_a_profile_is_chosen_by_its_id_in_any_notation() -> None:
    uuid = "0a1b2c3d-0000-4000-8000-00000000abcd"
    profiles = {uuid: "A", "f" * 32: "B"}
    assert profile(uuid.upper(), profiles) == profile(uuid.replace("-", ""), profiles) == uuid
    assert profile("F" * 32, profiles) == "f" * 32


def test_profiles_that_are_called_the_same_are_named_by_their_ids() -> None:
    profiles = {f"{n:032x}": "Sales" for n in range(5)}
    told = profile("Sales", profiles)
    assert told.startswith('profile "Sales": 5 are called so; give the id of one: ')
    assert f"{0:032x}, {1:032x}, {2:032x}, …" in told
    assert len(told) < 240


def test_an_unknown_profile_is_told_with_near_ones_or_a_few_of_all() -> None:
    assert "did you mean Hot desk?" in profile("hot dsek", {"1": "Hot desk", "2": "Sales"})
    told = profile("Zzz", {str(n): f"Name {n}" for n in range(9)})
    assert told == 'profile "Zzz": there is none among 9: Name 0, Name 1, Name 2, …'


def test_a_profile_that_is_new_is_found_though_the_list_was_kept() -> None:
    service, mem = Service(), memory()
    endpoint(service, mem)
    service.profiles = [{"uuid": uuid, "name": name} for name, uuid in {**IDS, "Brand new": "f" * 32}.items()]
    service.sent.clear()
    verdict = assign(service, mem, profile="Brand new")
    assert isinstance(verdict, Found)
    assert verdict.variables["SRAPSPROFILE"] == "Brand new"
    assert service.urls().count(LISTED) == 1


def test_a_profile_that_is_not_there_is_looked_for_anew_once() -> None:
    service, mem = Service(), memory()
    assert isinstance(assign(service, mem, profile="Nowhere"), Invalid)
    assert service.urls().count(LISTED) == 1
    assert isinstance(assign(service, mem, profile="Nowhere"), Invalid)
    assert service.urls().count(LISTED) == 2
    assert not [url for url in service.urls() if url.startswith("PUT")]


@pytest.mark.parametrize("has", [None, "", 7])
def test_a_phone_without_a_profile_has_an_empty_one(has: object) -> None:
    service = Service()
    service.phone["provisioning_profile"] = has
    assert endpoint(service) == Found({"SRAPSNAME": "Reception", "SRAPSPROFILE": ""})
    assert LISTED not in service.urls()


def test_a_phone_whose_profile_the_key_does_not_see_is_told_so() -> None:
    service = Service()
    service.phone["provisioning_profile"] = "f" * 32
    verdict = endpoint(service)
    assert isinstance(verdict, Found)
    assert verdict.variables == {"SRAPSNAME": "Reception"}
    assert "none that this API key sees" in verdict.reason


# -- the PUT -----------------------------------------------------------------------------------------


def test_assign_sends_back_all_that_the_service_said_of_the_phone_with_the_profile_changed() -> None:
    service = Service()
    assert assign(service) == Found(ASSIGNED)
    assert service.urls()[-1] == f"PUT /companies/c1/endpoints/{MAC}"
    assert json.loads(service.sent[-1].body) == {**PHONE, "provisioning_profile": IDS["Hot desk"]}
    assert not service.sent[-1].is_safe


def test_a_phone_that_has_the_profile_already_needs_no_put() -> None:
    service = Service()
    assert assign(service, profile="default") == SHOWN
    assert not [url for url in service.urls() if url.startswith("PUT")]


@pytest.mark.parametrize(("status", "remark"), [(200, ""), (201, ""), (204, ""), (202, "accepted, not done yet")])
def test_a_put_that_is_taken_is_found(status: int, remark: str) -> None:
    service = Service()
    service.instead[("PUT", PHONE_URL)] = [Answer(status, {}, b"")]
    assert assign(service) == Found(ASSIGNED, remark)


@pytest.mark.parametrize(
    ("reply", "is_maybe"),
    [
        (NoAnswer("gone", sent=True), True),
        (NoAnswer("gone", sent=False), False),
        (Answer(500, {}, b""), True),
        (Answer(502, {}, b""), True),
        (Answer(503, {}, b""), False),
        (Answer(504, {}, b""), True),
        (Answer(429, {}, b""), False),
        (Answer(200, {"server-authorization": 'Hawk mac="AAAA"'}, b"{}"), True),
    ],
)
def test_a_put_whose_answer_is_lost_may_have_been_done_and_is_not_repeated(reply: Reply, is_maybe: bool) -> None:
    service = Service()
    service.instead[("PUT", PHONE_URL)] = [reply] * 2
    verdict = assign(service)
    assert isinstance(verdict, TryLater)
    assert verdict.reason.endswith("; it may have been done") == is_maybe
    assert sum(request.method == "PUT" for request in service.sent) == 1


@pytest.mark.parametrize(("is_sent", "words"), [(True, "gone; it may have been done"), (False, "HTTP 401: ")])
def test_a_put_that_is_lost_when_it_goes_out_again_may_have_been_done_only_if_it_was_sent(
    is_sent: bool, words: str
) -> None:
    service = Service()
    service.instead[("PUT", PHONE_URL)] = [stale(int(NOW) + 400), NoAnswer("gone", sent=is_sent)]
    assert reason(assign(service)).startswith(words)


def test_a_put_that_is_refused_is_refused_in_the_services_words() -> None:
    service = Service()
    service.instead[("PUT", PHONE_URL)] = [says({"error": "taken_mac_or_forbidden"}, 403)]
    verdict = assign(service)
    assert isinstance(verdict, Refused)
    assert verdict.reason.startswith("HTTP 403: taken_mac_or_forbidden; the API key may not do this")
    service.instead[("PUT", PHONE_URL)] = [says({}, 404)]
    assert reason(assign(service)).startswith("HTTP 404: no such phone")


# -- statuses ----------------------------------------------------------------------------------------

REFUSING = {
    400: "malformed",
    401: "key_secret",
    403: "role",
    405: "url",
    406: "accept",
    413: "10 MB",
    409: "url",
}
LATER = {
    202: "url",
    301: "url",
    408: "",
    429: "too many",
    500: "fault",
    502: "not available",
    503: "maintenance",
    504: "too long",
}


@pytest.mark.parametrize("status", [*REFUSING, *LATER])
def test_every_status_is_a_reason_that_an_administrator_understands(status: int) -> None:
    service = Service()
    service.instead[("GET", PHONE_URL)] = [says({"detail": "their word"}, status)]
    verdict = endpoint(service)
    assert type(verdict) is (Refused if status in REFUSING else TryLater)
    assert reason(verdict).startswith(f"HTTP {status}: their word; ")
    assert {**REFUSING, **LATER}[status] in reason(verdict)


@pytest.mark.parametrize("name", ["message", "error", "detail"])
def test_the_services_word_is_found_and_holds_no_secret(name: str) -> None:
    service = Service()
    text = f"key {KEY.reveal()} of 056 52 89 99 is bad\r\nx"
    service.instead[("GET", PHONE_URL)] = [says({name: text}, 400)]
    told = reason(endpoint(service))
    assert "key … of … is bad x" in told
    assert KEY.reveal() not in told


@pytest.mark.parametrize("body", [b"<html>", b"", b"7", b'"x"', b"null"])
def test_a_page_that_is_no_json_is_no_answer(body: bytes) -> None:
    service = Service()
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [Answer(200, {}, body)]
    verdict = endpoint(service)
    assert isinstance(verdict, TryLater)
    assert "[sraps] url" in verdict.reason


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["links", "company", "endpoints", "uuid", "name", "results", "next", "provisioning_profile"]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_at_all_ends_in_a_verdict(document: object) -> None:
    for url in (f"{URL}/tokens/ck_1", COMPANY, PHONE_URL, PROFILES):
        service = Service()
        service.instead[("GET", url)] = [says(document)] * 100
        assert isinstance(assign(service), Found | Refused | TryLater | Invalid)


@pytest.mark.parametrize("where", [f"{URL}/tokens/ck_1", COMPANY, PHONE_URL, PROFILES])
def test_no_answer_on_the_way_is_unreachable_for_its_own_reason(where: str) -> None:
    service = Service()
    service.instead[("GET", where)] = [NoAnswer("api.sraps.example refuses connections", sent=False)]
    assert assign(service) == TryLater("api.sraps.example refuses connections")


# -- the clock ---------------------------------------------------------------------------------------


def stale(ts: int, key: Secret = KEY) -> Answer:
    tsm = hawk.mac(key, f"hawk.1.ts\n{ts}\n")
    header = f'Hawk ts="{ts}", tsm="{tsm}", error="Stale timestamp"'
    return says({"message": "Stale timestamp"}, 401, www_authenticate=header)


def stamps(service: Service) -> list[int]:
    return [int((hawk.attributes(request.headers["Authorization"]) or {})["ts"]) for request in service.sent]


def test_the_services_time_is_taken_once_with_a_new_nonce_and_kept() -> None:
    service, mem = Service(), memory()
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [stale(int(NOW) + 400)]
    assert endpoint(service, mem) == SHOWN
    assert stamps(service) == [int(NOW)] + [int(NOW) + 400] * 4
    assert len({request.headers["Authorization"] for request in service.sent}) == 5
    service.sent.clear()
    endpoint(service, mem)
    assert stamps(service) == [int(NOW) + 400]


def test_a_clock_that_was_set_right_meanwhile_is_corrected_again() -> None:
    service, mem = Service(), memory()
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [stale(int(NOW) + 400)]
    endpoint(service, mem)
    assert isinstance(mem.wall, Clock)
    mem.wall.now += 400
    service.instead[("GET", PHONE_URL)] = [stale(int(NOW) + 400)]
    service.sent.clear()
    assert endpoint(service, mem) == SHOWN
    assert stamps(service) == [int(NOW) + 800, int(NOW) + 400]


def test_a_put_that_came_with_a_stale_time_was_answered_and_is_sent_again() -> None:
    service = Service()
    service.instead[("PUT", PHONE_URL)] = [stale(int(NOW) + 400)]
    assert assign(service) == Found(ASSIGNED)
    assert sum(request.method == "PUT" for request in service.sent) == 2


def test_a_time_that_is_refused_again_is_not_tried_a_third_time() -> None:
    service = Service()
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [stale(int(NOW) + 400), stale(int(NOW) + 400)]
    verdict = endpoint(service)
    assert isinstance(verdict, Refused)
    assert "with the service's own time too" in verdict.reason
    assert len(service.sent) == 2


def test_a_time_that_is_not_signed_with_our_key_is_not_adopted_and_the_date_is_a_hint() -> None:
    service, mem = Service(), memory()
    wrong = stale(int(NOW) + 400, Secret("other"))
    dated = Answer(401, {**wrong.headers, "date": "Tue, 14 Nov 2023 22:20:00 GMT"}, wrong.body, NOW)
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [dated]
    verdict = endpoint(service, mem)
    assert isinstance(verdict, Refused)
    assert "not signed with our key and not adopted" in verdict.reason
    assert "this machine's clock is 400 s behind the service's" in verdict.reason
    assert len(service.sent) == 1
    assert mem.known is not None
    assert mem.known.clock_offset_seconds == 0


# -- the pause ---------------------------------------------------------------------------------------


def test_a_pause_that_the_service_asks_for_is_asked_of_who_leads_and_the_time_signed_is_that_after_it() -> None:
    service = Service()
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [says({}, 429, retry_after="2")]
    assert endpoint(service) == SHOWN
    assert [request.after_seconds for request in service.sent] == [0, 2, 0, 0, 0]
    assert stamps(service)[:3] == [int(NOW), int(NOW) + 2, int(NOW)]


def test_a_pause_for_which_there_is_no_time_ends_in_the_services_words() -> None:
    service = Service()
    too_long = says({"message": "slow down"}, 429, retry_after="17")
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [too_long, NO_TIME]
    verdict = endpoint(service)
    assert isinstance(verdict, TryLater)
    assert verdict.reason.startswith("HTTP 429: slow down; too many requests")
    assert "pause of 17 s" in verdict.reason


def test_a_service_that_asks_for_ever_new_pauses_is_given_up() -> None:
    service = Service()
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [says({}, 429, retry_after="1")] * 100
    assert "HTTP 429" in reason(endpoint(service))
    assert len(service.sent) == MOST_TRIES


def asked(service: Service, seconds: float) -> Verdict:
    asking = Asking(settings, lambda request, _: service(request))
    return asking.ask("sraps", "sraps/endpoint", {"mac": MAC}, seconds)


def test_a_call_waits_for_the_pause_within_its_wait() -> None:
    service = Service()
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [says({}, 429, retry_after="1")]
    assert asked(service, seconds=30) == SHOWN


def test_a_call_does_not_wait_for_a_pause_longer_than_its_wait() -> None:
    service = Service()
    service.instead[("GET", f"{URL}/tokens/ck_1")] = [says({}, 429, retry_after="60")]
    assert "pause of 60 s" in reason(asked(service, seconds=30))
    assert len(service.sent) == 1


# -- Server-Authorization ----------------------------------------------------------------------------


def proven(request: Request, document: object, key: Secret = KEY, body: bytes | None = None) -> Answer:
    """An answer as Hawk's server signs it."""
    told = hawk.attributes(request.headers["Authorization"]) or {}
    what = hawk.signed(request.method, request.url, int(told["ts"]), told["nonce"], told.get("hash", ""))
    good = json.dumps(document).encode()
    payload = hawk.payload_hash(good, "application/json")
    mac = hawk.mac(key, what.text("response", payload, ""))
    header = f'Hawk mac="{mac}", hash="{payload}"'
    return Answer(200, {"server-authorization": header, "content-type": "application/json"}, body or good)


def test_an_answer_that_proves_itself_is_believed() -> None:
    service = Service()
    service.instead[("GET", PHONE_URL)] = [lambda request: proven(request, PHONE)]
    assert endpoint(service) == SHOWN


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"key": Secret("other")}, "MAC"), ({"body": b'{"name":"forged"}'}, "hash does not fit the body")],
)
def test_an_answer_whose_proof_is_wrong_is_not_believed(changes: dict[str, Any], words: str) -> None:
    service = Service()
    service.instead[("GET", PHONE_URL)] = [lambda request: proven(request, PHONE, **changes)]
    verdict = endpoint(service)
    assert isinstance(verdict, TryLater)
    assert verdict.reason.startswith("the answer is not believed: Server-Authorization: ")
    assert words in verdict.reason


# -- callsign sign, check --online -------------------------------------------------------------------


def test_sign_shows_text_and_mac_as_hawks_readme_prints_them() -> None:
    given_section = section(key_id="dh37fgj492je", key_secret=Secret("werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn"))
    told = phones.explain(
        given_section,
        {
            "url": "http://example.com:8000/resource/1?b=1&a=2",
            "timestamp": "1353832234",
            "nonce": "j4h3g2",
            "ext": "some-app-ext-data",
        },
        0.0,
    )
    assert told.signature == "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE="  # vectors/hawk.toml
    assert told.text.startswith("hawk.1.header\n1353832234\nj4h3g2\nGET\n/resource/1?b=1&a=2\nexample.com\n8000\n\n")


def test_sign_fills_in_what_is_not_given_and_hashes_a_body() -> None:
    told = phones.explain(section(), {"method": "put", "body": "{}"}, NOW + 0.9)
    assert told.values["method"] == "PUT"
    assert told.values["url"] == f"{URL}/tokens/ck_1"
    assert told.values["timestamp"] == str(int(NOW))
    assert len(told.values["nonce"]) == 32
    assert told.values["hash"] == hawk.payload_hash(b"{}", "application/json")
    assert told.values["hash"] in told.text
    assert phones.explain(section(), {"url": "companies/c1"}, NOW).values["url"] == COMPANY
    assert KEY.reveal() not in f"{told!r}{told.text}{told.values}{told.signature}{told.method}"


@pytest.mark.parametrize(
    ("given_values", "words"),
    [
        ({"timestamp": "soon"}, "epoch"),
        ({"nonce": 'a"'}, "nonce"),
        ({"url": "ftp://x/"}, "url"),
        ({"key": "x"}, "unknown"),
    ],
)
def test_sign_says_what_cannot_be_signed(given_values: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        phones.explain(section(), given_values, NOW)


def test_sign_and_the_probe_are_those_of_the_registry() -> None:
    vendor, given_values = VENDORS["sraps"], {"nonce": "n", "timestamp": "1"}
    assert vendor.explain(section(), given_values, NOW) == phones.explain(section(), given_values, NOW)
    assert played(vendor.probe(section(), memory()), Service()) == Probed(True, "the API key is accepted")


def test_a_script_that_asks_nothing_does_not_load_hawk() -> None:
    late = {"callsign.vendors.sraps.hawk", "secrets"}
    code = f"import sys, callsign.steps.handlers; sys.exit(bool({late} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], env=bare_environment(), check=False).returncode == 0


def test_the_probe_says_whether_key_and_clock_are_good() -> None:
    def probed(*replies: Reply) -> Any:
        service = Service()
        service.instead[("GET", f"{URL}/tokens/ck_1")] = list(replies)
        found = played(phones.probe(section(), memory()), service)
        assert {request.method for request in service.sent} == {"GET"}
        return found

    assert probed() == Probed(True, "the API key is accepted")
    off = probed(stale(int(NOW) - 400))
    assert off.credentials
    assert "-400 s from this machine's" in off.words
    refused = probed(says({}, 401))
    assert isinstance(refused, Refused)
    assert "key_secret" in refused.reason
    assert probed(NoAnswer("gone", sent=False)) == TryLater("gone")


def test_nothing_secret_shows_in_a_repr() -> None:
    service, mem = Service(), memory()
    assign(service, mem)
    shown = f"{service.sent} {mem} {mem.known} {settings().sraps}"
    for word in (KEY.reveal(), "nonce-", MAC, "Hot desk"):
        assert word not in shown


# -- over HTTP, against the stand-in -----------------------------------------------------------------


class Site:
    """The stand-in, and callsign's own way of asking it; both clocks are the test's."""

    def __init__(self, **account: str) -> None:
        self.service_clock = Clock(NOW)
        given_account = {"key_id": "ck_1", "key_secret": KEY.reveal(), **account}
        self.box = Sandbox({"sraps": given_account}, clock=self.service_clock)
        self.box.start()
        self.transport = HttpTransport()
        self.settings = settings(url=self.box.url("sraps"))
        self.asking = Asking(lambda: self.settings, self.transport.send)
        self.asking.memories["sraps"] = Memory(wall=Clock(NOW))

    def ask(self, path: str, seconds: float = 30.0, **facts: str) -> Verdict:
        return self.asking.ask("sraps", f"sraps/{path}", facts, seconds)

    def close(self) -> None:
        self.transport.close()
        self.box.stop()

    def taken(self) -> list[str]:
        return [f"{seen.method} {seen.http_status}" for seen in self.box.seen]


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


def test_the_strict_stand_in_takes_what_we_send(site: Site) -> None:
    assert site.ask("endpoint", mac=MAC) == SHOWN
    assert site.ask("assign", mac=MAC, profile="Hot desk") == Found(ASSIGNED)
    assert site.ask("endpoint", mac=MAC) == Found(ASSIGNED)
    assert {seen.verdict for seen in site.box.seen} == {"OK"}


def test_a_clock_that_is_off_is_corrected_once_for_all_that_follows(site: Site) -> None:
    site.service_clock.now += 3600
    assert site.ask("endpoint", mac=MAC) == SHOWN
    assert site.taken() == ["GET 401", *["GET 200"] * 4]
    assert site.box.seen[0].verdict == "HTTP 401: Stale timestamp"
    assert site.ask("assign", mac=MAC, profile="Hot desk") == Found(ASSIGNED)
    assert site.taken()[5:] == ["GET 200", "PUT 200"]


def test_a_wrong_key_is_refused_with_where_to_mend_it(site: Site) -> None:
    site.settings = settings(url=site.box.url("sraps"), key_secret=Secret("wrong"))
    verdict = site.ask("endpoint", mac=MAC)
    assert isinstance(verdict, Refused)
    assert verdict.reason.startswith("HTTP 401: Bad mac; ")
    assert "[sraps] key_id and key_secret" in verdict.reason


def test_profiles_on_many_pages_are_all_found() -> None:
    names = "\n".join(["Default", *(f"Profile {n}" for n in range(44)), "Hot desk"])
    made = Site(profiles=names, largest_page="20", phones=f"{MAC}|Reception|Default")
    try:
        assert made.ask("assign", mac=MAC, profile="hot desk") == Found(ASSIGNED)
        assert sum(seen.path.endswith("/provisioning-profiles/") for seen in made.box.seen) == 3
    finally:
        made.close()


def test_an_answer_that_somebody_changed_on_the_way_is_not_believed(site: Site) -> None:
    site.box.trouble["sraps"] = Trouble(body=b'{"links": {"company": "/sraps/api/v1/companies/x"}}')
    verdict = site.ask("endpoint", mac=MAC)
    assert isinstance(verdict, TryLater)
    assert "not believed" in verdict.reason


def test_a_put_that_is_only_accepted_says_so(site: Site) -> None:
    site.box.trouble["sraps"] = Trouble(warning="queued")
    assert site.ask("assign", mac=MAC, profile="Hot desk") == Found(ASSIGNED, "accepted, not done yet")


def test_a_missing_version_is_told_with_the_setting(site: Site) -> None:
    site.settings = settings(url=site.box.url("sraps"), accept="application/json")
    assert "[sraps] accept" in reason(site.ask("endpoint", mac=MAC))


class Cut:
    """Passes all on to the stand-in and back, on each connection until a PUT: its answer it keeps, and hangs up."""

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(near,), daemon=True).start()

    def _pass_on(self, near: socket.socket) -> None:
        with near, socket.create_connection(("127.0.0.1", self._box.port)) as far:
            is_cut = threading.Event()
            threading.Thread(target=self._back, args=(far, near, is_cut), daemon=True).start()
            while data := near.recv(65536):
                if data.startswith(b"PUT "):
                    is_cut.set()
                far.sendall(data)
                if is_cut.is_set() and data.endswith(b"}"):  # the whole of it, which may come in two pieces
                    self._box.wait_for(lambda seen: seen[-1].method == "PUT", 10)
                    near.shutdown(socket.SHUT_RDWR)

    def _back(self, far: socket.socket, near: socket.socket, is_cut: threading.Event) -> None:
        with suppress(OSError):  # both are closed under it
            while data := far.recv(65536):
                if not is_cut.is_set():
                    near.sendall(data)

    def close(self) -> None:
        self._listener.close()


def test_a_put_whose_answer_is_lost_on_the_way_may_have_been_done_and_was(site: Site) -> None:
    cut = Cut(site.box)
    try:
        path = urlsplit(site.box.url("sraps")).path
        site.settings = settings(url=f"http://127.0.0.1:{cut.port}{path}")
        verdict = site.ask("assign", mac=MAC, profile="Hot desk")
        assert isinstance(verdict, TryLater)
        assert verdict.reason.endswith("; it may have been done")
        site.settings = settings(url=site.box.url("sraps"))
        assert site.ask("endpoint", mac=MAC) == Found(ASSIGNED)
        assert [told for told in site.taken() if told.startswith("PUT")] == ["PUT 200"]
    finally:
        cut.close()


def test_a_silent_service_ends_with_the_wait(site: Site) -> None:
    site.box.trouble["sraps"] = Trouble(delay_seconds=60)
    assert isinstance(site.ask("endpoint", seconds=0.3, mac=MAC), TryLater)


def test_no_log_line_is_written_on_the_way(site: Site, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    site.ask("assign", mac=MAC, profile="Hot desk")
    assert KEY.reveal() not in caplog.text
    assert MAC not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("callsign"))
