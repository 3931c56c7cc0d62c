"""What an answer of snom SRAPS says where there is nothing to be had: why.

Source: "SRAPS REST API", its table of statuses; names in an error's body as public clients read them.
"""

from __future__ import annotations

from callsign.http.messages import Answer
from callsign.settings.secret import Secret
from callsign.vendors.api import verdict_on
from callsign.vendors.sraps import hawk
from callsign.verdicts import Refused, TryLater

CHECK_URL = "; is [sraps] url right?"
_DOWN = "the service is not available"
STATUS_WORDS = {
    400: "the service finds the request malformed",
    401: "the service does not accept the signature; check [sraps] key_id and key_secret",
    403: "the API key may not do this; check its role in the SRAPS portal",
    404: f"there is no such thing{CHECK_URL}",
    405: f"the service knows no such request{CHECK_URL}",
    406: "the service does not answer in the version asked for; check [sraps] accept",
    413: "the request is over the service's 10 MB",
    429: "too many requests for this API key",
    500: "a fault in the service",
    502: _DOWN,
    503: f"{_DOWN}, most probably for maintenance",
    504: f"{_DOWN}: it took too long",
}
"""The document's table, in words for who has to mend it."""


def text_of(value: object) -> str:
    """A field that holds a text, empty where it holds none."""
    return value if isinstance(value, str) else ""


def judge(answer: Answer, key: Secret) -> Refused | TryLater:
    """What an answer means that is not what was wanted; `key` is kept out of the reason."""
    meaning = STATUS_WORDS.get(answer.status, f"not what was expected{CHECK_URL}")
    verdict = verdict_on(answer, meaning, "the service", key.reveal())
    return Refused(verdict.reason + _clock_words(answer, key)) if answer.status == 401 else verdict


def _clock_words(answer: Answer, key: Secret) -> str:
    """Whether the clock is the reason; the Date header is signed by nobody, so it is told and not followed."""
    challenge = answer.headers.get("www-authenticate", "")
    if hawk.server_time(key, challenge) is not None:
        return " (it is refused with the service's own time too)"
    skew = answer.clock_skew_seconds() or 0.0
    how = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the service's"
    words = f"; this machine's clock is {how}" if abs(skew) > hawk.SKEW_SECONDS else ""
    if "ts" in (hawk.attributes(challenge) or {}):
        return f"; the time that came along is not signed with our key and not adopted{words}"
    return words
