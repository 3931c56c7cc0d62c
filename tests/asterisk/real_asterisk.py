"""A real Asterisk for tests: started in its root with a folder of its own, driven over its manager interface.

    with RealAsterisk(root, "22", dialplan="[t]\\nexten => 1,1,Set(A=${CALLERID(num)})\\n") as asterisk:
        assert asterisk.call("1", "t", callerid=("Bob", "+32 56"), report=["A"]).variables == {"A": "+32 56"}

It shares loopback with the test, so servers run in the test's own process. Nothing is mounted or slept.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import chroot_python
from ami import Ami, Message
from asterisk_process import AsteriskProcess
from calls import HARNESS_DIALPLAN, Call, Result, call_variables
from waiting import wait_until


class RealAsterisk:
    """`dialplan` is the test's own. Each of `files` is placed in Asterisk's settings folder: it may replace a
    file there, or be a dialplan file that `dialplan` includes by its name.
    """

    def __init__(self, root: Path, version: str, dialplan: str = "", files: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.version = version
        self._files = {**(files or {}), "test.d/test.conf": dialplan, "harness.conf": HARNESS_DIALPLAN}
        self._calls: dict[str, Call] = {}
        self._legs: dict[str, Call] = {}
        self._numbers = count(1)

    def __enter__(self) -> RealAsterisk:
        self._process = AsteriskProcess(self.root, self._files)
        self._process.start()
        try:
            self._log = self._process.log
            self._ami = Ami(self._process.port, self._process.secret, self._route)
            self._ami.wait_event(lambda event: event["Event"] == "FullyBooted")
        except BaseException:
            self._process.end()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._ami.close()
        self._process.end()

    # What a test does

    def call(self, exten: str, context: str, *, timeout: float = 30, **what: Any) -> Result:
        """Places a call, see `start`, and waits for its end."""
        return self.start(exten, context, **what).wait(timeout)

    def start(
        self,
        exten: str,
        context: str,
        *,
        variables: Mapping[str, str] | None = None,
        callerid: tuple[str, str] | None = None,
        presentation: str | None = None,
        dnid: str | None = None,
        report: Sequence[str] = (),
    ) -> Call:
        """A call that enters the dialplan at `exten@context`; `callerid` is (name, number), any characters.

        `variables` and `report` may name functions, like `CALLERID(ani)` or `CHANNEL(language)`. `report` is
        read from the channel when it hangs up, however it does.
        """
        reference = f"{self.folder.name}-{next(self._numbers)}"
        given = dict(variables or {})
        if callerid is not None:
            given["CALLERID(name)"], given["CALLERID(num)"] = callerid
        if presentation is not None:
            given["CALLERID(pres)"] = presentation
        if dnid is not None:
            given["CALLERID(dnid)"] = dnid
        call = self._calls[reference] = Call(self._ami, self._log, report)
        self._ami.action(
            "Originate",
            Channel="Local/call@harness/n",
            Application="Wait",
            Data="3600",
            Timeout="3600000",
            Async="true",
            Variable=call_variables(reference, context, exten, given, report),
        )
        if "," in exten:  # Goto would split it
            self._ami.action("Redirect", Channel=call.channel, Context=context, Exten=exten, Priority="1")
        return call

    def hangup(self, channel: str) -> None:
        """Hangs up a channel, or every one that a `/regular expression/` matches."""
        self._ami.action("Hangup", Channel=channel)

    def command(self, line: str) -> str:
        """What Asterisk's command line answers."""
        return self._ami.action("Command", Command=line).get("Output", "")

    def action(self, name: str, **headers: str | list[str]) -> Message:
        return self._ami.action(name, **headers)

    def load(self, name: str, dialplan: str) -> None:
        """Adds (or replaces, by name) a piece of dialplan while Asterisk runs."""
        (self.folder / f"etc/test.d/{name}.conf").write_text(dialplan)
        self.command("dialplan reload")

    def mark(self) -> int:
        """A point in the log, for `warnings(since)` and `log_text(since)`."""
        self._flush()
        return self._log.mark()

    def log_text(self, since: int = 0) -> str:
        """The full log, up to and with this moment."""
        self._flush()
        return self._log.text(since)

    def warnings(self, since: int = 0) -> list[str]:
        """The log's WARNING and ERROR lines."""
        lines = self.log_text(since).splitlines()
        return [line for line in lines if "] WARNING[" in line or "] ERROR[" in line]

    def wait_log(self, words: str, timeout: float = 30, since: int = 0) -> None:
        self._log.wait(words, timeout, since)

    def wait_event(self, predicate: Callable[[Message], bool], timeout: float = 30, since: int = 0) -> Message:
        return self._ami.wait_event(predicate, timeout, since)

    def wait_channels(self, count: int = 0) -> None:
        """Until no more channels than `count` are left."""
        wait_until(lambda: len(self.command("core show channels concise").splitlines()) <= count)

    def mark_events(self) -> int:
        return self._ami.mark()

    def events(self, since: int = 0) -> list[Message]:
        """What Asterisk told by itself, up to now."""
        return self._ami.events[since:]

    def script_errors(self) -> str:
        """What plain AGI scripts, and Asterisk itself, wrote to standard error."""
        return self._process.errors()

    @property
    def folder(self) -> Path:
        """This Asterisk's own folder, gone with it: `etc`, `log`, `data` and so on."""
        return self._process.folder

    @property
    def pid(self) -> int:
        return self._process.pid

    def inside(self, path: Path) -> str:
        """A path as Asterisk in its root sees it."""
        return f"/{path.relative_to(self.root)}"

    def install_plain_agi(self, project: Path, config: str = "", name: str = "callsign.agi") -> None:
        """`AGI(callsign.agi,…)` runs the project's plain script, on a copy of the Python that runs the test.

        `config` is the settings' text; `{folder}` in it becomes a folder that the script may write to.
        """
        chroot_python.install_script(self.root, self.folder, project, config, name)

    def _flush(self) -> None:
        """Asterisk logs in a thread: what comes before a line of ours is there when the line is."""
        words = f"harness mark {next(self._numbers)} {secrets.token_hex(4)}"
        self.call("mark", "harness", variables={"HARNESS_MARK": words})
        self._log.wait(words, 30)

    def _route(self, event: Message) -> None:
        # A line break in a caller's number takes the rest of an event's headers away.
        if event["Event"] == "UserEvent" and event.get("UserEvent", "").startswith("Harness"):
            call = self._calls[event["Call"]]
            self._legs[event["Uniqueid"]] = call
            call.take(event)
        elif event["Event"] == "Hangup" and event.get("Uniqueid", "") in self._legs:
            self._legs.pop(event["Uniqueid"]).take(event)
