"""pyst2 as a session takes it: its `AGI` and its errors, to which two are added.  Nobody else imports asterisk."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

_STAND_INS = {"pprint": SimpleNamespace(pformat=repr), "six": SimpleNamespace(PY3=True)}
"""Nobody has pyst2 print here, and this is Python 3; the true ones load inspect, ast and more, for which calls wait."""


@contextmanager
def _without_what_takes_long() -> Iterator[None]:
    put = {name: _STAND_INS[name] for name in _STAND_INS if name not in sys.modules}
    sys.modules.update(put)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in put:
            del sys.modules[name]


with _without_what_takes_long():
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
