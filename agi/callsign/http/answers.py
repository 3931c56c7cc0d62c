"""The head of an answer: interim answers are passed over, and what is odd ends its connection.

An answer whose end is in doubt leaves bytes behind that the next request would take for its own answer.
"""

from __future__ import annotations

import http.client
from http import HTTPStatus
from typing import Any

NO_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class FinalAnswer(http.client.HTTPResponse):
    """The first answer that is not interim (RFC 9110 15.2); http.client passes over 100 alone."""

    def begin(self, *args: Any, **more: Any) -> None:
        super().begin(*args, **more)
        while self.status < HTTPStatus.OK and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment]
            super().begin(*args, **more)
        if self._is_odd():
            self.will_close = True  # then the connection is let go at once, and this answer read to its end

    def _is_odd(self) -> bool:
        """Whether another reader might see the end of this answer elsewhere (RFC 9112 6.3, 11.2)."""
        lengths, codings = (self.headers.get_all(name, []) for name in ("Content-Length", "Transfer-Encoding"))
        if self.headers.defects or len(lengths) + len(codings) > 1 or self.status < HTTPStatus.OK:
            return True
        if self.status in NO_BODY:
            return lengths not in ([], ["0"])
        return not all(length.isascii() and length.isdigit() for length in lengths) or codings not in ([], ["chunked"])
