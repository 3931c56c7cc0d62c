"""What MOR hashes, and in which order: against the hashes that the vendor prints."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from callsign.settings.secret import Secret
from callsign.vendors.mor.hash import OWN_NAMES, hashed, invalid_value, names_in_order, text_to_sign, unlisted
from callsign.vendors.signing import MASK, sha1_hex
from product import bare_environment

Vector = dict[str, Any]
VECTORS = tomli.loads((Path(__file__).parents[1] / "vectors" / "mor.toml").read_text(encoding="utf-8"))["vector"]

# "MOR API hash construction", its list as one name a line: 192 names
PRINTED_LIST_SHA256 = "af24eca0bb5bd8c720c2b4862a584ba45295f392ca27424c447f889484b3c0e5"

# with what later versions put into it: provider_id behind s_from, 22 names from calldate to service_id at the end
WHOLE_LIST_SHA256 = "8e5c729d232ec0ceb4c954467d094a4e7a793e853b5c628d55507e481143ccb7"


def signature(method: str, values: dict[str, str], key: str) -> str:
    return sha1_hex(text_to_sign(hashed(method, values), Secret(key)))


def test_the_list_is_the_printed_one_and_what_later_versions_added() -> None:
    text = files("callsign.vendors.mor").joinpath("hash_order.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    printed = [line for line in lines if not line.startswith("+")]
    assert len(printed) == 192
    assert hashlib.sha256("".join(f"{name}\n" for name in printed).encode()).hexdigest() == PRINTED_LIST_SHA256
    assert hashlib.sha256("".join(f"{name}\n" for name in names_in_order()).encode()).hexdigest() == WHOLE_LIST_SHA256
    assert list(names_in_order()) == [line.lstrip("+") for line in lines]
    assert len(set(names_in_order())) == len(lines)
    assert not {"u", "p", "hash"} & set(names_in_order())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["method"])
def test_the_vendors_hashes_come_out(vector: Vector) -> None:
    assert signature(vector["method"], vector["values"], vector["key"]) == vector["hash"]
    assert text_to_sign(hashed(vector["method"], vector["values"]), Secret(MASK)) == vector["text"] + MASK
    assert invalid_value(vector["method"], vector["values"]) == ""


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["method"])
def test_changing_any_signed_value_or_the_key_changes_the_hash(vector: Vector) -> None:
    method, values, key = vector["method"], vector["values"], vector["key"]
    for name in hashed(method, values):
        assert signature(method, {**values, name: values[name] + "1"}, key) != vector["hash"]
        assert signature(method, {n: v for n, v in values.items() if n != name}, key) != vector["hash"]
    assert signature(method, values, key + "1") != vector["hash"]


@pytest.mark.parametrize("name", ["from", "till", "u", "hash", "cli", "s_amount_min", "no_such_name"])
def test_a_parameter_of_no_list_is_not_hashed(name: str) -> None:
    assert hashed("user_details_get", {"user_id": "1", name: "5"}) == {"user_id": "1"}
    assert unlisted("user_details_get", {"user_id": "1", name: "5"}) == [name]


@given(chosen=st.lists(st.sampled_from(names_in_order()), unique=True), seed=st.integers())
def test_the_order_given_has_no_say(chosen: list[str], seed: int) -> None:
    values = {name: f"<{name}>" for name in chosen}
    random.Random(seed).shuffle(chosen)
    found = hashed("some_method", {name: values[name] for name in chosen})
    assert list(found) == [name for name in names_in_order() if name in values]
    assert found == values


def test_empty_values_are_not_hashed() -> None:
    assert hashed("user_balance_get", {"username": "bob", "currency": ""}) == {"username": "bob"}


def test_a_method_with_names_of_its_own_goes_by_these() -> None:
    given = {"subscription_delete_action": "delete", "subscription_id": "5", "user_id": "1"}
    assert list(hashed("subscription_delete", given)) == ["subscription_id", "subscription_delete_action"]
    assert unlisted("subscription_delete", given) == ["user_id"]
    assert hashed("user_simple_balance_get", {"id": "abc", "currency": "EUR"}) == {}
    assert "device_update" not in OWN_NAMES  # its printed hash has location_id in it


def test_what_the_server_sends_through_unhashed_is_sent_and_not_hashed() -> None:
    assert hashed("user_calls_get", {"s_user": "all", "s_device": "all"}) == {"s_device": "all"}
    assert hashed("user_calls_get", {"s_user": "5"}) == {"s_user": "5"}
    assert hashed("card_from_group_sell", {"id": "6", "number": "1"}) == {"id": "6"}
    assert hashed("card_balance_get", {"number": "1"}) == {"number": "1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_id", "007"),
        ("user_id", "-1"),
        ("user_id", "1.0"),
        ("user_id", "\u0661"),  # a digit elsewhere
        ("user_id", "1\n"),
        ("period_start", "2009-09-09"),
        ("period_end", "1252454580.5"),
        ("s_from", "yesterday"),
        ("lcr_id", "one"),
        ("direction", "in"),
        ("calltype", "Answered"),
        ("calltype", "lost"),
        ("device", "SIP/201"),
        ("s_did", "any"),
        ("balance", "10 EUR"),
        ("users", "5;6"),
        ("block", "yes"),
    ],
)
def test_a_value_that_the_server_would_leave_out_of_its_hash_is_named(name: str, value: str) -> None:
    said = invalid_value("user_calls_get", {name: value})
    assert said.startswith(f"{name}: wanted ")
    assert "hash" in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_id", "0"),
        ("user_id", "581"),
        ("tariff_id", "007"),
        ("direction", "incoming"),
        ("calltype", "missed_not_processed_inc"),
        ("device", "all"),
        ("device", "17"),
        ("balance", "-10.5"),
        ("users", "5,6"),
        ("users", "prepaid"),
        ("block", "false"),
        ("username", "O'Brien & Söhne"),
    ],
)
def test_a_value_that_the_server_hashes_passes(name: str, value: str) -> None:
    assert invalid_value("user_calls_get", {name: value}) == ""


def test_nothing_is_read_before_it_is_needed() -> None:
    late = ("importlib.resources", "xml.parsers.expat", "zlib", "difflib")
    script = f"import sys, callsign.vendors.registry; print([name for name in {late} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], env=bare_environment(), capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
