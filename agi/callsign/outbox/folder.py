"""The store's folder: made as the installer makes it, and made again as it was when somebody removes it."""

from __future__ import annotations

import errno
import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

MODE = 0o2770
"""Owner and group, whose files belong to the folder's group; what it holds is nothing for others."""

ACLS = ("system.posix_acl_access", "system.posix_acl_default")

log = logging.getLogger("callsign.outbox")


class StoreFolder:
    """A folder, and how it was when it was seen last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: os.stat_result | None = None
        self._acls: dict[str, bytes] = {}

    def note_owner(self) -> None:
        """Notes owner, mode and ACL.  Raises OSError."""
        self._seen = os.stat(self.path)
        self._acls = {}
        for name in ACLS:
            with suppress(OSError):  # it has none, or this file system knows none
                self._acls[name] = os.getxattr(self.path, name)

    def make(self) -> None:
        """Makes it if it is not there, with its parents.  Raises OSError."""
        if self.path.is_dir():
            return
        missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
        for parent in reversed(missing[1:]):
            with suppress(FileExistsError):
                os.mkdir(parent, 0o755)
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:  # another process was quicker
            return
        self._set_owner()
        if self._seen is not None:
            log.error("the store's folder %s was removed while in use and is made again", self.path)

    def _set_owner(self) -> None:
        """As far as this user may: what fails here is better than no store."""
        seen = self._seen
        mode = stat.S_IMODE(seen.st_mode) if seen is not None else MODE
        if seen is not None:
            with suppress(PermissionError):
                os.chown(self.path, seen.st_uid, seen.st_gid)
        try:
            os.chmod(self.path, mode)
        except OSError as fault:  # systemd's RestrictSUIDSGID forbids the set-group-id bit
            if fault.errno != errno.EPERM:
                raise
            os.chmod(self.path, mode & ~stat.S_ISGID)
        for name, acl in self._acls.items():
            with suppress(OSError):
                os.setxattr(self.path, name, acl)
