"""Hawk against its authors' examples, and byte for byte against mohawk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mohawk
import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from callsign.settings.secret import Secret
from callsign.vendors.sraps import hawk

VECTORS: dict[str, Any] = tomli.loads((Path(__file__).parents[1] / "vectors" / "hawk.toml").read_text(encoding="utf-8"))
KEYS = {name: (entry["id"], Secret(entry["key"])) for name, entry in VECTORS["keys"].items()}

PLAIN = st.text(st.sampled_from([chr(n) for n in range(32, 127) if chr(n) not in '"\\']), max_size=40)
NONCES = st.text(st.sampled_from("abcdefXYZ0123456789_-"), min_size=1, max_size=40)
TARGETS = st.from_regex(r"(/[A-Za-z0-9._~%-]{0,12}){0,4}(\?[A-Za-z0-9=&%+,.:-]{1,30})?", fullmatch=True)
ORIGINS = st.sampled_from(["https://api.sraps.snom.com", "http://Api.Example:8000", "https://example:8443", "http://e"])
KINDS = st.sampled_from(["application/json", "Application/JSON; charset=utf-8", "text/plain", ""])


def signed_of(vector: dict[str, Any], **changes: Any) -> hawk.Signed:
    told = {**vector, **changes}
    return hawk.signed(told["method"], told["url"], told["ts"], told["nonce"], told["hash"], told["ext"])


def named(vector: dict[str, Any]) -> str:
    return str(vector["source"])


# -- the examples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS["payload"], ids=named)
def test_the_payload_hash_is_the_examples(vector: dict[str, Any]) -> None:
    assert hawk.payload_hash(vector["body"].encode(), vector["content_type"]) == vector["hash"]


@pytest.mark.parametrize("vector", VECTORS["header"], ids=named)
def test_the_mac_is_the_examples(vector: dict[str, Any]) -> None:
    assert hawk.mac(KEYS[vector["key"]][1], signed_of(vector).text()) == vector["mac"]


@pytest.mark.parametrize("vector", VECTORS["response"], ids=named)
def test_the_examples_of_answers_are_believed(vector: dict[str, Any]) -> None:
    header = f'Hawk mac="{vector["mac"]}", hash="{vector["hash"]}", ext="{vector["ext"]}"'
    asked = signed_of(vector, hash="", ext="")
    key = KEYS[vector["key"]][1]
    assert hawk.fault_of_response(key, asked, header, vector["body"].encode(), vector["content_type"]) == ""


def test_the_string_to_sign_is_the_one_that_the_readme_prints() -> None:
    lines = ("hawk.1.header", "1353832234", "j4h3g2", "GET", "/resource/1?b=1&a=2", "example.com", "8000", "")
    assert signed_of(VECTORS["header"][0]).text() == "\n".join((*lines, "some-app-ext-data", ""))


def test_the_servers_time_is_taken_when_it_is_signed_with_our_key() -> None:
    (vector,) = VECTORS["timestamp"]
    key = KEYS[vector["key"]][1]
    good = f'Hawk ts="{vector["ts"]}", tsm="{vector["tsm"]}", error="Stale timestamp"'
    assert hawk.server_time(key, good) == vector["ts"]
    assert hawk.server_time(KEYS["b"][1], good) is None
    assert hawk.server_time(key, good.replace("1353832234", "1353832235")) is None


@pytest.mark.parametrize("kind", ["payload", "header", "response", "timestamp"])
def test_every_example_names_its_source(kind: str) -> None:
    assert all(vector["source"] for vector in VECTORS[kind])


@pytest.mark.parametrize(
    "changed",
    [
        {"ts": 1353832235},
        {"nonce": "j4h3g3"},
        {"method": "PUT"},
        {"url": "http://example.com:8000/resource/1?b=1&a=3"},
        {"url": "http://example.com:8000/resource/2?b=1&a=2"},
        {"url": "http://example.com:8001/resource/1?b=1&a=2"},
        {"url": "http://example.net:8000/resource/1?b=1&a=2"},
        {"ext": "some-app-ext-dato"},
        {"hash": "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuZ="},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_mac_changes_with_every_signed_field(changed: dict[str, Any]) -> None:
    vector = VECTORS["header"][1]
    assert hawk.mac(KEYS["a"][1], signed_of(vector, **changed).text()) != vector["mac"]


# -- mohawk ------------------------------------------------------------------------------------------


@given(st.sampled_from("ab"), ORIGINS, TARGETS, NONCES, PLAIN, st.binary(max_size=60), KINDS, st.integers(1, 2**40))
def test_the_header_is_mohawks_byte_for_byte(
    key: str, origin: str, target: str, nonce: str, ext: str, body: bytes, kind: str, ts: int
) -> None:
    key_id, secret = KEYS[key]
    url = origin + (target if target.startswith("/") else f"/{target}")
    credentials = {"id": key_id, "key": secret.reveal(), "algorithm": "sha256"}
    content = {"content": body, "content_type": kind} if body and kind else {"always_hash_content": False}
    theirs = mohawk.Sender(credentials, url, "PUT", nonce=nonce, ext=ext, _timestamp=ts, **content)
    payload = hawk.payload_hash(body, kind) if body and kind else ""
    ours = hawk.authorization(key_id, secret, hawk.signed("put", url, ts, nonce, payload, ext))
    assert ours == theirs.request_header


@given(NONCES, st.binary(min_size=1, max_size=60), PLAIN)
def test_an_answer_that_mohawk_signs_is_believed_and_a_changed_one_is_not(nonce: str, reply: bytes, ext: str) -> None:
    key_id, secret = KEYS["a"]
    credentials = {"id": key_id, "key": secret.reveal(), "algorithm": "sha256"}
    url = "https://api.sraps.snom.com/api/v1/tokens/x"
    what = hawk.signed("GET", url, mohawk.util.utc_now(), nonce)
    receiver = mohawk.Receiver(
        lambda _: credentials,
        hawk.authorization(key_id, secret, what),
        url,
        "GET",
        accept_untrusted_content=True,
        content="",
        content_type="",
    )
    header = receiver.respond(content=reply, content_type="application/json", ext=ext)
    assert hawk.fault_of_response(secret, what, header, reply, "application/json; charset=utf-8") == ""
    assert "hash" in hawk.fault_of_response(secret, what, header, reply + b"x", "application/json")
    assert "hash" in hawk.fault_of_response(secret, what, header, reply, "text/html")
    other = hawk.signed("GET", url, int(what.ts), nonce + "x")
    assert "MAC" in hawk.fault_of_response(secret, other, header, reply, "application/json")
    assert "MAC" in hawk.fault_of_response(KEYS["b"][1], what, header, reply, "application/json")


@given(st.integers(1, 10**11))
def test_the_servers_time_is_mohawks(ts: int) -> None:
    tsm = mohawk.util.calculate_ts_mac(ts, {"key": KEYS["a"][1].reveal(), "algorithm": "sha256"}).decode()
    assert hawk.server_time(KEYS["a"][1], f'hawk ts="{ts}", tsm="{tsm}"') == ts


# -- what cannot be used -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Hawk",
        "Hawk ",
        'Basic realm="x"',
        'Hawk mac="a" mac="b"',
        'Hawk mac="a", mac="a"',
        "Hawk mac=a",
        'Hawk mac="a\\"b"',
        'Hawk mac="' + "a" * 5000 + '"',
        'Hawk hash="a"',
        'Hawk mac="é"',
    ],
)
def test_a_header_that_proves_nothing_is_a_fault(header: str) -> None:
    what = hawk.signed("GET", "https://e/", 1, "n")
    assert hawk.fault_of_response(KEYS["a"][1], what, header, b"", "")
    assert hawk.server_time(KEYS["a"][1], header) is None


@pytest.mark.parametrize("ts", ["", "-1", "1.5", "soon", "9" * 13, "\u0661"])
def test_a_time_that_is_none_is_not_taken_whatever_signs_it(ts: str) -> None:
    tsm = hawk.mac(KEYS["a"][1], f"hawk.1.ts\n{ts}\n")
    assert hawk.server_time(KEYS["a"][1], f'Hawk ts="{ts}", tsm="{tsm}"') is None


@pytest.mark.parametrize("nonce", ["", 'a"b', "a\\b", "a\nb", "é"])
def test_a_nonce_that_no_header_can_carry_is_refused(nonce: str) -> None:
    with pytest.raises(ValueError, match="nonce"):
        hawk.signed("GET", "https://e/", 1, nonce)


@pytest.mark.parametrize("url", ["", "/path", "ftp://e/", "https:///x", "https://e:port/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        hawk.signed("GET", url, 1, "n")


def test_nothing_secret_shows_in_a_repr() -> None:
    what = hawk.signed("GET", "https://e/phones/000413aabbcc", 1, "the-nonce", "the-hash", "the-ext")
    assert not [word for word in ("000413", "the-") if word in repr(what)]


def test_an_empty_path_is_signed_as_it_is_sent() -> None:
    assert hawk.signed("GET", "https://e", 1, "n").target == "/"
    assert hawk.signed("GET", "https://e/?", 1, "n").target == "/"
