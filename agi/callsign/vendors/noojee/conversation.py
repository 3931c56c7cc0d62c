"""Noojee: starts and stops the recording of a call on the recorder.

Source: "01.1 Authentication - Hash method" for Time, hash and its lifetimes; Noojee's call management
pages for start and stop.  No vendor example verifies the hash formula (the one printed has lost a
digit and its key), only its text does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from callsign.http.messages import MAX_ANSWER_BYTES, Answer, NoAnswer, Reply, Request
from callsign.log_text import vendor_words
from callsign.notification import Notification
from callsign.settings.secret import Secret
from callsign.settings.sections import Noojee, Numbers
from callsign.vendors.interface import Conversation, Probe, Probed
from callsign.vendors.noojee.memory import PAIR_SECONDS, Memory, Pair
from callsign.vendors.signing import MASK, Explained, sha256_hex, values_of
from callsign.verdicts import Delivered, Outcome, Refused, TryLater

TIMESTAMP = "timestamp"
"""Its name among what the hosts share."""

RENEWAL_SECONDS = 5.0
"""How long a command waits for another one's renewal; name resolution in there has no limit of its own."""

EXPIRED = "Expired TimeStamp"

_WRONG_KEY = re.compile(r"\bauth(?:entication|orisation|orization)\b", re.IGNORECASE)
"""In what the recorder says where it does not take the key; the documents have no list of its words."""

_WRONG_PAGE = "; is [noojee] url the recorder's …/servicemanager/rest?"
STATUS_HINTS = {
    401: "; check [noojee] key and auth",
    403: "; check [noojee] key and auth, and that the recorder lets this machine's address in",
    404: _WRONG_PAGE,
    405: _WRONG_PAGE,
}
"""HTTP status -> where to mend it."""

REFUSING_STATUSES = frozenset((400, 401, 403, 405))
"""Another try will not change these; 404 it may: a server whose application is being started has no such page yet."""

_CODE = re.compile(r"-?[0-9]{1,9}")


def text_to_sign(key: Secret, timestamp: str) -> str:
    """Key and timestamp with a colon between them."""
    return f"{key.reveal()}:{timestamp}"


def converse(section: Noojee, _numbers: Numbers, job: Notification, memory: Memory) -> Conversation[Outcome]:
    """One attempt; in hash mode with a fresh pair once more if the recorder calls ours expired."""
    if section.auth == "apikey":
        reply = yield _command(section, job, (("apiKey", section.key.reveal()),))
        return judge(reply, section.key)
    for _ in range(2):
        got = yield from _with_pair(section, job, memory)
        if not isinstance(got, NoAnswer | Answer):
            return got
        if not is_expired(got):
            return judge(got, section.key)
    return TryLater(f"{EXPIRED}, also with a timestamp just fetched")


def _with_pair(section: Noojee, job: Notification, memory: Memory) -> Conversation[Reply | Outcome]:
    """The command with a pair that serves.  The thread that fetches a new one uses it first, then the others may."""
    if not memory.renewal.acquire(timeout=RENEWAL_SECONDS):
        return TryLater("another command is still waiting for a timestamp from the recorder")
    try:
        pair = memory.pair
        if pair is None or not pair.serves(memory.steady(), section):
            reply = yield from _with_pair_of_others(section, job, memory)
            return reply or (yield from _with_new_pair(section, job, memory))
    finally:
        memory.renewal.release()
    reply = yield _command(section, job, proof(pair.key, pair.timestamp))
    if is_expired(reply):
        pair.is_spent = True  # not memory.pair: that may be the new one of another that had this answer
    return reply


def _with_pair_of_others(section: Noojee, job: Notification, memory: Memory) -> Conversation[Reply | None]:
    """The command with a timestamp that another host has used; None where there is none, or not for us.

    A host with another key or recorder, say, has one of its own: so whatever it is refused with, ours is to be tried.
    """
    spent = memory.pair.timestamp if memory.pair else ""
    found = memory.shared and memory.shared.get(TIMESTAMP, spent, PAIR_SECONDS)
    if not found or not _is_timestamp(found[0]):
        return None
    pair = Pair(section.key, section.url, *found)
    reply = yield _command(section, job, proof(pair.key, pair.timestamp))
    verdict = judge(reply, section.key)
    if is_expired(reply) or isinstance(verdict, Refused):
        return None
    if isinstance(verdict, Delivered):
        memory.pair = pair
    return reply


def _with_new_pair(section: Noojee, job: Notification, memory: Memory) -> Conversation[Reply | Outcome]:
    """Fetches a timestamp and gives the command with it; what the recorder took is kept for the other threads.

    For the other hosts only what has had a command done, for they cannot tell why it is refused.
    """
    reply = yield time_request(section)
    timestamp = timestamp_in(reply)
    if not timestamp:
        return no_time(reply)
    pair = Pair(section.key, section.url, timestamp, memory.steady())
    reply = yield _command(section, job, proof(pair.key, pair.timestamp))
    verdict = judge(reply, section.key)
    if not is_expired(reply) and not isinstance(verdict, TryLater):
        memory.pair = pair
        if memory.shared and isinstance(verdict, Delivered):
            memory.shared.put(TIMESTAMP, timestamp, pair.used_at)
    return reply


