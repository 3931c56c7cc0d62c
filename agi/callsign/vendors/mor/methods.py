"""What is known of MOR's methods: which only read, and what the others do.

Source: wiki.kolmisoft.com, "MOR API" and its page of each method; the older name of a method stands beside it.
"""

from __future__ import annotations

READS = frozenset(
    (
        *("user_balance_get", "balance", "user_simple_balance_get", "user_details_get", "user_details"),
        *("user_calls_get", "user_calls", "local_calls_get", "users_get", "quickstats_get", "user_sms_get"),
        *("phonebooks_get", "phonebooks", "devices_get", "device_list", "device_details_get", "device_rules_get"),
        *("device_callflow_get", "device_clis_get", "cli_info_get", "cli_get_info", "rate_get", "rate"),
        *("card_balance_get", "calling_cards_get", "cc_groups_get", "subscriptions_get", "recordings_get"),
        *("system_version_get", "get_version"),
    )
)

MOVES_MONEY = "moves money"
SENDS = "sends something"
RINGS = "rings phones"
CHANGES = "changes something in MOR"
EFFECTS = {
    **dict.fromkeys(("user_balance_update", "change_user_balance", "payment_create", "create_payment"), MOVES_MONEY),
    **dict.fromkeys(("card_from_group_sell", "card_payment_add", "card_by_cli_update", "cc_by_cli"), MOVES_MONEY),
    "voucher_use": MOVES_MONEY,
    **dict.fromkeys(("sms_send", "send_sms", "email_send"), SENDS),
    **dict.fromkeys(("callback_init", "callback"), RINGS),
    **dict.fromkeys(("phonebook_record_create", "phonebook_edit", "quickforwards_did_update"), CHANGES),
    **dict.fromkeys(("device_create", "device_update", "device_delete", "device_callflow_update"), CHANGES),
    **dict.fromkeys(("cli_add", "cli_delete"), CHANGES),
}
"""Method -> what it does; one that stands in neither table is not known to be harmless."""


def effect_of(method: str) -> str:
    """What a method does besides answering, empty where it only reads."""
    return "" if method in READS else EFFECTS.get(method, "is not known to only read")
