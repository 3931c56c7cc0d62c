"""Store, folder or disk fail beneath the whole server: calls go on, nothing is promised that is not stored."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

import product as product_module
from callsign.outbox import schema as sql
from callsign.outbox.aside import found_aside
from callsign.outbox.watch import OTHERS_SECONDS
from callsign.sandbox.asterisk.behaviour import Conduct, Session
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.messages import Trouble
from load import Vendors, assert_sound
from product import Product, vendor_sections
from store_play import LONG_SECONDS, in_the_wal_alone
from waiting import wait_until

pytestmark = pytest.mark.faults

REFUSED_SECONDS = 1.0 + 0.5
"""The patience with the store, that with a commit which has begun, and what a busy machine takes."""

HANG_SECONDS = 1.0 + 5.0
LOCKED_SECONDS = 3.0
CONDUCT = Conduct(timeout_seconds=LONG_SECONDS)

RIGHTS_BIND = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
if os.geteuid() == 0:  # as root one writes where nobody may: the program below may not
    assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) == 0
os.execv(sys.executable, [sys.executable, {command!r}, *sys.argv[1:]])
"""


@pytest.fixture
def box() -> Iterator[Vendors]:
    with Vendors() as running:
        running.trouble = {"skarabee": Trouble(http_status=503)}
        yield running


@pytest.fixture
def product(tmp_path: Path, box: Vendors) -> Iterator[Product]:
    with start(tmp_path, box) as running:
        yield running


def start(folder: Path, box: Vendors, store: Path | None = None) -> Product:
    return Product(folder, vendor_sections(box, numbers='format = "asis"'), store=store)


class Calls:
    """Calls to one server, each with a number of its own; what they were promised."""

    def __init__(self, product: Product, first: int = 1) -> None:
        self._product = product
        self._number = first - 1
        self.promised: set[str] = set()
        self.refused: set[str] = set()

    def place(self) -> Session:
        """One call, which goes on whatever happens; QUEUED or ERROR."""
        self._number += 1
        caller = f"0470{self._number:06}"
        call = Call(callerid=caller, extension="056528998", uniqueid=f"1700000000.{self._number}")
        session = run_fastagi(f"{self._product.url}/skarabee", call, conduct=CONDUCT)
        assert session.status == "SUCCESS", session
        stored = session.variables["SKARABEESTATUS"] == "QUEUED"
        assert stored or session.variables["SKARABEESTATUS"] == "ERROR", session
        assert stored is bool(session.variables["SKARABEEJOB"])
        assert stored or str(self._product.store) in session.variables["SKARABEEREASON"]
        (self.promised if stored else self.refused).add(f"skarabee {caller}")
        return session

    def is_stored(self) -> bool:
        return self.place().variables["SKARABEESTATUS"] == "QUEUED"

    def are_refused(self) -> None:
        """Several, and in time."""
        sessions = [self.place() for _ in range(3)]
        assert {session.variables["SKARABEESTATUS"] for session in sessions} == {"ERROR"}
        assert min(session.seconds for session in sessions) < REFUSED_SECONDS
        assert max(session.seconds for session in sessions) < HANG_SECONDS

    def arrive(self, box: Vendors) -> None:
        """All that was promised, once, and nothing that was refused."""
        box.trouble = {}
        box.wait_for_all(self.promised)
        assert not self.refused & set(box.taken)
        assert box.repeats == 0


def wait_for_help(product: Product) -> None:
    """The log names the store, and where to mend."""
    product.wait_log(lambda line: line.startswith("ERROR") and str(product.store) in line and "[outbox] path" in line)


def assert_holds(product: Product, calls: Calls) -> None:
    """The store has all that was promised and nothing that was refused; the server is down by now."""
    assert_sound(product.store)
    with closing(sqlite3.connect(product.store)) as db:
        rows = db.execute("SELECT facts FROM job UNION ALL SELECT facts FROM ended").fetchall()
    assert {f"skarabee {json.loads(facts)['phonefrom']}" for (facts,) in rows} == calls.promised


# -- while it runs ----------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_calls_delivers_what_waits_and_is_forgotten_when_there_is_room(
    product: Product, box: Vendors
) -> None:
    calls = Calls(product)
    assert calls.is_stored()
    hard = resource.prlimit(product.process.pid, resource.RLIMIT_FSIZE)[1]

    def leave_room_for(size: int) -> None:
        resource.prlimit(product.process.pid, resource.RLIMIT_FSIZE, (size, hard))

    leave_room_for(300_000)
    wait_until(lambda: not calls.is_stored())  # the last commit did not fit whole
    leave_room_for(4096)
    calls.are_refused()
    wait_for_help(product)
    calls.arrive(box)
    leave_room_for(hard)
    wait_until(calls.is_stored)
    product.wait_log(lambda line: "works again" in line)
    calls.arrive(box)
    assert product.stop() == 0
    assert_holds(product, calls)
    product.start()
    assert Calls(product, 900_000).is_stored()
    assert box.wait_for(lambda seen: seen[-1].query["phonefrom"] == "0470900000", LONG_SECONDS)
    assert box.repeats == 0, "what was delivered while the disk was full was written down later"


