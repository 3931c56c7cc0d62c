"""The process of a command: streams that may be closed, full or of any encoding, ^C at any moment, one way to end.

Loaded before all that takes time: it loads nothing itself that Python has not loaded already.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # signal itself loads enum and more first
import codecs
import io
import os
import sys

TYPE_CHECKING = False  # typing, where that comes from, takes the longest of all
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

DONE, FAILED = 0, 1


def begin() -> None:
    """From here on ^C ends it as a shell expects, quietly, and nothing that it prints can fail before `end`."""
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        _have_open(number, flags)  # a write to standard output fails as on a closed one
    codecs.register_error("escape", _escaped)
    encodings = [getattr(stream, "encoding", "utf-8") for stream in (sys.stdout, sys.stderr)]
    output, complaints = (io.BufferedWriter(_Stream(number, "w", closefd=False)) for number in (1, 2))
    sys.stdout = io.TextIOWrapper(output, encodings[0], "escape", line_buffering=os.isatty(1))
    sys.stderr = io.TextIOWrapper(complaints, encodings[1], "escape", line_buffering=True)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell sets it for what runs in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def end(program: str, main: Callable[[], int]) -> NoReturn:
    """Runs `main` and ends the process with its status; without a traceback, whatever comes.

    A KeyboardInterrupt with a signal's number is one that has cleaned up behind it, and ends it now.
    """
    trouble: Exception | None = None
    status = DONE
    try:
        status = main()
    except SystemExit as wanted:  # argparse
        status = wanted.code if isinstance(wanted.code, int) else FAILED
    except KeyboardInterrupt as wish:
        _end_by(*wish.args)
    except (ImportError, SyntaxError) as fault:  # an installation cut short, or whose Python was taken from below it
        _say(program, f"cannot be loaded: {fault}; run install.sh again")
        status = FAILED
    except Exception as fault:
        trouble = fault
    output: Any = sys.stdout.buffer
    try:  # noqa: SIM105 (contextlib would be one more module before ^C is heard)
        sys.stdout.flush()
    except OSError:
        pass  # it is remembered
    if output.raw.fault is not None:
        if not isinstance(output.raw.fault, BrokenPipeError):  # as in `callsign jobs | head`
            _say(program, f"standard output cannot be written: {output.raw.fault.strerror}")
            status = status or FAILED
    elif trouble is not None:
        from callsign.log_text import own_fault

        _say(program, own_fault(trouble))
        status = FAILED
    os._exit(status)  # not by way of the interpreter's end, which flushes again and waits for threads


class _Stream(io.FileIO):
    """Standard output or standard error, which remembers why it could not be written.

    Where standard error cannot be, nobody hears, and the exit status tells all the same.
    """

    fault: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as fault:
            self.fault = fault
            if self.fileno() == 1:
                raise
            return len(data)


def _end_by(number: int = signal.SIGINT) -> None:
    """The caller sees that it was stopped: a shell then has status 130 for ^C, and ends its loop."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _have_open(number: int, flags: int) -> None:
    """Else the next file that is opened, the store perhaps, would be the standard stream."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, flags)
        if null != number:
            os.dup2(null, number)
            os.close(null)


def _escaped(fault: UnicodeError) -> tuple[str, int]:
    """A character that the encoding lacks as JSON writes it, which then stays JSON."""
    assert isinstance(fault, UnicodeEncodeError)  # noqa: S101
    units = fault.object[fault.start : fault.end].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[n : n + 4]}" for n in range(0, len(units), 4)), fault.end


def _say(program: str, words: str) -> None:
    try:
        os.write(2, f"{program}: {words}\n".encode())
    except OSError:
        return
