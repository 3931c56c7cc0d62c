"""A SIP phone of a test's own, for what only SIP can carry: INVITE, ACK and BYE over UDP on loopback.

    FILES = sip_files(context="from-sip")    # settings of a module's Asterisk, see asterisk_fixtures
    load_sip(asterisk)                       # PJSIP on 22, chan_sip on 16
    with SipPhone(asterisk) as phone:
        status = phone.call("056528998", caller="0478%0Ax")

No media flows: nobody is at the port that is offered.
"""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress

from real_asterisk import RealAsterisk

SECONDS = 10.0
PJSIP = """
    res_sorcery_config res_sorcery_memory res_sorcery_astdb res_pjproject res_http_websocket res_geolocation
    res_pjsip res_pjsip_session res_pjsip_pubsub res_pjsip_sdp_rtp res_rtp_asterisk
    res_pjsip_endpoint_identifier_anonymous res_pjsip_caller_id res_pjsip_diversion chan_pjsip
"""
CHAN_SIP = "res_http_websocket res_sorcery_config res_pjproject res_rtp_asterisk chan_sip"


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def sip_files(context: str) -> dict[str, str]:
    """Settings by which anybody may call into `context`; the port is one that is free now."""
    port = _free_port()
    return {
        "pjsip.conf": f"""
[transport]
type = transport
protocol = udp
bind = 127.0.0.1:{port}
[anonymous]
type = endpoint
context = {context}
disallow = all
allow = ulaw
""",
        "sip.conf": f"""
[general]
udpbindaddr = 127.0.0.1:{port}
context = {context}
allowguest = yes
disallow = all
allow = ulaw
srvlookup = no
""",
        "pjproject.conf": "",
        "geolocation.conf": "",
        "rtp.conf": "[general]\nrtpstart = 20000\nrtpend = 29999\nstrictrtp = no\nicesupport = no\n",
    }


def load_sip(asterisk: RealAsterisk) -> None:
    """Loads the channel driver of that version, once."""
    driver, modules = ("chan_sip", CHAN_SIP) if asterisk.version == "16" else ("chan_pjsip", PJSIP)
    if "1 modules loaded" in asterisk.command(f"module show like {driver}"):
        return
    for module in modules.split():
        with suppress(RuntimeError):  # not there, or not needed, in that version
            asterisk.action("ModuleLoad", Module=f"{module}.so", LoadType="load")
    assert "1 modules loaded" in asterisk.command(f"module show like {driver}"), asterisk.log_text()


def sip_address(asterisk: RealAsterisk) -> tuple[str, int]:
    """Where it listens."""
    found = re.search(r"^bind = 127\.0\.0\.1:(\d+)", (asterisk.folder / "etc/pjsip.conf").read_text(), re.MULTILINE)
    assert found
    return "127.0.0.1", int(found[1])


class SipPhone:
    """Places one call at a time to `asterisk`; `call` returns when its dialplan has ended."""

    def __init__(self, asterisk: RealAsterisk) -> None:
        self._peer = sip_address(asterisk)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(SECONDS)
        self._here = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> SipPhone:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, called: str, caller: str, name: str = "", headers: Mapping[str, str] | None = None) -> int:
        """Calls until Asterisk refuses or hangs up: the status of the INVITE.

        `called` and `caller` are user parts, escaped as RFC 3261 wants them; `headers` are further ones.
        """
        self._uri = f"sip:{called}@{self._peer[0]}:{self._peer[1]}"
        self._call_id, self._branch, tag = secrets.token_hex(8), secrets.token_hex(8), secrets.token_hex(4)
        quoted = f'"{name}" ' if name else ""
        self._from, self._to = f"{quoted}<sip:{caller}@{self._here}>;tag={tag}", f"<{self._uri}>"
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {_free_port()} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )
        further = {"Contact": f"<sip:phone@{self._here}>", **(headers or {}), "Content-Type": "application/sdp"}
        self._send("INVITE", 1, further, sdp)
        status = 0
        while True:
            answer = self._receive()
            if answer.startswith("SIP/2.0 ") and answer.split("CSeq: ")[1].startswith("1 INVITE"):
                status = int(answer[8:11])
                if status >= 200:
                    self._to = _header(answer, "To")
                    self._send("ACK", 1, {}, "")
                if status >= 300:
                    return status
            elif answer.startswith("BYE "):
                self._answer(answer)
                return status

    def _send(self, method: str, number: int, further: Mapping[str, str], body: str) -> None:
        lines = [
            f"{method} {self._uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._here};branch=z9hG4bK{self._branch};rport",
            "Max-Forwards: 70",
            f"From: {self._from}",
            f"To: {self._to}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {number} {method}",
            *(f"{name}: {value}" for name, value in further.items()),
            f"Content-Length: {len(body)}",
        ]
        self._socket.sendto(("\r\n".join(lines) + f"\r\n\r\n{body}").encode(), self._peer)

    def _answer(self, request: str) -> None:
        kept = [
            line for line in request.split("\r\n") if line.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")
        ]
        self._socket.sendto("\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]).encode(), self._peer)

    def _receive(self) -> str:
        import sys

        d = self._socket.recv(65536).decode("utf-8", "replace")
        print(d[:300], file=sys.stderr)
        return d


def _header(message: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*?)\r$", message, re.MULTILINE)
    assert found, message
    return found[1]
