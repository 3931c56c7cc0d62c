"""The stand-in for SRAPS, measured with mohawk as its client, over real sockets and by a clock of the test's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import mohawk
import pytest

from callsign.sandbox.vendors.messages import Trouble
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.sandbox.vendors.sraps import COMPANY, LARGEST_BODY_BYTES
from clocks_play import Clock
from exchange import Reply, exchange

NOW = 1_700_000_000
CREDENTIALS = {"id": "ck_1", "key": "the-key-secret", "algorithm": "sha256"}
JSON = "application/json"
ACCEPT = "application/json; version=v1"
ROOT = "/sraps/api/v1"
PHONE = f"/companies/{COMPANY}/endpoints/000413aabbcc"
PHONES = f"/companies/{COMPANY}/endpoints/"
PROFILES = f"/companies/{COMPANY}/provisioning-profiles/"
NONCES = count()


@pytest.fixture
def clock() -> Clock:
    return Clock(float(NOW))


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    names = "\n".join(f"Profile {n}" for n in range(45))
    phones = "000413aabbcc|Reception|Profile 0\n000413ddeeff|Meeting room|Profile 1"
    account = {"key_id": "ck_1", "key_secret": "the-key-secret", "profiles": names, "phones": phones}
    with Sandbox({"sraps": account}, clock=clock) as running:
        yield running


def send(
    box: Sandbox,
    path: str,
    method: str = "GET",
    body: bytes = b"",
    ts: int = NOW,
    nonce: str = "",
    headers: dict[str, str | None] | None = None,
    signed: dict[str, Any] | None = None,
) -> Reply:
    """One request; `signed` says what mohawk signs instead of what is sent, a header of None is left out."""
    what = {"url": f"http://127.0.0.1:{box.port}{ROOT}{path}", "method": method, "credentials": CREDENTIALS}
    what |= {"content": body, "content_type": JSON} if body else {"always_hash_content": False}
    sender = mohawk.Sender(**{**what, **(signed or {})}, nonce=nonce or f"n{next(NONCES)}", _timestamp=ts)
    told = {"Accept": ACCEPT, "Authorization": sender.request_header, **({"Content-Type": JSON} if body else {})}
    told |= headers or {}  # type: ignore[arg-type]
    given = {name: value for name, value in told.items() if value is not None}
    reply = exchange(box.port, method, ROOT + path, body or None, given)
    if "Server-Authorization" in reply.headers and not signed:
        resource = {"content": reply.body, "content_type": reply.headers.get("Content-Type", "")}
        sender.accept_response(
            reply.headers["Server-Authorization"],
            **resource,
            localtime_offset_in_seconds=0,
            timestamp_skew_in_seconds=1e12,
        )
    return reply


def phone(box: Sandbox, **changes: Any) -> bytes:
    document = send(box, PHONE).json
    del document["links"]
    return json.dumps({**document, **changes}).encode()


# -- authentication ----------------------------------------------------------------------------------


def test_what_mohawk_signs_is_let_in_and_the_answer_is_what_mohawk_believes(box: Sandbox) -> None:
    reply = send(box, "/tokens/ck_1")
    assert (reply.status, reply.json["links"]["company"]) == (200, f"{ROOT}/companies/{COMPANY}")
    assert "Server-Authorization" in reply.headers


@pytest.mark.parametrize(
    "signed",
    [
        {"url": "http://127.0.0.1:1/sraps/api/v1/tokens/ck_1"},
        {"url": "http://localhost/sraps/api/v1/tokens/ck_1"},
        {"method": "PUT"},
        {"credentials": {**CREDENTIALS, "key": "other"}},
        {"credentials": {**CREDENTIALS, "algorithm": "sha1"}},
    ],
)
def test_a_request_that_is_signed_otherwise_is_turned_away(box: Sandbox, signed: dict[str, Any]) -> None:
    reply = send(box, "/tokens/ck_1", signed=signed)
    assert (reply.status, reply.json["message"]) == (401, "Bad mac")
    assert reply.headers["WWW-Authenticate"] == 'Hawk error="Bad mac"'
    assert "Server-Authorization" not in reply.headers


def test_a_query_that_is_not_signed_is_turned_away(box: Sandbox) -> None:
    url = f"http://127.0.0.1:{box.port}{ROOT}{PROFILES}"
    assert send(box, PROFILES + "?page=2", signed={"url": url}).status == 401


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic eDp5",
        "Hawk",
        'Hawk id="ck_1"',
        'Hawk mac="a", mac="a"',
        'Hawk id="ck_1", ts="1", nonce="n", mac="é"',
    ],
)
def test_a_header_that_is_none_is_turned_away(box: Sandbox, header: str | None) -> None:
    assert send(box, "/tokens/ck_1", headers={"Authorization": header}, signed={}).status == 401


def test_another_key_is_turned_away(box: Sandbox) -> None:
    assert (
        send(box, "/tokens/ck_1", signed={"credentials": {**CREDENTIALS, "id": "ck_2"}}).json["message"]
        == "Unknown credentials"
    )


def test_no_nonce_is_taken_twice(box: Sandbox) -> None:
    assert send(box, "/tokens/ck_1", nonce="once").status == 200
    assert send(box, "/tokens/ck_1", nonce="once").json["message"] == "Invalid nonce"


@pytest.mark.parametrize(("off", "status"), [(60, 200), (-60, 200), (61, 401), (-61, 401)])
def test_a_time_more_than_a_minute_off_is_stale_and_told_the_right_one(box: Sandbox, off: int, status: int) -> None:
    reply = send(box, "/tokens/ck_1", ts=NOW + off)
    assert reply.status == status
    if status == 401:
        told = mohawk.util.parse_authorization_header(reply.headers["WWW-Authenticate"])
        assert (told["ts"], told["error"]) == (str(NOW), "Stale timestamp")
        assert told["tsm"] == mohawk.util.calculate_ts_mac(str(NOW), CREDENTIALS).decode()


def test_a_body_must_be_covered_by_the_signature(box: Sandbox) -> None:
    body = phone(box)
    other = send(box, PHONE, "PUT", body, signed={"content": body + b" ", "content_type": JSON})
    assert other.json["message"] == "Bad payload hash"
    url = f"http://127.0.0.1:{box.port}{ROOT}{PHONE}"
    bare = mohawk.Sender(CREDENTIALS, url, "PUT", always_hash_content=False, nonce="bare", _timestamp=NOW)
    headers: dict[str, str | None] = {"Authorization": bare.request_header}
    assert send(box, PHONE, "PUT", body, headers=headers, signed={}).json["message"] == "Missing required payload hash"


# -- what is asked for -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accept", [None, "*/*", "application/json", "application/json; version=v2", "text/html; version=v1"]
)
def test_the_accept_header_must_name_the_version(box: Sandbox, accept: str | None) -> None:
    reply = send(box, "/tokens/ck_1", headers={"Accept": accept})
    assert reply.status == 406
    assert "Server-Authorization" in reply.headers


@pytest.mark.parametrize(
    "path", ["/", "/tokens/ck_2", "/tokens", "/companies/x", f"{PHONES}000413000000", f"{PHONE}/x"]
)
def test_what_is_not_there_is_404(box: Sandbox, path: str) -> None:
    assert send(box, path).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/tokens/ck_1"), ("PUT", PHONES), ("DELETE", PHONES), ("PATCH", PHONE), ("PUT", PROFILES)],
)
def test_an_unsupported_method_is_405(box: Sandbox, method: str, path: str) -> None:
    reply = send(box, path, method)
    assert reply.status == 405
    assert "GET" in reply.headers["Allow"]


def test_a_page_has_twenty_unless_asked_and_links_to_the_next(box: Sandbox) -> None:
    names, path = [], PROFILES
    while path:
        reply = send(box, path)
        names.append([profile["name"] for profile in reply.json])
        path = reply.headers.get("Link", "").removeprefix(f"<{ROOT}").removesuffix('>; rel="next"')
    assert [len(page) for page in names] == [20, 20, 5]
    assert [name for page in names for name in page] == [f"Profile {n}" for n in range(45)]
    whole = send(box, PROFILES + "?page_size=1000")
    assert (len(whole.json), whole.headers.get("Link")) == (45, None)


@pytest.mark.parametrize(
    ("query", "status"), [("page=0", 400), ("page_size=x", 400), ("limit=1", 400), ("page=9", 404)]
)
def test_a_page_that_is_none_is_refused(box: Sandbox, query: str, status: int) -> None:
    assert send(box, f"{PROFILES}?{query}").status == status


def test_the_phones_are_listed_too(box: Sandbox) -> None:
    assert [one["mac"] for one in send(box, PHONES).json] == ["000413aabbcc", "000413ddeeff"]


# -- a phone -----------------------------------------------------------------------------------------


def test_a_put_is_applied(box: Sandbox) -> None:
    wanted = send(box, PROFILES).json[7]["uuid"]
    assert send(box, PHONE, "PUT", phone(box, provisioning_profile=wanted)).status == 200
    assert send(box, PHONE).json["provisioning_profile"] == wanted
    assert send(box, PHONES).json[1]["provisioning_profile"] != wanted


@pytest.mark.parametrize(
    "changes",
    [
        {"links": {}},
        {"mac": "000413ddeeff"},
        {"mac": None},
        {"autoprovisioning_enabled": "yes"},
        {"provisioning_profile": "f" * 32},
        {"settings_manager": []},
    ],
)
def test_a_phone_that_is_none_is_400_and_changes_nothing(box: Sandbox, changes: dict[str, Any]) -> None:
    before = send(box, PHONE).json
    assert send(box, PHONE, "PUT", phone(box, **changes)).status == 400
    assert send(box, PHONE).json == before


@pytest.mark.parametrize("body", [b"x", b"[]", b"7", b"{}"])
def test_a_body_that_is_no_phone_is_400(box: Sandbox, body: bytes) -> None:
    assert send(box, PHONE, "PUT", body).status == 400


def test_a_body_of_another_type_is_400(box: Sandbox) -> None:
    body = phone(box)
    form = {"content": body, "content_type": "text/plain"}
    assert (
        send(box, PHONE, "PUT", body, headers={"Content-Type": "text/plain"}, signed=form)
        .json["message"]
        .startswith("the body is no")
    )


def test_a_get_with_a_body_is_400(box: Sandbox) -> None:
    assert send(box, PHONE, "GET", b"{}").status == 400


def test_a_body_over_ten_megabytes_is_413(box: Sandbox) -> None:
    assert send(box, PHONE, "PUT", b"x" * (LARGEST_BODY_BYTES + 1)).status == 413


# -- troubles, accounts, the screen ------------------------------------------------------------------


def test_a_trouble_never_hides_the_callers_own_fault(box: Sandbox) -> None:
    body = phone(box)
    box.trouble["sraps"] = Trouble(refuse_status="taken_mac_or_forbidden")
    assert send(box, PHONE, "PUT", b"{}").status == 400
    refused = send(box, PHONE, "PUT", body)
    assert (refused.status, refused.json["message"]) == (403, "taken_mac_or_forbidden")
    box.trouble["sraps"] = Trouble(warning="queued")
    assert send(box, PHONE, "PUT", body).status == 202


def test_the_screen_shows_no_signature(box: Sandbox) -> None:
    send(box, PHONE)
    (seen,) = box.seen
    assert seen.headers["authorization"].startswith("Hawk ")
    assert "Hawk" not in seen.masked()


def test_a_phone_is_created_once_and_deleted_without_a_body(box: Sandbox) -> None:
    phone = {**{name: value for name, value in send(box, PHONE).json.items() if name != "links"}, "mac": "000413000001"}
    made = send(box, PHONES, "POST", json.dumps(phone).encode())
    assert (made.status, made.json) == (201, phone)
    assert made.headers["Location"].endswith(f"{PHONES}000413000001")
    again = send(box, PHONES, "POST", json.dumps(phone).encode())
    assert (again.status, again.json["message"]) == (403, "taken_mac_or_forbidden")
    gone = send(box, f"{PHONES}000413000001", "DELETE")
    assert (gone.status, gone.body) == (204, b"")
    assert send(box, f"{PHONES}000413000001").status == 404
