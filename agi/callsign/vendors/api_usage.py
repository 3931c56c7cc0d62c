"""What the command line may ask of an API: METHOD NAME=VALUE…, or VERB PATH with a body."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

from callsign.vendors.api import Call
from callsign.vendors.links import is_plain

READING_VERBS = ("GET", "HEAD", "OPTIONS")
VERBS = (*READING_VERBS, "POST", "PUT", "PATCH", "DELETE")

_NAME = re.compile(r"[A-Za-z0-9_]{1,80}")


def method_of(call: Call, example: str, parameter: str, reserved: tuple[str, ...]) -> str:
    """Checks what an API of methods is given, whose examples are these.  Raises ValueError."""
    if call.data or call.accept or call.every_page:
        raise ValueError("--data, --accept and --all are for kalliope and sraps")
    if not _NAME.fullmatch(call.words[0]):
        raise ValueError(f"METHOD: wanted a name such as {example}")
    for name, value in call.given.items():
        if name in reserved:
            raise ValueError(f"{name}: comes from the settings")
        if not _NAME.fullmatch(name):
            raise ValueError(f"wanted NAME=VALUE with a name such as {parameter}")
        if re.search(r"[\x00\ud800-\udfff]", value):  # the shell's bytes that are no UTF-8 are lone surrogates
            raise ValueError(f"{name}: wanted a text in UTF-8")
    return call.words[0]


def verb_of(call: Call) -> str:
    """Checks what an API of verbs and paths is given.  Raises ValueError."""
    if len(call.words) != 2 or call.words[0].upper() not in VERBS:
        wanted = f"wanted VERB PATH, with a verb of {', '.join(VERBS)}"
        raise ValueError(f"{wanted}; parameters go into PATH: '…?name=value'")
    verb = call.words[0].upper()
    if verb in READING_VERBS and call.data:
        raise ValueError(f"--data: a {verb} has no body")
    if call.every_page and verb != "GET":
        raise ValueError(f"--all: is for GET, not for {verb}")
    if not all(32 <= ord(character) < 127 for character in call.accept):
        raise ValueError("--accept: wanted plain ASCII such as text/csv")
    return verb


def path_of(call: Call, base: str) -> str:
    """PATH behind the API's address `base`, whether it was given with that or not.  Raises ValueError."""
    path, own = call.words[1], urlsplit(base).path
    if "://" in path:
        if not path.startswith(base):
            raise ValueError(f"PATH: wanted one behind {base}")
        path = path[len(base) :]
    elif own != "/" and path.startswith(own):
        path = path[len(own) :]
    path = path.lstrip("/")
    if not is_plain(path.replace("{company}", "")) or "#" in path:
        raise ValueError("PATH: what stands for no letter, digit or separator is percent-encoded (a space: %20)")
    if any(unquote(part) in (".", "..") for part in re.split("[/?]", path)):
        raise ValueError("PATH: wanted one without . and ..")
    return path


def check_json(data: bytes) -> None:
    """Raises ValueError."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("--data: is no JSON") from None


def check_xml(data: bytes) -> None:
    """Raises ValueError."""
    try:
        expat.ParserCreate().Parse(data, True)
    except (expat.ExpatError, LookupError):
        raise ValueError("--data: begins as XML and is none") from None
