"""The sandbox as a whole: who gets a request, what goes wrong on purpose, what was seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from http.client import responses

from callsign.sandbox.vendors.http_server import HttpSide
from callsign.sandbox.vendors.kalliope import Kalliope
from callsign.sandbox.vendors.messages import WELL, Answer, Request, Trouble, Vendor, as_json
from callsign.sandbox.vendors.mor import Mor
from callsign.sandbox.vendors.noojee import Noojee
from callsign.sandbox.vendors.record import SeenRequest
from callsign.sandbox.vendors.skarabee import Skarabee
from callsign.sandbox.vendors.sraps import Sraps

VENDORS: dict[str, type[Vendor]] = {
    "skarabee": Skarabee,
    "noojee": Noojee,
    "mor": Mor,
    "kalliope": Kalliope,
    "sraps": Sraps,
}
"""System -> its stand-in, made from that system's account."""


class Sandbox:
    """Stand-in vendors behind one port.

    Args:
        accounts: system -> account, whose form is that of the vendor's class; only these systems are served.
        listen: address and port; port 0 takes a free one, which a later `start` takes again.
        clock: epoch seconds; what the vendors judge by and put into `Date`.
        certificate: certificate and key file; given, all is served over TLS.
        on_seen: called with each SeenRequest, one at a time and in order, before the answer leaves.

    Attributes:
        trouble: system -> Trouble for the requests that arrive from now on; absent or None is well.
    """

    def __init__(
        self,
        accounts: Mapping[str, Mapping[str, str]],
        listen: tuple[str, int] = ("127.0.0.1", 0),
        clock: Callable[[], float] = time.time,
        certificate: tuple[str, str] | None = None,
        on_seen: Callable[[SeenRequest], None] | None = None,
    ) -> None:
        self.trouble: dict[str, Trouble | None] = {}
        self._vendors = {system: VENDORS[system](account) for system, account in accounts.items()}
        self._listen = listen
        self._clock = clock
        self._certificate = certificate
        self._on_seen = on_seen
        self._seen: list[SeenRequest] = []
        self._seen_grew = threading.Condition()
        self._http: HttpSide | None = None

    def start(self) -> None:
        """Listen, and answer in threads of its own. Stopped, it can be started again on the same port.

        Raises:
            OSError: the address cannot be had, or the certificate cannot be read.
        """
        self._http = HttpSide(self._listen, self._attend, self._clock, self._certificate)
        self._listen = (self._listen[0], self._http.server_address[1])
        self._http.start()

    def stop(self) -> None:
        """Close all connections, end all delays, join all threads. Nothing happens if it does not run."""
        http, self._http = self._http, None
        if http is not None:
            http.stop()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port listened on, from the first start; kept after `stop`."""
        return self._listen[1]

    @property
    def systems(self) -> tuple[str, ...]:
        """The vendors that it plays."""
        return tuple(self._vendors)

    def url(self, system: str) -> str:
        """The base URL to put into the settings of that system."""
        host = f"[{self._listen[0]}]" if ":" in self._listen[0] else self._listen[0]
        scheme = "https" if self._certificate else "http"
        return f"{scheme}://{host}:{self.port}{self._vendors[system].base_path}"

    def vendor(self, system: str) -> Vendor:
        """The stand-in itself, for a test that changes what it knows."""
        return self._vendors[system]

    @property
    def seen(self) -> list[SeenRequest]:
        """A copy of what was seen so far, in order of arrival."""
        with self._seen_grew:
            return list(self._seen)

    def wait_for(self, predicate: Callable[[list[SeenRequest]], bool], timeout: float) -> bool:
        """Block until the predicate holds for what was seen, at most `timeout` seconds; whether it holds."""
        with self._seen_grew:
            return self._seen_grew.wait_for(lambda: predicate(list(self._seen)), timeout)

    def _attend(self, request: Request) -> Answer:
        """Called by the HTTP side in the connection's thread."""
        system, inside = self._owner_of(request)
        trouble = self.trouble.get(system) or WELL
        try:
            answer = self._answer(system, inside, trouble)
        except Exception as fault:  # a fault of a stand-in must show in what was seen, not as a traceback somewhere
            why = f"fault in the sandbox: {type(fault).__name__}"
            answer = Answer(why, as_json({"error": why}), status=500)
        seen = SeenRequest(**vars(inside), system=system, http_status=answer.status, verdict=answer.verdict)
        with self._seen_grew:
            self._seen.append(seen)
            self._seen_grew.notify_all()
            # A screen that went away (`sandbox | head`) must not cost the client its answer.
            with suppress(OSError, ValueError):
                if self._on_seen is not None:
                    self._on_seen(seen)
        return replace(answer, after_seconds=trouble.delay_seconds)

    def _owner_of(self, request: Request) -> tuple[str, Request]:
        """The system that the path belongs to, "" if none, and the request as that system sees it."""
        for system, vendor in self._vendors.items():
            mount = vendor.base_path.rstrip("/")
            if request.path == mount or request.path.startswith(mount + "/"):
                return system, replace(request, path=request.path[len(mount) :] or "/")
        return "", request

    def _answer(self, system: str, request: Request, trouble: Trouble) -> Answer:
        if not system:
            served = ", ".join(vendor.base_path for vendor in self._vendors.values())
            why = f"nothing is served at this path; there is {served or 'no account at all'}"
            return Answer(f"HTTP 404: {why}", as_json({"error": why}), status=404)
        if trouble.drop:
            return Answer("dropped", b"", status=0)
        if trouble.http_status is not None:
            page = trouble.body if trouble.body is not None else _page(trouble.http_status)
            verdict = f"HTTP {trouble.http_status}"
            headers = {} if trouble.retry_after is None else {"Retry-After": trouble.retry_after}
            return Answer(verdict, page, trouble.http_status, content_type="text/html", headers=headers)
        answer = self._vendors[system].judge(request, trouble)
        return answer if trouble.body is None else replace(answer, body=trouble.body)


def _page(status: int) -> bytes:
    return f"<html><body><h1>{status} {responses.get(status, '')}</h1></body></html>\n".encode()
