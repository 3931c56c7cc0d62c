"""One short function per path: what the dialplan said -> a Notification, a question, or the reason for neither.

`HANDLERS` is the registry; a path, its key here, its dialplan subroutine and its test share one word.
A handler knows the facts of the call and the settings; it does not store, send or wait.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from callsign import SYSTEMS, __version__, clocks
from callsign.notification import Notification
from callsign.phone_numbers import as_vendor_wants, bare_number, is_name, is_withheld, may_be_same
from callsign.record import Record
from callsign.settings.accounts import account_of, name_of, some, unknown
from callsign.settings.sections import Office, Settings, Skarabee
from callsign.steps.offices import offices_of
from callsign.steps.step import Step, StepFault, for_message
from callsign.vendors.interface import Ask
from callsign.vendors.noojee import vendor as noojee_vendor
from callsign.vendors.registry import VENDORS
from callsign.vendors.skarabee import vendor as skarabee_vendor

UNIQUE_ID = re.compile(r"(?:[^\s/]+-)?[0-9]{9,}\.[0-9]+")
"""Asterisk's ${UNIQUEID}: [systemname-]epoch.count (main/channel.c)."""

BARE_ID = re.compile(r"[0-9]{9,}\.[0-9]+")
"""One of an Asterisk without systemname, which another host's Asterisk may make too."""

TOLD = ";told="
"""In `call`, behind the call's own name: a number that another host has told Skarabee of (extensions_callsign.conf)."""

SPECIAL_EXTENSIONS = frozenset(("", "s", "h", "i", "t", "T", "o", "a", "e", "failed", "+", "-1"))
"""Names in a dialplan, and what stands for no number, that say nothing of who is called."""


class Skipped(Record):
    """There is nothing to send, and why."""

    reason: str


class Notify(Record):
    """A path whose notification is stored and then delivered."""

    names: tuple[str, ...]  # of its arguments, in their order
    wait_seconds: float  # how long the dialplan is held for the outcome by default
    notification: Callable[[Step, dict[str, str], Settings], Notification | Skipped]


class Direct(Record):
    """A path that is answered at once from what is known here."""

    names: tuple[str, ...]
    variables: Callable[[], dict[str, str]]


def facts_to_ask(ask: Ask, step: Step, given: dict[str, str]) -> dict[str, str] | Skipped:
    """What a question is about: the arguments, and where one is the caller's number by default, that."""
    facts = dict(given)
    if ask.caller:
        number = given.get(ask.caller) or step.fact("agi_callerid")
        if is_withheld(number, 0 if ask.caller in given else step.presentation()):
            return Skipped(f"the caller is anonymous and no {ask.caller} was given")
        if ask.caller not in given and is_name(number):
            return Skipped(f"the caller is no number but a name, and no {ask.caller} was given")
        facts[ask.caller] = bare_number(number)
    for name in ask.needs:
        if name not in facts:
            raise StepFault(f"argument {name} is missing: {step.path} takes {', '.join(ask.names)}")
    return facts


def system_of(path: str) -> str:
    """Whose path it is, also one that does not exist: "callsign" unless it begins like a system's."""
    first = path.partition("/")[0].lower()
    return first if first in SYSTEMS else "callsign"


def account_in(step: Step, settings: Settings) -> str:
    """The account that the step is for, which the settings have.  Raises StepFault."""
    system = system_of(step.path)
    account = account_of(system, step.account)
    if settings.section(account) is None:
        raise StepFault(unknown(account, settings.accounts, settings.source))
    return account


def skarabee(step: Step, given: dict[str, str], settings: Settings) -> Notification | Skipped:
    """Who calls whom, for the office that owns the called number."""
    account = account_in(step, settings)
    section, numbers = settings.skarabee, settings.numbers
    assert section is not None  # noqa: S101
    caller = step.fact("agi_callerid")
    given_from = given.get("phonefrom", caller)
    phonefrom = bare_number(given_from)
    phoneto = _called(step, given, section)
    target = section.phoneto.get(phoneto, phoneto)
    office = _office(section, account, given.get("businessid", ""), (target, phoneto), numbers.country)
    if phonefrom in numbers.internal and phoneto in numbers.internal:
        return Skipped("an internal call")
    is_caller = may_be_same(phonefrom, bare_number(caller))
    withheld = is_withheld(given_from, step.presentation() if is_caller else 0)
    if withheld and section.anonymous == "skip":
        return Skipped('the caller is anonymous; [skarabee] anonymous = "send" would send it')
    named = "phonefrom" not in given and is_name(caller)
    if named and section.anonymous == "skip":
        return Skipped("the caller is no number but a name, as where a trunk sends none: its endpoint's")
    if named or is_withheld(given_from):
        phonefrom = skarabee_vendor.NO_NUMBER
    call = _call(step, given, settings)
    told_of = given.get("call", "").split(TOLD)[1:]
    told = [as_vendor_wants(bare_number(number), numbers.country, "national") for number in told_of]
    if told and any(as_vendor_wants(number, numbers.country, "national") in told for number in (phoneto, target)):
        return Skipped("this call was notified already, by another host")
    facts = {"businessid": office.businessid, "phoneto": target, "phonefrom": phonefrom, **_channel(step, call)}
    if phoneto in section.phoneto:
        facts["mapped"] = "1"
    key = f"skarabee|{call}|{as_vendor_wants(target, numbers.country, 'national')}"
    lifetime = skarabee_vendor.LIFETIME_SECONDS
    return Notification(account_of("skarabee", office.name), "skarabee", call, facts, clocks.wall(), lifetime, key)


