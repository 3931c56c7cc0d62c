"""`check` and the installer's own check find what the service finds within its unit's limits."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd_machine import SystemdMachine, installed_machine

SETTINGS = "/etc/callsign/callsign.toml"
KEY = "/home/keys/mor.key"
MOR = f'[mor]\nurl = "https://mor.example"\nuser = "admin"\nkey_file = "{KEY}"\n'
STORE = '[outbox]\npath = "/srv/callsign/outbox.db"\n'


@pytest.fixture(scope="module")
def machine(systemd_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    """With callsign installed; a key and a store lie where the users may go, but not within the unit's limits."""
    with installed_machine(systemd_root, tmp_path_factory.mktemp("machine")) as one:
        make = (
            f"mkdir -p {Path(KEY).parent} && echo the-key-of-mor >{KEY}"
            f" && chown callsign:asterisk {KEY} && chmod 640 {KEY}"
            " && install -d -m 2770 -o callsign -g callsign /srv/callsign && setfacl -m u:asterisk:rwx /srv/callsign"
        )
        assert one.run(["sh", "-c", make]).returncode == 0
        yield one


@pytest.fixture(autouse=True)
def settings(machine: SystemdMachine) -> Iterator[Path]:
    """The settings file, which is afterwards as it was."""
    file = machine.path(SETTINGS)
    text = file.read_text()
    yield file
    file.write_text(text)


def check(machine: SystemdMachine, *before: str) -> subprocess.CompletedProcess[str]:
    return machine.run([*before, "callsign", "check"])


def test_what_was_installed_is_good_to_all_who_need_it(machine: SystemdMachine) -> None:
    done = check(machine)
    assert (done.returncode, done.stdout.count("warning:")) == (0, 1), done.stdout
    assert "no vendor has a section" in done.stdout


def test_a_key_below_home_is_a_fault_though_its_mode_lets_the_user_read_it(
    machine: SystemdMachine, settings: Path
) -> None:
    settings.write_text(MOR)
    assert machine.run(["runuser", "-u", "callsign", "--", "cat", KEY]).returncode == 0
    done = check(machine)
    assert done.returncode == 2
    fault = f"as the user callsign (the service): {SETTINGS}: [mor] key_file: {KEY} cannot be read: "
    assert any(line.startswith(fault) for line in done.stdout.splitlines()), done.stdout
    assert "asterisk (the plain script)" not in done.stdout


def test_who_is_not_root_is_warned_by_the_lists_of_the_unit(machine: SystemdMachine, settings: Path) -> None:
    settings.write_text(MOR + STORE)
    done = check(machine, "runuser", "-u", "asterisk", "--")
    warnings = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert warnings == [
        f"warning: {KEY}: callsign.service keeps /home out of the service's sight: let it lie elsewhere",
        "warning: [outbox] path: callsign.service lets the service write below /var/lib/callsign only;"
        " systemctl edit callsign: [Service], ReadWritePaths=/srv/callsign",
    ]


def test_settings_that_only_somebody_tries_out_are_not_the_services(machine: SystemdMachine) -> None:
    other = machine.path("/home/keys/other.toml")
    other.write_text(MOR)
    other.chmod(0o600)
    done = machine.run(["callsign", "check", "--config", "/home/keys/other.toml"])
    assert (done.returncode, "warning" in done.stdout) == (0, False), done.stdout


def test_an_upgrade_that_the_unit_keeps_from_its_key_leaves_what_runs(machine: SystemdMachine, settings: Path) -> None:
    package = machine.path("/usr/src/callsign/agi/callsign/__init__.py")
    package.write_text(package.read_text() + "\n")
    settings.write_text(MOR)
    before = machine.show("callsign", "MainPID")
    refused = machine.install()
    assert refused.returncode == 1
    assert f"[mor] key_file: {KEY} cannot be read" in refused.stdout
    assert machine.show("callsign", "MainPID") == before


def test_a_ca_file_in_roots_home_is_a_fault(machine: SystemdMachine, settings: Path) -> None:
    machine.path("/root/ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    url = '[noojee]\nurl = "https://pbx.example/servicemanager/rest"\nkey = "the-key-of-noojee"\n'
    settings.write_text(f'{url}verify = "/root/ca.pem"\n')
    done = check(machine)
    assert done.returncode == 2
    assert "[noojee] verify: /root/ca.pem cannot be read" in done.stdout
    assert "/root/ca.pem: callsign.service keeps /root out of the service's sight" in done.stdout


def test_a_store_elsewhere_is_a_fault_until_a_drop_in_lets_the_service_write_there(
    machine: SystemdMachine, settings: Path
) -> None:
    settings.write_text(STORE)
    refused = check(machine)
    assert refused.returncode == 2
    assert (
        "as the user callsign (the service): [outbox] path: this user cannot write to /srv/callsign" in refused.stdout
    )
    assert "ReadWritePaths=/srv/callsign" in refused.stdout
    drop_in = machine.path("/etc/systemd/system/callsign.service.d/store.conf")
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nReadWritePaths=/srv/callsign\n")
    assert machine.run(["systemctl", "daemon-reload"]).returncode == 0
    done = check(machine)
    assert done.returncode == 0, done.stdout
    assert "/srv" not in done.stdout
    assert machine.run(["systemctl", "restart", "callsign"]).returncode == 0
    assert machine.path("/srv/callsign/outbox.db").exists()