@contextmanager
def file_locked(store: Path) -> Iterator[None]:
    with store.with_name("outbox.db.lock").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def database_locked(store: Path) -> Iterator[None]:
    with closing(sqlite3.connect(store, isolation_level=None, timeout=LONG_SECONDS)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


@pytest.mark.parametrize("locked", [file_locked, database_locked])
def test_a_store_that_another_process_locks_for_three_seconds_refuses_calls_for_as_long(
    product: Product, box: Vendors, locked: Callable[[Path], AbstractContextManager[None]]
) -> None:
    calls = Calls(product)
    assert calls.is_stored()
    assert box.wait_for(bool, LONG_SECONDS)  # the deliverer has it: to find it, it would need the lock
    with locked(product.store):
        began = time.monotonic()
        while time.monotonic() < began + LOCKED_SECONDS:
            calls.are_refused()
        product.wait_log(lambda line: f"the store {product.store} did not answer" in line and "[outbox] path" in line)
        calls.arrive(box)
    wait_until(calls.is_stored)
    calls.arrive(box)
    assert product.stop() == 0
    assert_holds(product, calls)


def spoil(store: Path) -> None:
    with store.open("r+b") as file:
        file.write(b"\xff" * 100)


def test_a_store_whose_header_is_overwritten_loses_no_promise_and_is_set_aside_at_the_next_start(
    product: Product, box: Vendors
) -> None:
    calls = Calls(product)
    assert calls.is_stored()
    wait_until(lambda: product.store.stat().st_size > 4096)  # tidied up: SQLite need not write the header soon
    spoil(product.store)
    for _ in range(5):
        calls.place()
    calls.arrive(box)
    assert product.stop() == 0
    spoil(product.store)  # also if SQLite has just written the header anew
    product.start()
    assert calls.is_stored()
    (kept,) = found_aside(product.store)
    product.wait_log(lambda line: line.startswith("ERROR") and str(kept) in line)
    calls.arrive(box)


def _remove(*endings: str) -> Callable[[Path], None]:
    return lambda store: [store.with_name(store.name + ending).unlink() for ending in endings] and None


DEEDS = {
    "the WAL is removed": _remove("-wal"),
    "the WAL is emptied": lambda store: os.truncate(f"{store}-wal", 0),
    "the database is removed": _remove(""),
    "all is removed": lambda store: [file.unlink() for file in store.parent.glob("outbox.db*")] and None,
    "the folder is removed": lambda store: shutil.rmtree(store.parent),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
def test_whatever_is_done_to_the_files_while_the_vendor_is_away_all_arrives_though_the_server_is_killed(
    tmp_path: Path, box: Vendors, deed: Callable[[Path], None]
) -> None:
    (tmp_path / "store").mkdir()
    with start(tmp_path, box, tmp_path / "store" / "outbox.db") as product:
        calls = Calls(product)
        assert calls.is_stored()
        with in_the_wal_alone(product.store):
            for _ in range(30):
                assert calls.is_stored()
            deed(product.store)
            time.sleep(OTHERS_SECONDS)
            for _ in range(10):
                assert calls.is_stored()
            product.wait_log(lambda line: line.startswith("ERROR") and "while in use" in line)
            product.wait_log(lambda line: line.startswith("WARNING") and "is a new one" in line)  # and committed
            product.kill()
        product.start()
        box.trouble = {}
        box.wait_for_all(calls.promised)


# -- found at a start ---------------------------------------------------------------------------------------------


def set_version(store: Path, version: int) -> None:
    with closing(sqlite3.connect(store)) as db:
        db.execute(f"PRAGMA user_version = {version}")


@contextmanager
def of_a_later_callsign(store: Path) -> Iterator[None]:
    set_version(store, len(sql.STEPS) + 1)
    yield
    set_version(store, len(sql.STEPS))


@contextmanager
def in_a_read_only_folder(store: Path) -> Iterator[None]:
    files = [path for path in store.parent.iterdir() if path.is_file()]
    for path in files:
        path.chmod(0o400)
    store.parent.chmod(0o500)
    try:
        yield
    finally:
        store.parent.chmod(0o700)
        for path in files:
            path.chmod(0o600)


@pytest.mark.parametrize("unusable", [of_a_later_callsign, in_a_read_only_folder])
def test_a_server_that_finds_its_store_unusable_serves_all_the_same_and_delivers_what_waits_there_once_it_is_mended(
    product: Product,
    box: Vendors,
    unusable: Callable[[Path], AbstractContextManager[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = Calls(product)
    assert calls.is_stored()
    assert product.stop() == 0
    launcher = product.folder / "launcher.py"
    launcher.write_text(RIGHTS_BIND.format(command=str(product_module.COMMAND)), encoding="utf-8")
    monkeypatch.setattr(product_module, "COMMAND", launcher)
    box.trouble = {}
    before = len(box.seen)
    with unusable(product.store):
        untouched = product.store.read_bytes()
        product.start()
        calls.are_refused()
        wait_for_help(product)
        assert product.store.read_bytes() == untouched
    assert len(box.seen) == before
    wait_until(calls.is_stored)
    product.wait_log(lambda line: "works again" in line)
    calls.arrive(box)
    assert product.stop() == 0
    assert_holds(product, calls)


# -- of an older callsign -----------------------------------------------------------------------------------------

SCHEMA_1 = """
    CREATE TABLE job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        system TEXT NOT NULL, action TEXT NOT NULL, call TEXT NOT NULL, facts TEXT NOT NULL,
        at REAL NOT NULL, lifetime REAL NOT NULL,
        boot TEXT NOT NULL, steady_deadline REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, next_try REAL, reason TEXT NOT NULL DEFAULT ''
    );
    INSERT INTO sqlite_sequence (name, seq) VALUES ('job', 0);
    CREATE TABLE ended (
        id INTEGER PRIMARY KEY,
        system TEXT NOT NULL, action TEXT NOT NULL, call TEXT NOT NULL, facts TEXT NOT NULL,
        at REAL NOT NULL, attempts INTEGER NOT NULL,
        state TEXT NOT NULL, ended REAL NOT NULL, reason TEXT NOT NULL
    );
    CREATE TABLE once (job INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, at REAL NOT NULL);
    CREATE TABLE life (
        job INTEGER NOT NULL, line INTEGER NOT NULL, at REAL NOT NULL,
        event TEXT NOT NULL, milliseconds REAL, reason TEXT NOT NULL,
        PRIMARY KEY (job, line)
    ) WITHOUT ROWID;
    PRAGMA journal_mode = WAL;
    PRAGMA application_id = 1234567;
    PRAGMA user_version = 1;
"""
FACTS = '{{"businessid": "8103", "phoneto": "056528998", "phonefrom": "{}"}}'


def fill_schema_1(store: Path) -> None:
    """Job 7 has failed, job 8 waits for its second try."""
    now = time.time()
    facts = {7: FACTS.format("0470800007"), 8: FACTS.format("0470800008")}
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        db.executescript(SCHEMA_1)
        db.execute(
            "INSERT INTO ended VALUES (7, 'skarabee', 'skarabee', 'call-7', ?, ?, 1, 'refused', ?, 'HASH_MISMATCH')",
            (facts[7], now, now),
        )
        db.execute("INSERT INTO life VALUES (7, 1, ?, 'refused', 12.5, 'HASH_MISMATCH')", (now,))
        db.execute(
            "INSERT INTO job VALUES (8, 'skarabee', 'skarabee', 'call-8', ?, ?, 840, '', 0, 1, ?, 'HTTP 503')",
            (facts[8], now, now),
        )


def test_a_store_of_schema_1_is_carried_over_and_what_waits_in_it_is_delivered(tmp_path: Path, box: Vendors) -> None:
    fill_schema_1(tmp_path / "outbox.db")
    box.trouble = {}
    with start(tmp_path, box) as product:
        calls = Calls(product)
        assert calls.place().variables["SKARABEEJOB"] == "9"
        calls.promised.add("skarabee 0470800008")
        calls.arrive(box)
        assert product.stop() == 0
        calls.promised.add("skarabee 0470800007")
        assert_holds(product, calls)
        with closing(sqlite3.connect(product.store)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (len(sql.STEPS),)
            ended = db.execute("SELECT id, state, reason FROM ended ORDER BY id").fetchall()
            lives = db.execute("SELECT job, event FROM life ORDER BY job, line").fetchall()
    assert ended == [(7, "refused", "HASH_MISMATCH"), (8, "delivered", ""), (9, "delivered", "")]
    assert lives == [(7, "refused"), (8, "delivered"), (9, "delivered")]


def test_an_empty_file_becomes_a_store(tmp_path: Path, box: Vendors) -> None:
    (tmp_path / "outbox.db").touch()
    with start(tmp_path, box) as product:
        calls = Calls(product)
        assert calls.is_stored()
        calls.arrive(box)
