"""One HTTP exchange with a stand-in, by a client that is not callsign's."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any


class Reply:
    """What came."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def exchange(
    port: int, method: str, target: str, body: bytes | str | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """On a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, target, body, headers or {})
        return Reply(connection.getresponse())
    finally:
        connection.close()
