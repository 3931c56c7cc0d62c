"""The settings or the store, for the service and for Asterisk's user: `python -I - look|grant settings|store USER`.

install.sh runs it in the folder, as whoever may put names there, so that no link leads root elsewhere.  Every file gets
the folder's group, and USER an ACL entry, since an Asterisk that was started with -G (FreePBX, Debian 13) has given up
all further groups.  Only regular files of one name, this user's own.  `look` ends with 0 if nothing is missing.
Imports nothing of callsign and is read from standard input: the service's user may not see where this file lies.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
import struct
import sys
from collections.abc import Iterator

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
OWNER, USER, GROUP, MASK, OTHERS = 1, 2, 4, 16, 32  # linux/posix_acl.h
NOBODY = 0xFFFFFFFF
PERMISSIONS = {"settings": 5, "store": 7}  # of the folder; a file is not executed

Acl = dict[tuple[int, int], int]  # (tag, user or group) -> permissions


def opened(folder: int) -> Iterator[int]:
    """A descriptor of the folder, then of each file in it that belongs nowhere else and to this user."""
    yield folder
    for name in sorted(os.listdir(folder)):
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except OSError:  # a link, or somebody else's
            continue
        try:
            found = os.fstat(file)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and os.geteuid() in (0, found.st_uid):
                yield file
        finally:
            os.close(file)


def acl_of(file: int, kind: str) -> Acl:
    """What is kept there; without an ACL, what the mode says."""
    try:
        kept = os.getxattr(file, kind)
    except OSError as fault:
        if fault.errno != errno.ENODATA:
            raise
        mode = os.fstat(file).st_mode
        return {(OWNER, NOBODY): mode >> 6 & 7, (GROUP, NOBODY): mode >> 3 & 7, (OTHERS, NOBODY): mode & 7}
    return {(tag, who): allowed for tag, allowed, who in struct.iter_unpack("<HHI", kept[4:])}


def wanted(acl: Acl, allowed: int, user: int) -> Acl:
    """The same with `allowed` for the user and the group, and a mask that lets them have it."""
    group = acl[GROUP, NOBODY] | allowed
    mask = acl.get((MASK, NOBODY), group) | allowed
    return {**acl, (USER, user): acl.get((USER, user), 0) | allowed, (GROUP, NOBODY): group, (MASK, NOBODY): mask}


def mend_mode(file: int, group: int, allowed: int, do: bool) -> bool:
    """Whether it was `group`'s already, with what is `allowed`."""
    found = os.fstat(file)
    good = found.st_gid == group and found.st_mode >> 3 & allowed == allowed
    if do and not good:
        os.fchown(file, -1, group)
        os.fchmod(file, stat.S_IMODE(found.st_mode) | allowed << 3)
    return good


def mend_acl(file: int, kind: str, allowed: int, user: int, do: bool) -> bool:
    """Whether `user` was in it already.  Raises OSError with ENOTSUP where no ACL can be kept."""
    acl = acl_of(file, kind)
    mended = wanted(acl, allowed, user)
    if do and acl != mended:
        entries = b"".join(struct.pack("<HHI", tag, may, who) for (tag, who), may in sorted(mended.items()))
        os.setxattr(file, kind, struct.pack("<I", 2) + entries)
    return acl == mended


def main(verb: str, kind: str, name: str = "root") -> int:
    """The exit status."""
    do = verb == "grant"
    user = pwd.getpwnam(name).pw_uid  # root needs no entry
    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    group = os.fstat(folder).st_gid
    good = keeps_acl = True
    for file in opened(folder):
        is_folder = file == folder
        allowed = PERMISSIONS[kind] & (7 if is_folder else 6)
        good &= mend_mode(file, group, allowed, do)
        try:
            for which in (ACCESS, DEFAULT) if is_folder else (ACCESS,):
                good &= user == 0 or mend_acl(file, which, allowed, user, do)
        except OSError as fault:
            if fault.errno != errno.ENOTSUP:
                raise
            keeps_acl = False
    if do and not keeps_acl:
        print("  but no ACL can be kept there: the plain script fails where Asterisk drops its groups")
    return 0 if good or do else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
