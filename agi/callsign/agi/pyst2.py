"""pyst2 as a session takes it: its `AGI` and its errors, to which two are added.  Nobody else imports asterisk."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def _without_pprint() -> Iterator[None]:
    """Nobody has pyst2 print here; and pprint loads dataclasses, inspect and ast, for which calls would wait."""
    if "pprint" in sys.modules:
        yield
        return
    sys.modules["pprint"] = SimpleNamespace(pformat=repr)  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pprint"]


with _without_pprint():
    from asterisk.agi import AGI as AGI
    from asterisk.agi import AGIAppError as AGIAppError
    from asterisk.agi import AGIDBError as AGIDBError
    from asterisk.agi import AGIError as AGIError
    from asterisk.agi import AGIHangup as AGIHangup
    from asterisk.agi import AGIInvalidCommand as AGIInvalidCommand
    from asterisk.agi import AGIResultHangup as AGIResultHangup
    from asterisk.agi import AGISIGPIPEHangup as AGISIGPIPEHangup
    from asterisk.agi import AGIUnknownError as AGIUnknownError
    from asterisk.agi import AGIUsageError as AGIUsageError


class UnfitCommand(AGIError):  # type: ignore[misc]
    """The command would not be one whole line to Asterisk; nothing was sent."""


class DeadChannel(AGIAppError):  # type: ignore[misc]
    """511: the command is not permitted on a channel that has been hung up."""
