"""Names a fault in callsign itself for the log."""

from __future__ import annotations

import traceback
from pathlib import Path


def where(fault: BaseException) -> str:
    """A fault's kind and place, without its text: that may hold a number."""
    frames = traceback.extract_tb(fault.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(fault).__name__}{place}"
