"""The status of a call where callsign itself has failed: set in a way that shares nothing with what may have failed.

A loaded Python suffices, so that a plain script has it even where a package is missing.
"""

from __future__ import annotations

from callsign import SYSTEMS

TYPE_CHECKING = False  # typing, where that comes from, may be what takes long
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callsign.agi.connection import Connection

REASON = "a fault in callsign itself, see its log"
SECONDS = 1.0
"""How long each wait for Asterisk may take here."""

MAX_BLOCK_BYTES = 64 * 1024  # no agi_* block is longer


def variables(path: str, reason: str) -> dict[str, str]:
    """ERROR and its reason, for the system that `path` begins with."""
    first = path.partition("?")[0].strip("/ ").partition("/")[0].lower()
    system = first.upper() if first in SYSTEMS else "CALLSIGN"
    found = {f"{system}STATUS": "ERROR", f"{system}REASON": reason}
    return found if system == "CALLSIGN" else {**found, f"{system}JOB": ""}


def read_block(receive: Callable[[], bytes]) -> str:
    """Reads the `agi_*` block, where nobody has yet: the path that it asks for."""
    block = b""
    while b"\n\n" not in block and len(block) < MAX_BLOCK_BYTES and (data := receive()):
        block += data
    script = block.partition(b"\nagi_network_script:")[2].partition(b"\n")[0]
    return script.decode("utf-8", "replace").strip()


def tell(receive: Callable[[], bytes], send: Callable[[bytes], object], values: Mapping[str, str]) -> None:
    """Sets the variables, whose values lose all that could end the quotes; a reply is a line, whatever it says."""
    for name, value in values.items():
        fit = "".join(letter for letter in value if letter.isprintable() and letter not in '"\\')
        send(f'SET VARIABLE {name} "{fit}"\n'.encode("utf-8", "replace"))
        reply = b""
        while not reply.endswith(b"\n") and len(reply) < MAX_BLOCK_BYTES and (data := receive()):
            reply += data


def leave(
    connection: Connection, path: str = "", is_block_read: bool = False, values: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Sets `values`, or ERROR for `path` or the one that the block asks for.  Returns what was set.  Never raises."""

    def receive() -> bytes:
        return connection.receive(SECONDS)

    try:
        asked = "" if is_block_read else read_block(receive)
        left = dict(values or variables(path or asked, REASON))
        tell(receive, lambda command: connection.send(command, SECONDS), left)
    except Exception:  # Asterisk is gone, or the same fault comes here
        return {}
    return left
