"""Two processes for one plain AGI script: Asterisk waits for the first, the second does the work.

Asterisk holds the call until the process it started has *exited*, also after its output has ended
(res/res_agi.c, run_agi: waitpid).  So that one does nothing but wait for the second's word that the
status is set; the delivery goes on behind it.  Nothing is imported here that takes time.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable

from callsign.agi import fault_status


def fork_worker() -> Callable[[], None] | None:
    """Returns in the second process; what it returns lets the dialplan go on.

    None where no second process could be had: then the dialplan waits for the end of this one.
    SIGHUP is ignored in both from now on: Asterisk sends it at a hang-up, and the row must be written.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    gc.disable()  # while a call waits: loading makes no garbage, and looking for it took a tenth of the time
    try:
        heard, say = os.pipe()
        process = os.fork()
    except OSError:  # a limit on processes or files
        return None
    if process:
        os.close(say)
        os.close(1)  # else Asterisk would not see the output end
        os.read(heard, 1)  # ends when the second process has spoken, and also when it has died
        os._exit(0)
    os.close(heard)
    word = os.fdopen(say, "wb")

    def let_go() -> None:
        word.close()
        gc.enable()  # now there is time

    return let_go


def report_failed_start(argv: list[str], fault: BaseException, go_on: Callable[[], None] | None) -> int:
    """Sets the status where callsign cannot even be loaded (a package is missing, say); imports nothing itself."""
    said = str(fault) or type(fault).__name__
    words = "".join(c for c in said if c.isprintable() and c not in '"\\')[:160]
    if isinstance(fault, ImportError):
        words += "; install.sh makes the Python environment that it needs"

    def receive() -> bytes:
        return os.read(0, 4096)

    fault_status.read_block(receive)
    status = fault_status.variables(argv[1] if len(argv) > 1 else "", f"callsign.agi cannot start: {words}")
    fault_status.tell(receive, lambda command: os.write(1, command), status)
    if go_on is not None:  # else the call would wait for who reads this, if anybody does
        go_on()
        print(f"callsign.agi cannot start: {type(fault).__name__}: {words}", file=sys.stderr)
    return 0
