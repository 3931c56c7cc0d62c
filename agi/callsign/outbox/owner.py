"""Root does not work in the store: it becomes whose the folder is."""

from __future__ import annotations

import os
from pathlib import Path


def become_owner(store: Path) -> None:
    """From here on this process is the owner of the store's folder, if root started it and the folder is another's.

    Who owns a folder may put links there, which root would follow; and `sudo callsign jobs` must leave no file behind
    that keeps the server out of its own store.  Raises OSError where it cannot become that.
    """
    if os.geteuid() != 0:
        return
    try:
        folder = os.stat(store.parent)
    except OSError:  # root makes it, or hears that it cannot
        return
    if folder.st_uid != 0:
        os.setgroups([])
        os.setgid(folder.st_gid)
        os.setuid(folder.st_uid)
