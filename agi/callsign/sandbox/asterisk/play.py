"""`run_fastagi` and `run_script` do what the dialplan's `AGI()` does; `play` does so on a wire that stands already."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence

from callsign.sandbox.asterisk.behaviour import Conduct, OnLine, Session, Status
from callsign.sandbox.asterisk.call import AgiUrl, Call
from callsign.sandbox.asterisk.dialog import AsteriskSide
from callsign.sandbox.asterisk.wire import Wire

CONNECT_SECONDS = 2.0
"""For each address of the host (MAX_AGI_CONNECT); compiled into Asterisk."""

_AS_ASTERISK = Conduct()
_ANY_CALL = Call()


def run_fastagi(
    url: str,
    call: Call = _ANY_CALL,
    arguments: Sequence[str] = (),
    conduct: Conduct = _AS_ASTERISK,
    on_line: OnLine | None = None,
) -> Session:
    """`AGI(url,arguments…)`: connect, play, close. Never raises; no connection is the status FAILURE."""
    began = time.monotonic()
    try:
        connection = _connect(AgiUrl.parse(url))
    except (OSError, ValueError) as failed:
        hint = "" if "/" in url[len("agi://") :] else " (there is no / after the host, so all of it is the host)"
        return _no_session(began, "FAILURE", f"{url}: {failed}{hint}")
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(connection, connection, conduct.timeout_seconds, conduct.send_bytes)
        return play(wire, url, call, arguments, conduct, on_line, began)


def play(
    wire: Wire,
    url: str,
    call: Call = _ANY_CALL,
    arguments: Sequence[str] = (),
    conduct: Conduct = _AS_ASTERISK,
    on_line: OnLine | None = None,
    began: float | None = None,
) -> Session:
    """A FastAGI session on a wire that stands already, which is closed at the end.

    The wire brings its own timeout and size of writes. `began` is the monotonic time from which the seconds
    count. Raises ValueError where `url` is no agi:// URL.
    """
    began = time.monotonic() if began is None else began
    side = AsteriskSide(wire, call, conduct, on_line)
    side.channel.runs(url, arguments)
    try:
        side.run(call.environment(url, arguments))
    finally:
        wire.close()
    return side.session(time.monotonic() - began)


def run_script(
    path: str | os.PathLike[str],
    call: Call = _ANY_CALL,
    arguments: Sequence[str] = (),
    conduct: Conduct = _AS_ASTERISK,
    on_line: OnLine | None = None,
) -> Session:
    """`AGI(path,arguments…)`: start the program, play over its standard streams, wait for its exit.

    Never raises. A relative path starts in the current directory, not in Asterisk's agi-bin; standard error stays ours.
    As with Asterisk, an exit status other than 0 is FAILURE, and the dialplan waits for the *process*, also
    after it has closed its output: a script that wants to go on must fork. One that outlasts the timeout is killed.
    """
    began, script = time.monotonic(), os.fspath(path)
    if not os.path.exists(script):
        return _no_session(began, "NOTFOUND", f"{script}: no such file")
    try:
        process = subprocess.Popen(  # noqa: S603 - what the user asked to run
            [script, *arguments],
            executable=os.path.abspath(script),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
    except (OSError, ValueError) as failed:
        return _no_session(began, "FAILURE", f"{failed}; is it executable, with a #! line?")
    assert process.stdin  # noqa: S101 - both for the type checker
    assert process.stdout  # noqa: S101
    wire = Wire(process.stdout, process.stdin, conduct.timeout_seconds, conduct.send_bytes)
    side = AsteriskSide(wire, call, conduct, on_line, lambda: process.send_signal(signal.SIGHUP))
    side.channel.runs(script, arguments)
    try:
        side.run(call.environment(script, arguments, network=False))
        _part(process, side, wire)
    finally:
        wire.close()
        _reap(process)
    return side.session(time.monotonic() - began)


def _part(process: subprocess.Popen[bytes], side: AsteriskSide, wire: Wire) -> None:
    """Wait for a script's exit as Asterisk does, its standard input still open; end one that is too late."""
    if side.peer_ended:
        try:
            process.wait(wire.remaining_seconds)
        except subprocess.TimeoutExpired:
            side.fail("its output has ended, but the process runs on: Asterisk holds the call until it exits")
        else:
            hung_up = side.status == "HANGUP"
            if process.returncode and not (hung_up and process.returncode == -signal.SIGHUP):
                side.fail(f"the script ended with {_how(process.returncode)}", "HANGUP" if hung_up else "FAILURE")
    if not wire.remaining_seconds:
        process.kill()


def _how(returncode: int) -> str:
    return f"exit status {returncode}" if returncode > 0 else f"signal {-returncode}"


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Collect the exit status whenever it comes, so that no zombie is left."""
    if process.poll() is None:
        threading.Thread(target=process.wait, name="reap-agi-script", daemon=True).start()


def _connect(url: AgiUrl) -> socket.socket:
    """The first address of the host that answers. Raises OSError.

    An address that fails at once, like an IPv6 one without a route, ends the search, as in
    launch_netscript().
    """
    last = OSError(f"{url.host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        code = connection.connect_ex(address)
        at_once = code != errno.EINPROGRESS
        if not at_once:
            poller = select.poll()
            poller.register(connection, select.POLLOUT)
            ready = poller.poll(CONNECT_SECONDS * 1000)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ready else errno.ETIMEDOUT
        if not code:
            return connection
        connection.close()
        last = OSError(f"connecting to {address[0]!s} port {address[1]!s} failed: {os.strerror(code)}")
        if at_once:
            break
    raise last


def _no_session(began: float, status: Status, trouble: str) -> Session:
    return Session({}, [], time.monotonic() - began, status, trouble, False)
