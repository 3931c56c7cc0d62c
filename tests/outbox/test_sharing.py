"""One store for several users of a group: what each makes is open to all of them, however it ends."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from store_play import OtherProcess

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")

GROUP, SERVER, SCRIPT = 23456, 23457, 23458

USES = """
import os, sys, tempfile
from pathlib import Path
from callsign.outbox.outbox import Outbox, OutboxError
from callsign.outbox.doorbell import Doorbell
from callsign.outbox.lock import FileLock
from callsign.outbox.reader import OutboxReader
from store_play import call_from

path, user, group = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with tempfile.TemporaryDirectory() as folder:  # loads all that it may not be allowed to read afterwards
    warm = Outbox(Path(folder) / "outbox.db")
    warm.add(call_from())
    warm.close()
os.umask(0o077)
os.setgroups([group])
os.setgid(user)
os.setuid(user)
if sys.argv[4] == "reads":
    print(len(OutboxReader(path).jobs()), flush=True)
else:
    FileLock(path.with_name("outbox.db.deliver")).try_now()
    bell = Doorbell(path, lambda: None)
    outbox = Outbox(path)
    try:
        print(outbox.add(call_from(), 30).job, flush=True)
    except OutboxError as fault:
        print(fault, flush=True)
sys.stdin.read()
if sys.argv[4] == "writes":
    outbox.close()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """The group's, as somebody makes it by hand: without the set-group-id bit."""
    made = Path(tempfile.mkdtemp(prefix="callsign-"))
    os.chown(made, SERVER, GROUP)
    made.chmod(0o770)
    yield made
    shutil.rmtree(made)


def test_what_a_script_of_another_user_leaves_behind_when_it_is_killed_is_open_to_the_server(folder: Path) -> None:
    path = folder / "outbox.db"
    for number, user in enumerate((SCRIPT, SERVER, SCRIPT), 1):
        with OtherProcess(USES, path, user, GROUP, "writes") as process:
            assert process.hear() == str(number)
            process.kill()
    for file in folder.iterdir():
        found = file.stat()
        assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (GROUP, 0o660), file.name
    assert {file.name for file in folder.iterdir()} > {"outbox.db-wal", "outbox.db-shm", "outbox.db.lock"}


def test_files_that_shut_the_server_out_are_named(folder: Path) -> None:
    path = folder / "outbox.db"
    with OtherProcess(USES, path, SCRIPT, GROUP, "writes") as process:
        process.hear()
        process.kill()
    path.with_name("outbox.db-wal").chmod(0o600)
    with OtherProcess(USES, path, SERVER, GROUP, "writes") as process:
        assert process.hear().endswith(f"unable to open database file: this user may not write to {path}-wal")


def test_a_reader_of_another_user_that_is_killed_shuts_nobody_out(folder: Path) -> None:
    path = folder / "outbox.db"
    with OtherProcess(USES, path, SERVER, GROUP, "writes") as process:
        assert process.hear() == "1"
        assert process.process.stdin is not None
        process.process.stdin.close()
        assert process.ended() == 0
    assert not path.with_name("outbox.db-wal").exists()
    with OtherProcess(USES, path, SCRIPT, GROUP, "reads") as process:
        assert process.hear() == "1"
        process.kill()
    with OtherProcess(USES, path, SERVER, GROUP, "writes") as process:
        assert process.hear() == "2"
