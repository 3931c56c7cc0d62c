"""What install.sh runs to put a folder in another's place at one stroke: `python -I exchange.py ONE OTHER`.

Plain scripts that start meanwhile find one of them.  Ends with 1 where kernel or file system cannot do it.
"""

from __future__ import annotations

import ctypes
import os
import sys

HERE = -100  # AT_FDCWD
EXCHANGE = 2  # RENAME_EXCHANGE, renameat2(2)


def main(one: str, other: str) -> int:
    """The exit status."""
    rename = ctypes.CDLL(None).renameat2
    return int(rename(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) != 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