def proof(key: Secret, timestamp: str) -> tuple[tuple[str, str], ...]:
    """What goes along with a command."""
    return ("timeStamp", timestamp), ("hash", sha256_hex(text_to_sign(key, timestamp)))


def time_request(section: Noojee) -> Request:
    """Asks for a timestamp, which changes nothing."""
    return Request("POST", f"{section.url.rstrip('/')}/Time", verify=section.verify, is_safe=True)


def timestamp_in(reply: Reply) -> str:
    """What Time answered, empty if that is no timestamp."""
    text = reply.body.decode("latin-1").strip() if isinstance(reply, Answer) and reply.status == 200 else ""
    return text if _is_timestamp(text) else ""


def _is_timestamp(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def no_time(reply: Reply) -> Refused | TryLater:
    """Why a reply holds no timestamp."""
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason)
    said = f"HTTP {reply.status}, and no timestamp from Time{STATUS_HINTS.get(reply.status, '')}"
    return Refused(said) if reply.status in REFUSING_STATUSES else TryLater(said, reply.retry_after_seconds())


def _command(section: Noojee, job: Notification, auth: tuple[tuple[str, str], ...]) -> Request:
    names = ("extenOrUniqueId", "tag", "agentLoginName")
    given = tuple((name, job.facts[name]) for name in names if job.facts.get(name))
    return command(section, job.action.partition("/")[2], given + auth)


def command(
    section: Noojee,
    method: str,
    query: tuple[tuple[str, str], ...],
    most_bytes: int = MAX_ANSWER_BYTES,
    is_safe: bool = False,
) -> Request:
    """The POST of one method."""
    url = f"{section.url.rstrip('/')}/CallManagementAPI/{method}"
    return Request("POST", url, query=query, verify=section.verify, max_bytes=most_bytes, is_safe=is_safe)


def is_expired(reply: Reply) -> bool:
    """Whether the recorder wants a new timestamp (`{"Message":"Expired TimeStamp","Code":-1}`)."""
    code, message = _code_of(reply) if isinstance(reply, Answer) else (None, "")
    return (code is None or code < 0) and EXPIRED.lower() in message.lower()


def _code_of(answer: Answer) -> tuple[int | None, str]:
    body = answer.json()
    if not isinstance(body, dict):
        return None, ""
    values = {key.lower(): value for key, value in body.items()}  # campaign pages show them in lower case
    code, message = values.get("code"), values.get("message")
    if isinstance(code, str) and _CODE.fullmatch(code):
        code = int(code)
    usable = isinstance(code, int) and not isinstance(code, bool)
    return (code if usable else None), (message if isinstance(message, str) else "")


def judge(reply: Reply, key: Secret) -> Outcome:
    """Code 0 done, positive done with a warning, negative refused; 2xx with an empty body is taken as done.

    `key` is kept out of the reason, should the recorder repeat what it was sent.
    """
    if isinstance(reply, NoAnswer):
        return TryLater(reply.reason, may_be_done=reply.sent)
    code, message = _code_of(reply)
    words = vendor_words(message, hidden=key.reveal())
    fine = 200 <= reply.status < 300
    if code is not None and code < 0:
        return Refused(f"{words}{STATUS_HINTS[401]}" if _WRONG_KEY.search(words) else words or f"Code {code}")
    if fine and code is not None:
        return Delivered((words or f"warning, Code {code}") if code > 0 else "")
    if fine and not reply.body.strip():
        return Delivered("unconfirmed: the recorder answered with an empty page")
    if reply.status in REFUSING_STATUSES:
        return Refused(f"HTTP {reply.status}: {words or 'no reason given'}{STATUS_HINTS.get(reply.status, '')}")
    hint = STATUS_HINTS.get(reply.status, "; is [noojee] url right?" if not words else "")
    what = f"{words or 'an answer that is no JSON with a Code'}{hint}"
    return TryLater(f"HTTP {reply.status}: {what}", reply.retry_after_seconds(), may_be_done=reply.status != 404)


SIGNED_NAMES = ("timestamp",)


def explain(section: Noojee, given: Mapping[str, str], now: float) -> Explained:
    """The hash for a timestamp of the recorder's Time, by default this machine's.  Raises ValueError."""
    timestamp = values_of(given, SIGNED_NAMES, "noojee").get("timestamp", str(int(now * 1000)))
    if not _is_timestamp(timestamp):
        raise ValueError("timestamp: wanted the digits that the recorder's Time answered")
    text = text_to_sign(Secret(MASK), timestamp)
    signature = sha256_hex(text_to_sign(section.key, timestamp))
    method = "SHA-256 of key:timestamp, in hex"
    if section.auth == "apikey":
        method += ' (not sent: [noojee] auth = "apikey" sends the key itself)'
    return Explained(text, signature, {"timestamp": timestamp}, method)


def probe(section: Noojee, _memory: object) -> Probe:
    """Time is all that the recorder answers without doing something."""
    reply = yield time_request(section)
    if timestamp_in(reply):
        return Probed(None, "Time answers; no call that only checks the key is known, the first recording shows it")
    return no_time(reply)
