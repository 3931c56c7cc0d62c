"""Which of a MOR request's values are hashed, and in which order: the server's own, whatever ours.

Source: "MOR API hash construction"; what a method hashes of its own, and which values the server leaves
out of the hash without a word, is known from its method pages and from generations of its code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from callsign.settings.secret import Secret

OWN_NAMES: dict[str, tuple[str, ...]] = {
    "subscription_delete": ("subscription_id", "subscription_delete_action"),
    "subscription_update": ("subscription_id",),
    "voucher_use": ("voucher_number",),
    "did_subscription_stop": ("dids_id",),
    "calling_card_update": ("card_id",),
    "cc_group_create": ("name",),
    "cc_group_update": ("cc_group_id",),
    "calling_cards_create": ("card_group_id", "cards_from", "cards_till"),
    "user_sms_service_subscribe": ("user_id", "sms_tariff_id"),
    "pbx_pool_create": ("name",),
    **dict.fromkeys(("user_simple_balance_get", "subscriptions_get", "calling_cards_get", "cc_groups_get"), ()),
    **dict.fromkeys(("user_sms_get", "recordings_get"), ()),
}
"""Method -> all that it hashes, where newer servers do not go by the list (device_update's own page goes by it)."""

_DIGITS = re.compile("[0-9]+"), "digits"
_NUMBER = re.compile("0|[1-9][0-9]*"), "digits without a leading zero"
_DIGITS_OR_ALL = re.compile("[0-9]+|all"), "digits or all"
_CALLTYPES = "all|answered|busy|no_answer|failed|missed|missed_inc|missed_inc_all|missed_not_processed_inc"

HASHED_IF: dict[str, tuple[re.Pattern[str], str]] = {
    **dict.fromkeys(("user_id", "period_start", "period_end"), _NUMBER),  # made a number before they are hashed
    **dict.fromkeys(("s_user_id", "s_from", "s_till", "lcr_id", "mtype", "tariff_id", "only_did"), _DIGITS),
    **dict.fromkeys(("device", "s_user", "s_device", "s_provider", "s_hgc", "s_did"), _DIGITS_OR_ALL),
    "direction": (re.compile("outgoing|incoming"), "outgoing or incoming"),
    "calltype": (re.compile(_CALLTYPES), f"one of {_CALLTYPES.replace('|', ', ')}"),
    "balance": (re.compile("[0-9.+-]+"), "a number"),
    "users": (re.compile("postpaid|prepaid|all|[0-9,]+"), "postpaid, prepaid, all or ids with commas"),
    "block": (re.compile("true|false"), "true or false"),
}
"""Parameter -> what its value must be; any other is left out of the server's hash, so that ours would be wrong."""


@cache
def names_in_order() -> tuple[str, ...]:
    """The vendor's list.  Read when first needed: a plain script's start time counts."""
    from importlib.resources import files

    lines = files("callsign.vendors.mor").joinpath("hash_order.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.removeprefix("+") for line in lines if line and not line.startswith("#"))


def names_of(method: str) -> tuple[str, ...]:
    """What this method hashes, if it is sent."""
    return OWN_NAMES.get(method, names_in_order())


def hashed(method: str, given: Mapping[str, str]) -> dict[str, str]:
    """The values that the server will hash, in its order."""
    left_out = {name for name in given if _is_sent_only(method, name, given[name])}
    return {name: given[name] for name in names_of(method) if given.get(name) and name not in left_out}


def _is_sent_only(method: str, name: str, value: str) -> bool:
    return (name, value) == ("s_user", "all") or (method, name) == ("card_from_group_sell", "number")


def unlisted(method: str, given: Iterable[str]) -> list[str]:
    """The parameters that are in no list: sent, and not hashed."""
    return [name for name in given if name not in names_of(method)]


def invalid_value(method: str, given: Mapping[str, str]) -> str:
    """Which value the server would leave out of the hash, so that it would answer "Incorrect hash"; empty if none."""
    for name, value in hashed(method, given).items():
        pattern, wanted = HASHED_IF.get(name, (None, ""))
        if pattern is not None and not pattern.fullmatch(value):
            return f"{name}: wanted {wanted}; MOR leaves any other value out of its hash"
    return ""


def text_to_sign(values: Mapping[str, str], key: Secret) -> str:
    """The values without separators, the key behind them."""
    return "".join(values.values()) + key.reveal()
