"""A SIP phone of a test's own, on UDP and RTP of loopback.

    with SipPhone(asterisk, "201") as phone, SipPhone(asterisk) as trunk:
        phone.register()
        call = trunk.call("056528998", caller="0478123456")
        taken = phone.wait_call()                # its dialplan has Dial(PJSIP/201)
        taken.answer()
        call.wait_status(200)
        taken.hang_up()
        call.wait_end()

A thread reads what comes; every wait ends.  What Asterisk asks within a dialog (BYE, NOTIFY, a new INVITE) is granted.
A request without any answer is sent again after 0.5, 1, 2 … seconds, as RFC 3261 (17.1.1.2) wants it of every phone on
UDP: a busy Asterisk ignores a new INVITE and counts on that (res_pjsip's distributor, when a taskprocessor is full).
"""

from __future__ import annotations

import re
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from real_asterisk import RealAsterisk
from sip_settings import sip_address

SECONDS = 30.0
FIRST_REPEAT_SECONDS = 0.5
PACKET_SECONDS = 0.02
SILENCE = b"\xff" * 160


class SipPhone:
    """Calls and is called, any number of calls at once.  `name` is its own user part."""

    def __init__(self, asterisk: RealAsterisk, name: str = "phone") -> None:
        self.asterisk = asterisk
        self.peer = sip_address(asterisk)
        self.name = name
        self.news = threading.Condition()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.here = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.unanswered: dict[str, Repeat] = {}  # by branch and method
        self._dialogs: dict[str, Dialog] = {}
        self._came: deque[Dialog] = deque()
        self._reader = threading.Thread(target=self._read, name=f"phone {name}", daemon=True)

    def __enter__(self) -> SipPhone:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        for dialog in self._dialogs.values():
            dialog.silence()
        self.socket.sendto(b"", self.socket.getsockname())
        self._reader.join(SECONDS)
        self.socket.close()

    def register(self) -> None:
        """From now on PJSIP/NAME rings here."""
        here = f"<sip:{self.name}@{self.peer[0]}>"
        dialog = self._dialog(f"sip:{self.peer[0]}:{self.peer[1]}", here, here)
        dialog.request("REGISTER", {"Expires": "3600"})
        self.wait(lambda: dialog.registered, f"registration of {self.name}")

    def call(
        self,
        called: str,
        caller: str = "",
        name: str = "",
        headers: Mapping[str, str] | None = None,
        nobody: bool = False,
    ) -> Dialog:
        """Calls.  `called` and `caller` are user parts, escaped as RFC 3261 wants them; `headers` are further ones.

        `nobody`: From has no user part.
        """
        who = f"sip:{self.here}" if nobody else f"sip:{caller or self.name}@{self.here}"
        uri = self.uri_of(called)
        dialog = self._dialog(uri, (f'"{name}" ' if name else "") + f"<{who}>", f"<{uri}>")
        dialog.request("INVITE", {**(headers or {}), "Content-Type": "application/sdp"}, dialog.offer())
        return dialog

    def uri_of(self, called: str) -> str:
        """Where an extension of Asterisk's is reached."""
        return f"sip:{called}@{self.peer[0]}:{self.peer[1]}"

    def wait_call(self) -> Dialog:
        """The next call that comes, or came and was not asked for yet."""
        self.wait(lambda: bool(self._came), f"call at {self.name}")
        return self._came.popleft()

    @property
    def waiting(self) -> int:
        """How many calls came and were not asked for yet."""
        return len(self._came)

    def wait(self, look: Callable[[], bool], what: str) -> None:
        with self.news:
            assert self.news.wait_for(look, SECONDS), f"no {what}; Asterisk says: {self.asterisk.log_text()[-3000:]}"

    def _dialog(self, uri: str, ours: str, theirs: str) -> Dialog:
        dialog = Dialog(self, secrets.token_hex(8))
        dialog.uri, dialog.ours, dialog.theirs = uri, f"{ours};tag={secrets.token_hex(4)}", theirs
        self._dialogs[dialog.call_id] = dialog
        return dialog

    def send(self, message: str) -> None:
        self.socket.sendto(message.encode(), self.peer)

    def _read(self) -> None:
        self.socket.settimeout(FIRST_REPEAT_SECONDS / 2)
        while True:
            data = None
            with suppress(TimeoutError):
                data = self.socket.recv(65536)
            if data == b"":
                return
            message = (data or b"").decode("utf-8", "replace")
            with self.news:
                self._repeat()
                if not data:
                    continue
                call_id = header(message, "Call-ID")
                if call_id not in self._dialogs and message.startswith("INVITE "):
                    self._dialogs[call_id] = Dialog(self, call_id)
                    self._came.append(self._dialogs[call_id])
                if call_id in self._dialogs:
                    self._dialogs[call_id].take(message)
                self.news.notify_all()

    def _repeat(self) -> None:
        for repeat in tuple(self.unanswered.values()):
            repeat.send_again(self.send)


