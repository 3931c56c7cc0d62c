"""`callsign status` where the settings that lie there are not those that run: it says so, and still answers."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from callsign.record import fields
from callsign.sandbox.asterisk.call import Call
from callsign.sandbox.asterisk.play import run_fastagi
from callsign.sandbox.vendors.sandbox import Sandbox
from callsign.settings.sections import OutboxSection
from callsign.settings.sections import Server as ServerSection
from command_line import callsign_text as run
from product import ACCOUNTS, Product, looks_old, vendor_sections
from waiting import wait_until

NOT_THOSE = "are not those that it runs with: systemctl reload callsign"


@contextmanager
def with_a_call(folder: Path) -> Iterator[Product]:
    """A server that has had one."""
    with Sandbox(accounts=ACCOUNTS) as box, Product(folder, vendor_sections(box)) as running:
        running.run_with(vendor_sections(box))
        run_fastagi(f"{running.url}/skarabee?wait=10", Call(callerid="056528999", extension="056528998"))
        wait_until(lambda: "delivered 1" in status(running)[1])  # the call has its status before that is written
        yield running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Product]:
    with with_a_call(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with with_a_call(tmp_path_factory.mktemp("standing")) as running:
        yield running


@pytest.fixture
def server(standing: Product) -> Iterator[Product]:
    """One for all that change nothing but files; behind each it has read those again that it began with."""
    good = standing.settings.read_text()
    yield standing
    shutil.rmtree(standing.folder / "callsign.d", ignore_errors=True)
    change(standing.settings, good, 0)
    reload(standing)


def reload(server: Product) -> None:
    """SIGHUP, and waits until it has been obeyed: no later test's file is read by it."""
    before = len(server.log)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any("read again" in line for line in server.log[before:]))


def status(server: Product) -> tuple[int, str]:
    done = run("status", "--config", str(server.settings))
    assert done.stderr == ""
    return done.returncode, done.stdout


def change(file: Path, text: str, at: int) -> None:
    file.write_text(text)
    os.utime(file, (at, at))


def test_settings_that_were_changed_since_are_told_until_they_are_read(server: Product) -> None:
    assert NOT_THOSE not in status(server)[1]
    change(server.settings, server.settings.read_text() + "# changed\n", 1)
    code, shown = status(server)
    assert (code, NOT_THOSE in shown) == (0, True)
    assert "skarabee: waiting 0, delivered 1" in shown
    assert json.loads(run("status", "--json", "--config", str(server.settings)).stdout)["settings_differ"] is True
    reload(server)
    wait_until(lambda: NOT_THOSE not in status(server)[1])


def test_for_nagios_they_are_a_warning_as_faulty_ones_are(own_server: Product) -> None:
    check = ("status", "--check", "--config", str(own_server.settings))
    assert run(*check).returncode == 0
    good = own_server.settings.read_text()
    for text, words in (("# changed\n", NOT_THOSE), ("[nojee]\n", "[nojee]")):
        change(own_server.settings, good + text, 1)
        told = run(*check)
        assert (told.returncode, told.stdout.count("\n"), words in told.stdout) == (1, 1, True)
        assert "'waiting'=0;" in told.stdout
    assert own_server.stop() == 0
    told = run(*check)
    assert told.returncode == 2
    assert "does not run" in told.stdout
    assert "[nojee]" in told.stdout


def test_a_further_file_and_a_key_file_count_too(server: Product) -> None:
    (server.folder / "callsign.d").mkdir()
    tenant = server.folder / "callsign.d" / "antwerp.toml"
    key = server.folder / "antwerp.key"
    for file in (tenant, key):
        file.touch(mode=0o600)
    change(key, "one-key", 1)
    change(tenant, f'[noojee.antwerp]\nurl = "http://127.0.0.1:1/rest"\nkey_file = "{key}"\n', 1)
    assert NOT_THOSE in status(server)[1]
    reload(server)
    wait_until(lambda: NOT_THOSE not in status(server)[1])
    change(key, "two-key", 2)
    assert NOT_THOSE in status(server)[1]


@pytest.mark.parametrize("text", ["[nojee]\n", "[noojee\n"])
def test_faulty_settings_are_named_and_what_runs_is_told_all_the_same(
    text: str, server: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = server.settings.read_text()
    change(server.settings, good + text, 1)
    if text == "[noojee\n":  # not even where server and store are can be read: those by default are meant
        monkeypatch.setattr(fields(ServerSection)["listen"], "default", ("127.0.0.1", server.port))
        monkeypatch.setattr(fields(OutboxSection)["path"], "default", server.store)
    code, shown = status(server)
    assert code == 2
    assert f"server at 127.0.0.1:{server.port}: running" in shown
    assert "the settings cannot be used; the server goes on with those that it has read:\n" in shown
    assert f"    {server.settings}: " in shown
    assert "skarabee: waiting 0, delivered 1" in shown


@pytest.mark.parametrize("section", ["server", "outbox"])
def test_a_fault_beside_where_server_and_store_are_hides_neither(section: str, server: Product) -> None:
    text = server.settings.read_text().replace(f"[{section}]\n", f"[{section}]\nkeep_dys = 7\n")
    change(server.settings, text, 1)
    code, shown = status(server)
    assert code == 2
    assert f"server at 127.0.0.1:{server.port}: running" in shown
    assert "skarabee: waiting 0, delivered 1" in shown
    assert "is not there" not in shown


def test_server_and_store_are_found_where_the_folder_names_them(server: Product) -> None:
    base, _, rest = server.settings.read_text().partition("[numbers]")
    (server.folder / "callsign.d").mkdir()
    for name, text in (("a-torn", "[mor\n"), ("b-base", base)):
        file = server.folder / "callsign.d" / f"{name}.toml"
        file.touch(mode=0o600)
        change(file, text, 1)
    change(server.settings, f"[numbers]{rest}[nojee]\n", 1)
    code, shown = status(server)
    assert code == 2
    assert f"server at 127.0.0.1:{server.port}: running" in shown
    assert "skarabee: waiting 0, delivered 1" in shown


def test_a_server_that_does_not_run_goes_on_with_nothing(own_server: Product) -> None:
    assert own_server.stop() == 0
    change(own_server.settings, own_server.settings.read_text() + "[nojee]\n", 1)
    code, shown = status(own_server)
    assert code == 2
    assert "NOT RUNNING" in shown
    assert "the settings cannot be used:\n" in shown
    looks_old(own_server.settings)


def test_a_store_that_cannot_be_read_either_is_told_in_a_line(own_server: Product, tmp_path: Path) -> None:
    change(own_server.settings, own_server.settings.read_text() + "[nojee]\n", 1)
    for file in tmp_path.glob("outbox.db*"):
        file.rename(tmp_path / f"away-{file.name}")
    (tmp_path / "outbox.db").mkdir()
    code, shown = status(own_server)
    assert code == 2
    assert "running, version" in shown
    assert "cannot be read" in shown
