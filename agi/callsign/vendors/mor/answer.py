"""What MOR says: an answer, or its no, which comes under HTTP 200 too and in one of many shapes.

Sources: MOR's method pages for the answers and the errors; the bare texts are those of old versions.
"""

from __future__ import annotations

import re

from callsign.http.messages import MAX_ANSWER_BYTES, NoAnswer, Reply
from callsign.log_text import vendor_words
from callsign.settings.secret import Secret
from callsign.vendors.mor.xml import NO_ANSWER, TOO_LARGE, Element, down_to, parsed
from callsign.verdicts import Refused, TryLater

_RIGHTS = "check [mor] user, and in MOR its rights and its permission to use the API"
_NOT_OURS = "does it exist, and does it belong to [mor] user?"
HINTS = {
    "incorrect hash": "check [mor] key; `callsign sign mor` shows the text to compare with MOR's Generate hash page",
    "api requests are disabled": "in MOR's settings, tab API, switch Allow API on",
    "get requests are disabled": "callsign POSTs: does something between here and MOR change that?",
    "api must have secret key": "in MOR's settings, tab API, set a key of 6 characters or more, and [mor] key to it",
    **dict.fromkeys(("bad login", "access denied", "dont be so smart", "not authenticated"), _RIGHTS),
    "you are not authorized to use this functionality": _RIGHTS,
    "you are not authorised to use this functionality": _RIGHTS,
    "feature disabled": "in MOR's settings, tab API, switch on that devices may check balance or rate over HTTP",
    "undefined method": "before MOR X4 methods had other names; is it spelt as in this version's documentation?",
    **dict.fromkeys(("user was not found", "user not found", "device was not found"), _NOT_OURS),
}
"""MOR's word in lower case -> where to mend it."""

FAILURES = frozenset(HINTS) | {
    *("cli not found", "cli is empty", "no phonebooks", "rate was not found", "calling card was not found"),
    *("there is no message or it is empty", "wrong source", "wrong destination", "there is no such lcr"),
    *("user is not subscribed to sms service", "bad device", "no source", "bad tariff", "no tariff"),
    *("pin was not found", "server was not found", "cannot connect to asterisk server", "login failed"),
    "please wait 10 seconds before trying to login again",
}
"""What a status, or a whole answer of bare text, says when MOR did not do it."""

_FAILED = re.compile(r"\b(?:failed|failure|denied|error)\b", re.IGNORECASE)  # "1 - failed, …" of sms_send

_WRONG_PAGE = "; is [mor] url MOR's …/billing/api?"
STATUS_HINTS = {
    **dict.fromkeys((401, 403), "; does something before MOR want a password, or refuse this machine's address?"),
    **dict.fromkeys((404, 405), _WRONG_PAGE),
}
REFUSING_STATUSES = frozenset((400, 401, 403, 405))
"""Another try will not change these; 404 it may, while the application is being started."""


def read(reply: Reply, key: Secret, most_bytes: int = MAX_ANSWER_BYTES) -> Element | Refused | TryLater:
    """The answer, or MOR's no, or the reason why this is neither; `key` is kept out of the reasons."""
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason)
    answer = parsed(reply.body, most_bytes)
    no = refusal_in(answer) if isinstance(answer, Element) else ""
    words = vendor_words(no, hidden=key.reveal())
    if no and not reply.is_temporary():
        return Refused(with_hint(words))
    if isinstance(answer, Element) and not no and 200 <= reply.status < 300:
        return answer
    said = answer if isinstance(answer, str) else words or NO_ANSWER
    hint = "" if reply.is_temporary() or said == TOO_LARGE else _WRONG_PAGE
    reason = f"HTTP {reply.status}: {said}{STATUS_HINTS.get(reply.status, hint)}"
    return Refused(reason) if reply.status in REFUSING_STATUSES else TryLater(reason)


def refusal_in(answer: Element) -> str:
    """MOR's word for not having done it, empty where it says no such thing."""
    for element in down_to(answer, 3):
        if element.tag.lower() == "error":
            return ": ".join(filter(None, map(str.strip, element.itertext()))) or "an error without a word"
    statuses = [element.text or "" for element in down_to(answer, 2) if element.tag.lower() == "status"]
    return next((text for text in [answer.text or "", *statuses] if is_failure(text)), "")


def is_failure(text: str) -> bool:
    """Whether a status says that it was not done."""
    return _bare(text) in FAILURES or _FAILED.search(text) is not None


def with_hint(words: str) -> str:
    """MOR's word, and where to mend it where that is known."""
    hint = next((hint for known, hint in HINTS.items() if _bare(words).startswith(known)), "")
    return f"{words.rstrip('.')}; {hint}" if hint else words


def _bare(text: str) -> str:
    return text.strip().rstrip(".!").lower()
