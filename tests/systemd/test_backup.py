"""`callsign help backup`, followed to the letter: what waited is there again, and a later version's store is no end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from product import PROJECT
from systemd_machine import SystemdMachine, installed_machine
from waiting import wait_until

TEXT = (PROJECT / "agi/callsign/commands/help/backup.txt").read_text("utf-8")
STORE = "/var/lib/callsign/outbox.db"
AWAY = '[skarabee]\nurl = "http://127.0.0.1:1/"\nbusinessid = "8103"\nkey = "office-key"\n'
LATER = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA user_version = 99')"


def commands_of(heading: str) -> str:
    """The commands of a section, as the shell of somebody who is root already takes them."""
    section = re.split(r"^[A-Z ]+\n", TEXT.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return "\n".join(re.findall(r"^    (\S.*)", section, re.MULTILINE)).replace("sudo ", "")


@pytest.fixture(scope="module")
def machine(systemd_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    """With callsign installed, and a vendor that is away."""
    with installed_machine(systemd_root, tmp_path_factory.mktemp("machine")) as one:
        one.path("/etc/callsign/callsign.toml").write_text(AWAY)
        assert one.run(["systemctl", "restart", "callsign"]).returncode == 0
        yield one


def follow(machine: SystemdMachine, heading: str) -> None:
    done = machine.run(["sh", "-exc", f"cd /root\n{commands_of(heading)}"])
    assert done.returncode == 0, done.stdout


def states(machine: SystemdMachine) -> list[str]:
    return [job["state"] for job in json.loads(machine.run(["callsign", "jobs", "--json"]).stdout)]


def test_a_store_is_saved_and_put_back_also_after_a_later_version_has_had_it(machine: SystemdMachine) -> None:
    command = ["callsign", "call", "skarabee", "phoneto=056528998", "--callerid", "056528999"]
    assert "SKARABEESTATUS=QUEUED" in machine.run(command).stdout
    follow(machine, "WHAT TO SAVE")
    assert machine.path("/root/store.db").stat().st_mode & 0o077 == 0
    machine.run(["systemctl", "stop", "callsign"])
    done = machine.run(["/opt/callsign/venv/bin/python", "-c", LATER, STORE])
    assert done.returncode == 0, done.stdout
    machine.run(["systemctl", "start", "callsign"])
    wait_until(lambda: any("it was made by a later callsign" in line for line in machine.journal("callsign")))
    follow(machine, "TO PUT A STORE BACK")
    assert states(machine) == ["waiting"]
    assert "SKARABEESTATUS=QUEUED" in machine.run(command).stdout
    assert states(machine) == ["waiting", "waiting"]


def test_the_topics_are_installed_and_anybody_may_read_them(machine: SystemdMachine) -> None:
    assert machine.run(["runuser", "-u", "nobody", "--", "callsign", "help", "backup"]).stdout == TEXT
