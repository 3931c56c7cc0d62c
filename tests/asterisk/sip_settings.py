"""Settings and modules that let a test's Asterisk speak SIP: PJSIP on both versions, chan_sip too on 16.

    FILES = {**sip_files(context="from-sip")}    # of a module's Asterisk, see asterisk_fixtures
    load_pjsip(asterisk)                         # or load_sip: chan_sip on 16

Anybody on loopback may call into `context`, as a trunk that Asterisk knows by its address; who calls himself 201 to
209 is a phone, and dialled as `Dial(PJSIP/201)` where it has registered.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress

from real_asterisk import RealAsterisk

PJSIP = """
    res_sorcery_config res_sorcery_memory res_sorcery_astdb res_pjproject res_http_websocket res_geolocation
    res_pjsip res_pjsip_session res_pjsip_pubsub res_pjsip_sdp_rtp res_rtp_asterisk res_pjsip_endpoint_identifier_ip
    res_pjsip_endpoint_identifier_user res_pjsip_caller_id res_pjsip_diversion res_pjsip_dtmf_info res_pjsip_refer
    res_pjsip_registrar res_pjsip_header_funcs chan_pjsip
"""
CHAN_SIP = "res_http_websocket res_sorcery_config res_pjproject res_rtp_asterisk chan_sip"


def free_port() -> int:
    """A UDP port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def sip_files(context: str, trunk: str = "") -> dict[str, str]:
    """The settings; `trunk` is further lines of the trunk's endpoint."""
    port = free_port()
    endpoint = f"type = endpoint\ncontext = {context}\ndisallow = all\nallow = ulaw\ndirect_media = no\n"
    endpoint += "media_address = 127.0.0.1\nbind_rtp_to_media_address = yes\n"  # else names are looked up in the DNS
    phones = "".join(
        f"[{number}]\n{endpoint}dtmf_mode = info\naors = {number}\n"
        f"[{number}]\ntype = aor\nmax_contacts = 1\nremove_existing = yes\n"
        for number in range(201, 210)
    )
    return {
        "pjsip.conf": f"""
[global]
type = global
endpoint_identifier_order = username,ip
[transport]
type = transport
protocol = udp
bind = 127.0.0.1:{port}
[trunk]
{endpoint}{trunk}
[trunk]
type = identify
endpoint = trunk
match = 127.0.0.1
{phones}""",
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


def load_pjsip(asterisk: RealAsterisk) -> None:
    """Loads PJSIP, once."""
    _load(asterisk, "chan_pjsip", PJSIP)


def load_sip(asterisk: RealAsterisk) -> None:
    """Loads the channel driver that is usual in that version, once: PJSIP on 22, chan_sip on 16."""
    if asterisk.version == "16":
        _load(asterisk, "chan_sip", CHAN_SIP)
    else:
        load_pjsip(asterisk)


def _load(asterisk: RealAsterisk, driver: str, modules: str) -> None:
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