def _called(step: Step, given: dict[str, str], section: Skarabee) -> str:
    """Who is called: what the dialplan says, else the number dialled from outside, else the extension."""
    candidates = [given["phoneto"]] if "phoneto" in given else [step.fact("agi_dnid"), step.fact("agi_extension")]
    for phoneto in map(bare_number, candidates):
        if phoneto in section.phoneto or phoneto not in SPECIAL_EXTENSIONS:
            return phoneto
    seen = bare_number(candidates[-1])
    raise StepFault(f'phoneto: the extension "{seen}" names nobody; give phoneto, such as ${{EXTEN}}')


def _office(section: Skarabee, account: str, businessid: str, numbers: tuple[str, ...], country: str) -> Office:
    """The office of that account or id, else the one that owns the number that goes out, else the extension's."""
    offices = offices_of(section, country)
    chosen = offices.by_name.get(name_of(account))
    if chosen and businessid and chosen.businessid != businessid:
        raise StepFault(
            f"account {chosen.name} is office {chosen.businessid}, not {for_message(businessid)}: give one of both"
        )
    if chosen:
        return chosen
    if not businessid:
        return offices.owner_of(numbers)
    if businessid not in offices.by_id:
        raise StepFault(
            f"businessid {for_message(businessid)}: no such office in the settings, known: {some(offices.by_id)}"
        )
    return offices.by_id[businessid]


def _noojee(action: str) -> Callable[[Step, dict[str, str], Settings], Notification]:
    def notification(step: Step, given: dict[str, str], settings: Settings) -> Notification:
        account = account_in(step, settings)
        whose = given.get("extenOrUniqueId") or step.fact("agi_uniqueid")
        if not whose or any(c.isspace() for c in whose):
            raise StepFault("extenOrUniqueId: wanted an extension or a unique id, without spaces")
        facts = {"extenOrUniqueId": whose}
        call = _call(step, given, settings)
        facts |= {name: given[name] for name in given if name in ("tag", "agentLoginName")} | _channel(step, call)
        by_id = whose == step.fact("agi_uniqueid") or UNIQUE_ID.fullmatch(whose) is not None
        lifetime = noojee_vendor.LIFETIME_SECONDS[action] if by_id else noojee_vendor.BY_EXTENSION_LIFETIME_SECONDS
        return Notification(account, action, call, facts, clocks.wall(), lifetime)

    return notification


def _call(step: Step, given: dict[str, str], settings: Settings) -> str:
    """The call's name, the same on each channel and each host: what came from an own host has its systemname."""
    call = given.get("call", "").partition(TOLD)[0] or step.fact("agi_uniqueid")
    if not call:
        raise StepFault("call: the channel has no unique id; give call, such as ${CHANNEL(linkedid)}")
    return f"{settings.cluster.host}/{call}" if settings.cluster and BARE_ID.fullmatch(call) else call


def _channel(step: Step, call: str) -> dict[str, str]:
    """For the log: which channel told it, where that is not the call's own."""
    channel = step.fact("agi_uniqueid")
    return {"channel": channel} if channel and channel != call else {}


PING = Direct((), lambda: {"CALLSIGNSTATUS": "OK", "CALLSIGNREASON": "", "CALLSIGNVERSION": __version__})

HANDLERS: dict[str, Notify | Direct | Ask] = {
    "skarabee": Notify(("phonefrom", "phoneto", "businessid", "call"), 0.0, skarabee),
    "noojee/start": Notify(("extenOrUniqueId", "tag", "agentLoginName", "call"), 2.0, _noojee("noojee/start")),
    "noojee/stop": Notify(("extenOrUniqueId", "agentLoginName", "call"), 2.0, _noojee("noojee/stop")),
    **{path: ask for vendor in VENDORS.values() for path, ask in vendor.asks.items()},
    "ping": PING,
}
