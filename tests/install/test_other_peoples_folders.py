"""Root in folders of others: no link that was put there leads it anywhere; who needs the settings can read them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine import Machine
from pbx_layouts import LAYOUTS, write

SETTINGS = "/etc/callsign/callsign.toml"
STORE = "/var/lib/callsign"
ACL = "system.posix_acl_access"
SECRET = "root's own\n"


class Victim:
    """A file that only root may read, and what it was like."""

    def __init__(self, machine: Machine, name: str, text: str = SECRET) -> None:
        self.inside = f"/root/{name}"
        self.file, self._text = machine.path(self.inside), text
        write(machine, self.inside, text)
        self.file.chmod(0o600)

    @property
    def is_untouched(self) -> bool:
        seen = self.file.stat()
        looks = (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode), os.listxattr(self.file))
        return looks == (0, 0, 0o600, []) and self.file.read_text() == self._text


LINKS = {
    "agi": "/var/lib/asterisk/agi-bin/callsign.agi.new",
    "dialplan": "/etc/asterisk/extensions_callsign.conf.new",
    "entry": "/etc/asterisk/extensions_custom.conf.new",
    "store": f"{STORE}/link",
}
NAMES = {"hard": f"{STORE}/name"}
"""Hard links, where the kernel does not protect them (fs.protected_hardlinks)."""


@pytest.fixture(scope="module")
def victims() -> dict[str, Victim]:
    return {}


@pytest.fixture(scope="module")
def machine(asterisk_root: tuple[Path, str], victims: dict[str, Victim]) -> Iterator[Machine]:
    """A FreePBX, all of it Asterisk's user's; that one has laid links before root comes to install."""
    with Machine(asterisk_root[0]) as one:
        LAYOUTS["freepbx-15" if asterisk_root[1] == "16" else "freepbx-17"].lay_out(one)
        one.add_systemd()
        one.path(STORE).mkdir()
        write(one, f"{STORE}/older.db", "his own")
        for name, link in LINKS.items():
            victims[name] = Victim(one, name)
            one.path(link).symlink_to(victims[name].inside)
        for name, link in NAMES.items():
            victims[name] = Victim(one, name)
            one.path(link).hardlink_to(victims[name].file)
        own = f"chown -h asterisk:asterisk {STORE} {STORE}/older.db {' '.join(LINKS.values())}"
        assert one.run(["sh", "-c", own]).returncode == 0
        done = one.install()
        assert done.returncode == 0, done.stdout
        yield one


def owner(machine: Machine, path: str) -> str:
    return machine.run(["stat", "-c", "%U:%G %a %F", path]).stdout.strip()


def test_no_link_of_asterisks_user_led_the_installer_anywhere(machine: Machine, victims: dict[str, Victim]) -> None:
    assert {name: victim.is_untouched for name, victim in victims.items()} == dict.fromkeys(victims, True)


def test_all_was_installed_in_spite_of_the_links(machine: Machine) -> None:
    for path, mode in (("/var/lib/asterisk/agi-bin/callsign.agi", "755"), (LINKS["dialplan"][:-4], "640")):
        assert owner(machine, path) == f"asterisk:asterisk {mode} regular file"
    assert machine.path(LINKS["entry"][:-4]).read_text().startswith("#tryinclude extensions_callsign.conf\n")


def test_a_store_that_was_somebodys_is_the_services_with_what_was_his_alone(machine: Machine) -> None:
    assert owner(machine, STORE) == "callsign:callsign 2770 directory"
    assert owner(machine, f"{STORE}/older.db").startswith("callsign:callsign ")
    for link in (LINKS["store"], *NAMES.values()):
        machine.path(link).unlink()


def test_an_entry_file_that_is_a_link_is_left_to_who_made_it(machine: Machine) -> None:
    entry = machine.path("/etc/asterisk/extensions_custom.conf")
    entry.rename(machine.path("/root/custom.conf"))
    entry.symlink_to("/root/custom.conf")
    real = machine.path("/root/custom.conf")
    text = real.read_text()
    told = machine.install("--uninstall")
    assert told.returncode == 1
    assert "/etc/asterisk/extensions_custom.conf:1" in told.stdout
    real.write_text("[mine]\n")
    told = machine.install()
    assert "/etc/asterisk/extensions_custom.conf is a link" in told.stdout
    assert real.read_text() == "[mine]\n"
    entry.unlink()
    real.rename(entry)
    entry.write_text(text)


def test_root_changes_nothing_of_its_own_in_the_services_folder(machine: Machine) -> None:
    victim = Victim(machine, "restored.db")
    there = machine.path(f"{STORE}/restored.db")
    victim.file.rename(there)
    victim.file = there
    os.removexattr(machine.path(STORE), ACL)
    told = machine.install().stdout
    assert "  callsign and asterisk may use /var/lib/callsign" in told.splitlines()
    assert victim.is_untouched
    assert ACL in os.listxattr(machine.path(STORE))
    there.unlink()


def test_settings_that_asterisks_user_cannot_read_are_a_fault_that_the_installer_mends(machine: Machine) -> None:
    os.removexattr(machine.path(SETTINGS), ACL)
    machine.path(SETTINGS).chmod(0o640)
    refused = machine.run(["callsign", "check"])
    reason = f"{SETTINGS}: cannot be read: Permission denied; take sudo, or let this user read it"
    assert refused.returncode == 2
    assert f"as the user asterisk (the plain script): {reason}" in refused.stdout.splitlines()
    assert "the user callsign" not in refused.stdout
    assert mended(machine)


def test_settings_that_only_root_can_read_are_a_fault_that_the_installer_mends(machine: Machine) -> None:
    new = Path(f"{machine.path(SETTINGS)}.mine")
    new.write_bytes(machine.path(SETTINGS).read_bytes())
    new.chmod(0o600)
    new.rename(machine.path(SETTINGS))
    refused = machine.run(["callsign", "check", "--json"])
    told = json.loads(refused.stdout)
    assert (refused.returncode, told["ok"]) == (2, False)
    for user in ("callsign (the service)", "asterisk (the plain script)"):
        assert any(line.startswith(f"as the user {user}: {SETTINGS}: cannot be read") for line in told["faults"])
    assert mended(machine)


def test_a_file_of_the_settings_folder_that_only_root_can_read_is_a_fault_that_the_installer_mends(
    machine: Machine,
) -> None:
    name = "/etc/callsign/callsign.d/antwerp.toml"
    tenant = machine.path(name)
    tenant.write_text('[noojee.antwerp]\nurl = "https://pbx.example/rest"\nkey = "k"\n')
    tenant.chmod(0o600)
    os.chown(tenant, 0, 0)
    os.removexattr(tenant, ACL)
    try:
        refused = machine.run(["callsign", "check", "--json"])
        told = json.loads(refused.stdout)
        assert (refused.returncode, told["ok"]) == (2, False)
        for user in ("callsign (the service)", "asterisk (the plain script)"):
            assert any(line.startswith(f"as the user {user}: {name}: cannot be read") for line in told["faults"])
        assert mended(machine, "/etc/callsign/callsign.d")
        assert json.loads(machine.run(["callsign", "check", "--json"]).stdout)["accounts"] == ["noojee.antwerp"]
    finally:
        tenant.unlink()


def mended(machine: Machine, folder: str = "/etc/callsign") -> bool:
    """The installer says what it does, `check` is content, and a second run finds nothing to do."""
    done = machine.install()
    assert f"  callsign and asterisk may read {folder}" in done.stdout.splitlines(), done.stdout
    check = machine.run(["callsign", "check"])
    assert check.returncode == 0, check.stdout
    return "nothing, all is as it should be" in machine.install().stdout


def test_links_in_the_settings_folder_are_left_out_when_the_rest_is_mended(machine: Machine) -> None:
    symbolic, hard = Victim(machine, "linked.toml"), Victim(machine, "named.toml")
    link, name = machine.path("/etc/callsign/linked"), machine.path("/etc/callsign/named")
    link.symlink_to(symbolic.inside)
    name.hardlink_to(hard.file)
    os.removexattr(machine.path(SETTINGS), ACL)
    assert mended(machine)
    assert symbolic.is_untouched
    assert hard.is_untouched
    link.unlink()
    name.unlink()


def test_a_key_that_the_service_cannot_read_keeps_an_upgrade_from_what_runs(machine: Machine) -> None:
    settings = machine.path(SETTINGS)
    text = settings.read_text()
    write(machine, "/srv/mor.key", "the-key-of-mor")
    machine.path("/srv/mor.key").chmod(0o600)
    settings.write_text(f'{text}\n[mor]\nurl = "https://mor.example"\nuser = "admin"\nkey_file = "/srv/mor.key"\n')
    package = machine.path("/usr/src/callsign/agi/callsign/__init__.py")
    package.write_text(package.read_text() + "\n")
    refused = machine.install()
    settings.write_text(text)
    assert refused.returncode == 1
    assert "as the user callsign (the service): " in refused.stdout
    assert "[mor] key_file: /srv/mor.key cannot be read: Permission denied" in refused.stdout
    assert machine.install().returncode == 0


def test_a_command_of_roots_works_in_the_store_as_its_owner(machine: Machine) -> None:
    assert machine.run(["systemctl", "stop", "callsign"]).returncode == 0
    victim = Victim(machine, "empty", "")
    for file in machine.path(STORE).iterdir():
        file.unlink()
    machine.path(f"{STORE}/outbox.db").symlink_to(victim.inside)
    refused = machine.run(["callsign", "retry", "1"])
    assert refused.returncode == 1, refused.stdout
    assert victim.is_untouched
    machine.path(f"{STORE}/outbox.db").unlink()
    machine.run(["callsign", "call", "skarabee", "--callerid", "056528999", "--extension", "056528998"])
    made = list(machine.path(STORE).iterdir())
    assert made
    for file in made:
        assert owner(machine, f"{STORE}/{file.name}").startswith("callsign:callsign "), file
