"""Why an exchange failed, in our own words: the libraries' texts hold the URL, and with it the signature."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator

from urllib3.exceptions import DecodeError

from callsign.http.messages import Request

UNKNOWN_CA = frozenset((2, 18, 19, 20, 21))
WRONG_NAME = frozenset((62, 64))
NOT_YET_VALID, HAS_EXPIRED = 9, 10
"""OpenSSL's X509_V_ERR_ codes (x509_vfy.h): issuer not found, self-signed; name or address mismatch; its dates."""


def _chain(fault: BaseException) -> Iterator[BaseException]:
    """The fault and what caused it: urllib3 wraps the socket's error in several layers."""
    seen: set[int] = set()
    todo: list[object] = [fault]
    while todo:
        item = todo.pop(0)
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            todo += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]


def is_closed_by_peer(fault: BaseException) -> bool:
    """Whether it closed or reset the connection; http.client.RemoteDisconnected is a ConnectionResetError too."""
    return any(isinstance(cause, ConnectionResetError | BrokenPipeError) for cause in _chain(fault))


def what_happened(fault: BaseException, request: Request, sent: bool, seconds: float) -> str:
    """The reason of a NoAnswer: the exchange had `seconds`; `sent`: the request may have reached the vendor."""
    host = request.host()
    causes = list(_chain(fault))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: the certificate of {host} is not trusted ({cause.verify_message}){_tls_hint(cause, request)}"
        if isinstance(cause, OSError) and cause.filename and cause.filename == request.verify:
            return f"the CA file {cause.filename} named by verify cannot be read ({cause.strerror})"
        if isinstance(cause, ssl.SSLError) and cause.library in ("X509", "PEM"):
            return f"the file {request.verify} named by verify holds no CA certificate"
        if isinstance(cause, socket.gaierror):
            return f"the name of {host} cannot be resolved ({cause.strerror})"
        if isinstance(cause, ConnectionRefusedError):
            return f"{host} refuses connections"
    for cause in causes:
        if isinstance(cause, TimeoutError):
            return f"no {'answer from' if sent else 'connection to'} {host} within {seconds:.1f} s"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {host}: {cause.reason or 'the handshake failed'}"
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, http.client.RemoteDisconnected):
            return f"what {host} answers is no HTTP; check url in the settings"
        if isinstance(cause, DecodeError):
            return f"the answer of {host} cannot be unpacked"
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return f"{host}: {cause.strerror}"
        if isinstance(cause, ValueError) and not sent:
            return f"the address of {host} is not usable: check url in the settings"
    return f"{host} broke off before its answer was whole"


def _tls_hint(fault: ssl.SSLCertVerificationError, request: Request) -> str:
    if fault.verify_code in WRONG_NAME:
        return "; url must have a name that the certificate has"
    if fault.verify_code in (NOT_YET_VALID, HAS_EXPIRED):
        return f"; or is this machine's clock {'behind' if fault.verify_code == NOT_YET_VALID else 'ahead'}?"
    if fault.verify_code not in UNKNOWN_CA:
        return ""
    if isinstance(request.verify, str):
        return f"; is {request.verify}, named by verify, the file of its CA?"
    return "; for a home-made certificate set verify to the file of its CA"
