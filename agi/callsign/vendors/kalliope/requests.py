"""Requests for a part of a KalliopePBX's call register.

Source: "API REST CDR", 2.4.  Its 2.1 has URLs for whole days, which `callsign api` can ask.
"""

from __future__ import annotations

from callsign.http.messages import Request
from callsign.settings.sections import Kalliope
from callsign.vendors.kalliope.signing import base_url

BODY_TYPE = "application/xml"
"""The form of the body that is sent.  The document has XML and JSON, but shows `unique_id` in XML only."""


def by_period(
    section: Kalliope, style: str, accept: str, begin: str, end: str, max_bytes: int, unique_id: str = ""
) -> Request:
    """The calls from `begin` to `end`, both `YYYY-MM-DD HH:MM:SS` in the PBX's time; or the one of them with that id.

    Both ends are given always: without them the PBX looks into the current month alone.  No value needs an escape.
    """
    one = f"<unique_id>{unique_id}</unique_id>" if unique_id else ""
    fields = f"<begin>{begin}</begin><end>{end}</end>{one}"
    body = f'<?xml version="1.0"?>\n<kpbx_request><cdr>{fields}</cdr></kpbx_request>\n'.encode()
    headers = {"Accept": accept, "Content-Type": BODY_TYPE}
    url = f"{base_url(section)}/cdr/{style}"
    return Request("POST", url, headers=headers, body=body, max_bytes=max_bytes, is_safe=True)