class Repeat:
    """A request that nobody has answered yet."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._pause = FIRST_REPEAT_SECONDS
        self._due = time.monotonic() + self._pause

    def send_again(self, send: Callable[[str], None]) -> None:
        """Once it is due."""
        if time.monotonic() >= self._due:
            self._pause *= 2
            self._due += self._pause
            send(self._message)


class Dialog:
    """One call at one phone."""

    def __init__(self, phone: SipPhone, call_id: str) -> None:
        self.phone = phone
        self.call_id = call_id
        self.uri = self.ours = self.theirs = ""
        self.registered = False
        self.statuses: list[int] = []  # of our INVITE
        self.requests: list[str] = []  # that came
        self._number = 0
        self._branches: dict[int, str] = {}
        self._heard_of: set[str] = set()
        self._media: Media | None = None
        self._invite = ""

    # What a test does

    def wait_status(self, status: int) -> None:
        """Asterisk's answer to our INVITE."""
        self.phone.wait(lambda: status in self.statuses, f"{status} among {self.statuses}")

    def wait_end(self) -> int:
        """Until it is refused or Asterisk hangs up; the last status."""
        self.phone.wait(lambda: self._is_over(), f"end after {self.statuses}")
        return self.statuses[-1] if self.statuses else 0

    def wait_request(self, method: str) -> str:
        self.phone.wait(lambda: any(r.startswith(f"{method} ") for r in self.requests), method)
        return next(r for r in self.requests if r.startswith(f"{method} "))

    def ring(self) -> None:
        self._answer(self._invite, "180 Ringing")

    def answer(self) -> None:
        self._answer(self._invite, "200 OK", {"Content-Type": "application/sdp"}, self.offer())
        self.wait_request("ACK")
        self.speak(self._invite)

    def refuse(self, words: str = "486 Busy Here", contact: str = "") -> None:
        """`contact` is where a 302 leads."""
        self._answer(self._invite, words, {"Contact": f"<{contact}>"} if contact else {})

    def hang_up(self) -> None:
        self.silence()
        self.request("BYE")

    def cancel(self) -> None:
        self._send("CANCEL", self._number, {}, "", self._branches[self._number])

    def press(self, digit: str) -> None:
        """A key, told by INFO."""
        self.request("INFO", {"Content-Type": "application/dtmf-relay"}, f"Signal={digit}\r\nDuration=100\r\n")

    def refer(self, to: str, replaces: Dialog | None = None) -> None:
        """Sends the other side to extension `to`, or joins it to the other side of our second call."""
        target = self.phone.uri_of(to)
        if replaces:
            tags = f"to-tag%3D{tag(replaces.theirs)}%3Bfrom-tag%3D{tag(replaces.ours)}"
            target += f"?Replaces={replaces.call_id}%3B{tags}"
        self.request("REFER", {"Refer-To": f"<{target}>", "Referred-By": self.ours.partition(";tag=")[0]})

    def wait_voice(self) -> None:
        """Until a packet comes from now on."""
        assert self._media
        before = self._media.packets
        self.phone.wait(lambda: self._media is not None and self._media.packets > before, "voice")

    # The wire

    def offer(self) -> str:
        self._media = self._media or Media(self.phone.news)
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self._media.port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )

    def speak(self, message: str) -> None:
        """Sends voice to where that message's SDP says."""
        found = re.search(r"^m=audio (\d+)", message, re.MULTILINE)
        if found and self._media:
            self._media.start(int(found[1]))

    def silence(self) -> None:
        if self._media:
            self._media.stop()

    def request(self, method: str, further: Mapping[str, str] | None = None, body: str = "") -> None:
        self._number += 1
        self._branches[self._number] = f"z9hG4bK{secrets.token_hex(8)}"
        contact = {"Contact": f"<sip:{self.phone.name}@{self.phone.here}>", **(further or {})}
        self._send(method, self._number, contact, body, self._branches[self._number])

    def take(self, message: str) -> None:
        """Called in the phone's thread for each message of this call."""
        number, _, method = header(message, "CSeq").partition(" ")
        if message.startswith("SIP/2.0 "):
            self.phone.unanswered.pop(self._branches.get(int(number), "") + method, None)
            self._take_answer(message, int(message[8:11]), int(number), method)
        elif message.partition("\r\n\r\n")[0] not in self._heard_of:  # else it comes again
            self._heard_of.add(message.partition("\r\n\r\n")[0])
            self.requests.append(message)
            self._take_request(message, message.partition(" ")[0])

    def _take_answer(self, message: str, status: int, number: int, method: str) -> None:
        if method == "REGISTER":
            self.registered = status == 200
        if method == "INVITE":
            if status >= 200:
                self.theirs = header(message, "To")
                if status < 300 and "Contact: " in message:
                    self.uri = header(message, "Contact").strip("<>")
                self._send("ACK", number, {}, "", self._branches[number] if status >= 300 else "")
            if status == 200:
                self.speak(message)
            elif status >= 300:
                self.silence()
            self.statuses.append(status)

    def _take_request(self, message: str, method: str) -> None:
        if method == "INVITE" and not self._invite:
            self._invite = message
            self.uri = header(message, "Contact").strip("<>")
            self.theirs, self.ours = header(message, "From"), f"{header(message, 'To')};tag={secrets.token_hex(4)}"
        elif method == "INVITE":
            self._answer(message, "200 OK", {"Content-Type": "application/sdp"}, self.offer())
        elif method == "CANCEL":
            self._answer(message, "200 OK")
            self._answer(self._invite, "487 Request Terminated")
        elif method != "ACK":
            if method == "BYE":
                self.silence()
            self._answer(message, "200 OK")

    def _is_over(self) -> bool:
        refused = any(status >= 300 for status in self.statuses)
        return refused or any(request.startswith(("BYE ", "CANCEL ")) for request in self.requests)

    def _send(self, method: str, number: int, further: Mapping[str, str], body: str, branch: str) -> None:
        branch = branch or f"z9hG4bK{secrets.token_hex(8)}"
        lines = [
            f"{method} {self.uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.phone.here};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: {self.ours}",
            f"To: {self.theirs}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            *(f"{name}: {value}" for name, value in further.items()),
            f"Content-Length: {len(body)}",
        ]
        message = "\r\n".join(lines) + f"\r\n\r\n{body}"
        if method != "ACK":
            self.phone.unanswered[branch + method] = Repeat(message)
        self.phone.send(message)

    def _answer(self, request: str, words: str, further: Mapping[str, str] | None = None, body: str = "") -> None:
        kept = [f"{name}: {value}" for name in ("Via", "From", "Call-ID", "CSeq") for value in headers(request, name)]
        to = header(request, "To")
        lines = [
            f"SIP/2.0 {words}",
            *kept,
            f"To: {to if ';tag=' in to else self.ours}",
            *(f"{name}: {v}" for name, v in {"Contact": f"<sip:{self.phone.here}>", **(further or {})}.items()),
            f"Content-Length: {len(body)}",
        ]
        self.phone.send("\r\n".join(lines) + f"\r\n\r\n{body}")


class Media:
    """Voice of one call: sends a packet every 20 ms and counts those that come."""

    def __init__(self, news: threading.Condition) -> None:
        self.packets = 0
        self._news = news
        self._over = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self._thread: threading.Thread | None = None

    def start(self, port: int) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(port,), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread is None:
            self._socket.close()

    def _run(self, port: int) -> None:
        with self._socket:
            number = 0
            while not self._over.wait(PACKET_SECONDS):
                number += 1
                head = b"\x80\x00" + (number % 65536).to_bytes(2, "big") + (160 * number).to_bytes(4, "big") + b"call"
                self._socket.sendto(head + SILENCE, ("127.0.0.1", port))
                with suppress(BlockingIOError, ConnectionError):
                    while self._socket.recv(2048):
                        self._count()

    def _count(self) -> None:
        with self._news:
            self.packets += 1
            self._news.notify_all()


def headers(message: str, name: str) -> list[str]:
    return re.findall(rf"^{name}: (.*?)\r$", message.partition("\r\n\r\n")[0] + "\r\n", re.MULTILINE | re.IGNORECASE)


def header(message: str, name: str) -> str:
    found = headers(message, name)
    assert found, message
    return str(found[0])


def tag(address: str) -> str:
    return address.partition(";tag=")[2]
