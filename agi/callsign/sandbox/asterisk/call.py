"""The call that Asterisk tells an AGI peer about: the facts of its channel as agi_* lines."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

AGI_PORT = 4573
"""The port when a URL names none (res/res_agi.c, AGI_PORT)."""

_SCHEME = "agi://"


@dataclass(frozen=True)
class AgiUrl:
    """An `agi://` URL as res/res_agi.c takes it apart: before the first `/` is the host and port."""

    host: str
    port: int
    script: str  # with its query, not decoded; empty where the URL has no `/`

    @classmethod
    def parse(cls, url: str) -> AgiUrl:
        """Take `url` apart. Raises ValueError, saying what was wanted, where Asterisk could not follow it."""
        if not is_agi_url(url):
            raise ValueError(f"{url!r} does not begin with agi://")
        address, _, script = url[len(_SCHEME) :].partition("/")
        if address.startswith("["):
            host, bracket, rest = address[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise ValueError(f"{url!r}: an IPv6 address is written agi://[::1]:port/path")
            port_text = rest[1:]
        elif address.count(":") == 1:
            host, _, port_text = address.partition(":")
        else:
            host, port_text = address, ""
        if not host:
            raise ValueError(f"{url!r} names no host; wanted agi://host[:port]/path")
        if port_text and not (port_text.isascii() and port_text.isdigit() and int(port_text) < 65536):
            raise ValueError(f"{url!r}: {port_text!r} is no port number; wanted agi://host[:port]/path")
        return cls(host, int(port_text or 0) or AGI_PORT, script)


def unique_id() -> str:
    """A new ${UNIQUEID}, epoch.count as Asterisk makes it: each call that is played is a call of its own."""
    seconds, fraction = divmod(time.time_ns(), 10**9)
    return f"{seconds}.{fraction // 1000}"


def is_agi_url(target: str) -> bool:
    """Whether Asterisk would take `target` for a FastAGI server rather than for a script."""
    return target[: len(_SCHEME)].lower() == _SCHEME


@dataclass(frozen=True)
class Call:
    """One channel as it stands when the dialplan reaches `AGI()`. Empty: the number or name is missing."""

    callerid: str = ""
    calleridname: str = ""
    extension: str = "s"
    dnid: str = ""
    rdnis: str = ""
    uniqueid: str = "1700000000.1"
    linkedid: str = ""  # empty: the same as uniqueid, as on the first channel of a call
    channel: str = "SIP/agi-debug-00000001"
    context: str = "default"
    priority: int = 1
    callingpres: int = 0
    accountcode: str = ""
    language: str = "en"
    version: str = "22.10.1"
    variables: Mapping[str, str] = field(default_factory=dict)  # channel variables that the dialplan set before

    def environment(self, request: str, arguments: Sequence[str] = (), network: bool = True) -> list[str]:
        """The agi_* lines without line ends and without the empty line after them (res/res_agi.c, setup_env).

        `request` is the URL or script as the dialplan has it, without arguments. Values are not escaped:
        Asterisk does not do so either. Raises ValueError where `network` is true and `request` is no agi://
        URL.
        """
        lines = []
        if network:
            script = AgiUrl.parse(request).script
            lines += ["agi_network: yes"] + ([f"agi_network_script: {script}"] if script else [])
        facts: dict[str, object] = {
            "request": request,
            "channel": self.channel,
            "language": self.language,
            "type": self.channel.partition("/")[0],
            "uniqueid": self.uniqueid,
            "version": self.version,
            "callerid": self.callerid or "unknown",
            "calleridname": self.calleridname or "unknown",
            "callingpres": self.callingpres,
            "callingani2": 0,
            "callington": 0,
            "callingtns": 0,
            "dnid": self.dnid or "unknown",
            "rdnis": self.rdnis or "unknown",
            "context": self.context,
            "extension": self.extension,
            "priority": self.priority,
            "enhanced": "0.0",
            "accountcode": self.accountcode,
            "threadid": 140000000000000,
        }
        facts |= {f"arg_{number}": value for number, value in enumerate(arguments, start=1)}
        return lines + [f"agi_{name}: {value}" for name, value in facts.items()]
