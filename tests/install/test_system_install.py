"""`sudo ./install.sh` on whole machines: a first time, again, as an upgrade, and taken away, file by file."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from machine import PARTS, PYTHON, SOURCE, WHEELS, Machine, steps
from pbx_layouts import LAYOUTS, Layout
from trees import changed, new, tree
from waiting import wait_until

CALLER, CALLED = "056528999", "056528998"
SETTINGS = "/etc/callsign/callsign.toml"
SECTION = '[skarabee]\nurl = "http://127.0.0.1:1/api/"\nbusinessid = "8103"\nkey = "the-key-of-8103"\n'
DIALPLAN = "dialplan/extensions_callsign.conf"
INCLUDE = "#tryinclude extensions_callsign.conf\n"
ACCOUNTS = {"/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"}
UNAVAILABLE = os.environ.get("CALLSIGN_ASTERISK_22") == "unavailable"


class Pbx:
    """A machine with its Asterisk running: what it was, what was planned, and what the installation left."""

    def __init__(self, machine: Machine, layout: Layout) -> None:
        self.machine, self.layout = machine, layout
        machine.add_systemd()
        layout.lay_out(machine)
        self.before = tree(machine.folder)
        self.planned = self.install("--dry-run")
        self.after_plan = tree(machine.folder)
        self.start_asterisk()
        self.told = self.install()
        self.after = tree(machine.folder)
        self.warnings = self.asterisk_warnings()

    def install(self, *options: str) -> list[str]:
        done = self.machine.install(*options)
        assert done.returncode == 0, done.stdout
        return done.stdout.splitlines()

    def start_asterisk(self) -> None:
        """As FreePBX's safe_asterisk and Debian's unit start it: with -G it gives up all further groups."""
        quiet = "asterisk -U asterisk -G asterisk >/dev/null 2>&1 </dev/null"
        assert self.machine.run(["sh", "-c", quiet]).returncode == 0
        wait_until(lambda: "fully booted" in self.asterisk("core waitfullybooted"))

    def asterisk(self, command: str) -> str:
        return self.machine.run(["asterisk", "-rx", command]).stdout

    def asterisk_warnings(self) -> list[str]:
        log = self.machine.path("/var/log/asterisk/full").read_text()
        return [line for line in log.splitlines() if re.search(r"\] (WARNING|ERROR)\[", line)]

    def jobs(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self.callsign("jobs", "--json"))
        return found

    def callsign(self, *words: str) -> str:
        return self.machine.run(["callsign", *words]).stdout

    def service(self) -> int:
        return int(self.machine.path("/run/callsign.pid").read_text())


def root_of(version: str) -> Path:
    name = f"CALLSIGN_ASTERISK_{version}"
    given = os.environ.get(name, "")
    if not given:
        pytest.fail(f"{name} names no Asterisk root: tests/run gets one on Debian; --fast leaves these tests out")
    return Path(given).resolve()


@pytest.fixture(scope="module", params=[n for n in LAYOUTS if not (UNAVAILABLE and LAYOUTS[n].asterisk == "22")])
def pbx(request: pytest.FixtureRequest) -> Iterator[Pbx]:
    layout = LAYOUTS[request.param]
    with Machine(root_of(layout.asterisk)) as machine:
        yield Pbx(machine, layout)


# The tests stand in the order of a machine's life.


def test_a_dry_run_changes_nothing_and_says_all_that_is_then_done(pbx: Pbx) -> None:
    assert changed(pbx.before, pbx.after_plan) == set()
    assert new(pbx.before, pbx.after_plan) == {}
    reload = '  asterisk -rx "dialplan reload"'  # Asterisk runs only by now
    assert [*steps(pbx.planned), reload] == steps(pbx.told)


def test_every_file_is_where_it_belongs_with_its_owner_and_mode(pbx: Pbx) -> None:
    found = new(pbx.before, pbx.after)
    inside = {path: looks for path, looks in found.items() if path.startswith("/opt/callsign/")}
    store = {path: looks for path, looks in found.items() if path.startswith("/var/lib/callsign/")}
    assert {path: looks for path, looks in found.items() if path not in inside and path not in store} == {
        "/opt/callsign": "755 root:root",
        "/usr/local/bin/callsign": "755 root:root",
        "/usr/local/bin/agi-debug": "755 root:root",
        f"{pbx.layout.agi_bin}/callsign.agi": f"755 {pbx.layout.agi_bin_owner}",
        "/etc/callsign": "750 root:callsign",
        "/etc/callsign/callsign.d": "2750 root:callsign",
        "/etc/callsign/callsign.toml": "640 root:callsign",
        "/var/lib/callsign": "2770 callsign:callsign",
        "/etc/systemd/system/callsign.service": "644 root:root",
        "/etc/systemd/system/multi-user.target.wants/callsign.service": "777 root:root",
        "/etc/asterisk/extensions_callsign.conf": pbx.after[pbx.layout.entry][0],
    }
    assert set(store.values()) == {"660 callsign:callsign"}
    assert {looks for path, looks in inside.items() if pbx.after[path][1][:4] != "link"} == {
        "755 root:root",
        "644 root:root",
    }
    assert changed(pbx.before, pbx.after) == {*ACCOUNTS, pbx.layout.entry}


def test_opt_holds_what_runs_and_what_takes_it_away(pbx: Pbx) -> None:
    home, source = pbx.machine.path("/opt/callsign"), pbx.machine.path(SOURCE)
    assert {path.name for path in home.iterdir()} == {*PARTS, "venv"}
    for part in PARTS:
        here = {path.relative_to(source): path.read_bytes() for path in (source / part).rglob("*") if path.is_file()}
        there = {path.relative_to(home): path for path in (home / part).rglob("*") if path.is_file()}
        compiled = [path for path in there if path.suffix == ".pyc"]
        assert {path: file.read_bytes() for path, file in there.items() if path not in compiled} == here
        modules = [path for path in here if path.suffix == ".py"]
        assert len(compiled) == len(modules), "the service may not write there: a start would compile each time"
    assert not list(home.glob("venv/**/pip")), "pip has done its work"
    text = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file() and path.name != "install.sh")
    assert b"venv.new" not in text
    assert b"agi.new" not in text


def test_the_line_stands_once_at_the_top_and_the_rest_is_as_it_was(pbx: Pbx) -> None:
    entry = pbx.machine.path(pbx.layout.entry)
    text = entry.read_text()
    assert text.startswith(INCLUDE)
    assert text.count("extensions_callsign.conf") == 1
    assert pbx.after[pbx.layout.entry][0] == pbx.before[pbx.layout.entry][0]


def test_a_line_of_an_earlier_version_becomes_one_that_drops_nothing_where_the_file_is_missing(pbx: Pbx) -> None:
    entry = pbx.machine.path(pbx.layout.entry)
    text = entry.read_text()
    entry.write_text(text.replace("#tryinclude", "#include"))
    assert f"  line  {INCLUDE.strip()}  in {pbx.layout.entry}, in place of #include" in pbx.install()
    assert entry.read_text() == text
    assert steps(pbx.install()) == ["  nothing, all is as it should be"]


def test_the_running_asterisk_has_the_contexts_and_no_word_against_them(pbx: Pbx) -> None:
    for context in ("callsign-skarabee", "callsign-noojee-start", "callsign-noojee-stop"):
        assert f"[ Context '{context}' created by 'pbx_config' ]" in pbx.asterisk(f"dialplan show {context}")
    assert [line for line in pbx.warnings if "callsign" in line or "extensions" in line] == []


def test_the_installer_says_what_it_found_what_it_did_and_what_comes_next(pbx: Pbx) -> None:
    assert pbx.told[0] == f"Asterisk: settings /etc/asterisk, agi-bin {pbx.layout.agi_bin}, runs as asterisk"
    assert ("FreePBX: " + pbx.layout.freepbx in pbx.told) == bool(pbx.layout.freepbx)
    assert "  CALLSIGNSTATUS=OK" in pbx.told
    steps_to_come = [line for line in pbx.told if re.match(r"  \d\.", line)]
    assert [line[:4] for line in steps_to_come] == ["  1.", "  2.", "  3."]
    assert ("callsign help freepbx" in steps_to_come[1]) == bool(pbx.layout.freepbx)


def test_the_service_runs_as_its_own_user_and_starts_with_the_machine(pbx: Pbx) -> None:
    log = pbx.machine.path("/run/systemctl.log").read_text().splitlines()
    done = [line for line in log if not line.startswith(("is-", "cat "))]
    assert done == ["daemon-reload", "enable --quiet callsign", "restart callsign"]
    owner = pbx.machine.run(["stat", "-c", "%U:%G", "/var/lib/callsign/outbox.db"]).stdout
    assert owner == "callsign:callsign\n"


def test_server_and_plain_script_share_settings_and_store_though_asterisk_gave_up_its_groups(pbx: Pbx) -> None:
    file = pbx.machine.path(SETTINGS)
    file.write_text(file.read_text() + SECTION)
    assert pbx.machine.run(["systemctl", "restart", "callsign"]).returncode == 0
    asked = ["agi-debug", "agi://127.0.0.1:4591/skarabee", "--callerid", CALLER, "--extension", CALLED]
    assert "SKARABEESTATUS=QUEUED" in pbx.machine.run(asked).stdout
    assert len(pbx.jobs()) == 1
    for step in (f"1,Set(CALLERID(num)={CALLER})", f'2,AGI,"callsign.agi,skarabee,,{CALLED}"'):
        pbx.asterisk(f"dialplan add extension 1,{step} into callsign-test")
    pbx.asterisk("channel originate Local/1@callsign-test application Wait 1")
    wait_until(lambda: len(pbx.jobs()) == 2)
    assert [job["state"] for job in pbx.jobs()] == ["waiting", "waiting"]
    for path in pbx.machine.path("/var/lib/callsign").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o660, path


def test_a_hang_up_does_not_end_the_plain_script_while_python_starts(pbx: Pbx) -> None:
    wrapper = pbx.machine.path(f"{pbx.layout.agi_bin}/callsign.agi").read_text()
    instead = wrapper.replace("exec ", "exec grep SigIgn /proc/self/status #", 1)
    ignored = subprocess.run(["sh", "-c", instead], capture_output=True, text=True, check=True).stdout.split()[1]
    assert int(ignored, 16) >> (signal.SIGHUP - 1) & 1


def test_others_on_the_machine_can_look_into_neither_settings_nor_store(pbx: Pbx) -> None:
    for path in (SETTINGS, "/var/lib/callsign/outbox.db", "/var/lib/callsign/"):
        asked = pbx.machine.run(["runuser", "-u", "nobody", "--", "ls", path])
        assert "Permission denied" in asked.stdout


def test_a_second_run_finds_nothing_to_do_also_after_freepbx_has_set_owners(pbx: Pbx) -> None:
    if pbx.layout.freepbx:
        pbx.layout.chown(pbx.machine)
    service, before = pbx.service(), tree(pbx.machine.folder)
    assert steps(pbx.install()) == ["  nothing, all is as it should be"]
    assert pbx.service() == service, "no reason to restart"
    after = tree(pbx.machine.folder)
    assert new(before, after) == {}
    assert {path for path in changed(before, after) if not path.startswith("/var/lib/callsign/")} == set()


def test_an_upgrade_keeps_settings_and_jobs_and_restarts_the_service(pbx: Pbx) -> None:
    package = pbx.machine.path(f"{SOURCE}/agi/callsign/__init__.py")
    text = package.read_text()
    settings, jobs, service = pbx.machine.path(SETTINGS).read_text(), pbx.jobs(), pbx.service()
    package.write_text(re.sub(r'__version__ = ".*"', '__version__ = "9.9.9"', text))
    (package.parent / "conf_of_the_new_version.py").write_text("")
    told = pbx.install()
    assert steps(told) == ["  code /opt/callsign/agi", "  systemctl restart callsign  (new code)"]
    assert "  CALLSIGNVERSION=9.9.9" in told
    assert pbx.service() != service
    was = pbx.machine.path("/opt/callsign/agi.old/callsign/__init__.py")
    assert was.read_text() == text, "a plain script that runs may still load from it"
    assert pbx.machine.path(SETTINGS).read_text() == settings
    assert [job["job"] for job in pbx.jobs()] == [job["job"] for job in jobs]
    (package.parent / "conf_of_the_new_version.py").unlink()
    package.write_text(text)
    pbx.install()
    assert not pbx.machine.path("/opt/callsign/agi/callsign/conf_of_the_new_version.py").exists()


def test_an_upgrade_with_another_lock_makes_another_environment(pbx: Pbx) -> None:
    lock = pbx.machine.path(f"{SOURCE}/agi/requirements.lock")
    text = lock.read_text()
    lock.write_text(f"{text}# another\n")
    told = steps(pbx.install())
    assert told[:2] == ["  environment /opt/callsign/venv", "  code /opt/callsign/agi"]
    assert told[2].startswith("  systemctl restart callsign ")
    lock.write_text(text)
    pbx.install()


def test_a_cluster_in_the_settings_brings_its_driver_with_the_next_run_and_without_it_none_is_there(pbx: Pbx) -> None:
    settings = pbx.machine.path(SETTINGS)
    text = settings.read_text()
    asked = ["/opt/callsign/venv/bin/python", "-c", "import psycopg; print(psycopg.pq.__impl__)"]
    assert "No module named 'psycopg'" in pbx.machine.run(asked).stdout
    other_environment = ["  environment /opt/callsign/venv", "  systemctl restart callsign  (new environment)"]
    settings.write_text(f'{text}\n[cluster]\ndatabase = "host=127.0.0.1 dbname=callsign user=callsign"\n')
    assert steps(pbx.install()) == other_environment
    assert pbx.machine.run(asked).stdout == "binary\n", "with its own libpq: the machine has none"
    assert steps(pbx.install()) == ["  nothing, all is as it should be"]
    settings.write_text(text)
    assert steps(pbx.install()) == other_environment


def test_a_package_that_is_not_the_one_of_the_lock_is_not_installed(pbx: Pbx) -> None:
    lock = pbx.machine.path(f"{SOURCE}/agi/requirements.lock")
    text = lock.read_text()
    lock.write_text(
        re.sub(r"(?<=^requests==)(.*)((?:\n    --hash.*)+)", rf"\1\n    --hash=sha256:{'0' * 64}", text, flags=re.M)
    )
    service = pbx.service()
    refused = pbx.machine.install()
    lock.write_text(text)
    assert refused.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in refused.stdout
    assert pbx.service() == service
    assert steps(pbx.install()) == ["  nothing, all is as it should be"]


def test_an_upgrade_that_the_settings_do_not_fit_leaves_all_as_it_runs(pbx: Pbx) -> None:
    package = pbx.machine.path(f"{SOURCE}/agi/callsign/__init__.py")
    text = package.read_text()
    settings = pbx.machine.path(SETTINGS).read_text()
    service = pbx.service()
    package.write_text(text + "\n")
    pbx.machine.path(SETTINGS).write_text(settings + "[skarabeee]\n")
    refused = pbx.machine.install()
    assert refused.returncode == 1
    assert f"{SETTINGS}: [skarabeee]: unknown section" in refused.stdout
    assert pbx.service() == service
    assert pbx.machine.path("/opt/callsign/agi/callsign/__init__.py").read_text() == text
    package.write_text(text)
    pbx.machine.path(SETTINGS).write_text(settings)
    assert not pbx.machine.path("/opt/callsign/agi.new").exists()


@contextmanager
def played(pbx: Pbx, program: str, does: str) -> Iterator[None]:
    """A program of the machine's does something else meanwhile."""
    file = pbx.machine.path(f"/usr/local/bin/{program}")
    file.write_text(f"#!/bin/sh\n{does}\n")
    file.chmod(0o755)
    yield
    file.unlink()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("program", ["systemctl", "asterisk"])
def test_what_a_run_that_was_cut_short_owes_is_done_by_the_next(pbx: Pbx, program: str, number: int) -> None:
    sources = [pbx.machine.path(f"{SOURCE}/{part}") for part in ("conf/callsign.service", DIALPLAN)]
    texts = [source.read_text() for source in sources]
    for source, text in zip(sources, texts, strict=True):
        source.write_text(f"{text}; another\n")
    in_tmp = set(pbx.machine.path("/tmp").iterdir())
    with played(pbx, program, f"kill -{int(number)} $PPID"):
        assert pbx.machine.install().returncode != 0
    if number == signal.SIGTERM:
        assert set(pbx.machine.path("/tmp").iterdir()) == in_tmp
    service = pbx.service()
    told = steps(pbx.install())
    assert told[:2] == ["  systemctl daemon-reload", "  systemctl restart callsign  (an earlier run was cut short)"]
    assert told[-1] == '  asterisk -rx "dialplan reload"'
    assert pbx.service() != service
    assert steps(pbx.install()) == ["  nothing, all is as it should be"]
    for source, text in zip(sources, texts, strict=True):
        source.write_text(text)
    pbx.install()


def test_two_at_once_do_not_mix(pbx: Pbx) -> None:
    before = tree(pbx.machine.folder)
    other = f"exec flock /opt/callsign {SOURCE}/install.sh {' '.join(WHEELS)}"
    done = pbx.machine.run(["sh", "-c", other], {"PYTHON": PYTHON})
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        1,
        "install.sh: another run of the installer is under way: wait for its end, and run this one again",
    )
    assert changed(before, tree(pbx.machine.folder)) <= {p for p in before if p.startswith("/var/lib/callsign/")}


def test_a_port_that_is_open_to_all_is_warned_of_at_each_run(pbx: Pbx) -> None:
    settings = pbx.machine.path(SETTINGS)
    text = settings.read_text()
    assert "[server] allow" not in "\n".join(pbx.install())
    opened = text.replace('listen = "127.0.0.1:4591"', 'listen = "0.0.0.0:4591"')
    settings.write_text(opened.replace('allow = ["127.0.0.1", "::1"]', 'allow = ["0.0.0.0/0"]'))
    told = pbx.install()
    settings.write_text(text)
    assert steps(told) == ["  nothing, all is as it should be"]
    assert sum("warning: [server] allow: whoever reaches 0.0.0.0 can do there" in line for line in told) == 1


def test_extensions_that_the_settings_do_not_know_are_warned_of_where_freepbx_is(pbx: Pbx) -> None:
    generated = pbx.machine.path("/etc/asterisk/extensions_additional.conf")
    text = generated.read_text() if pbx.layout.freepbx else ""
    generated.write_text("[ext-local]\nexten => 201,1,NoOp()\nexten => 1001,1,NoOp()\n")
    told = pbx.install()
    (generated.write_text(text) if pbx.layout.freepbx else generated.unlink())
    warned = [line.strip() for line in told if "[numbers] internal" in line]
    assert len(warned) == bool(pbx.layout.freepbx)
    for line in warned:
        assert "does not know 1 of FreePBX's numbers" in line
        assert line.endswith('suggests internal = ["2XX", "3XXX", "10XX"]')


def test_without_systemd_a_new_dialplan_waits_for_the_restart_of_the_server(pbx: Pbx) -> None:
    systemd = pbx.machine.path("/run/systemd/system")
    source = [pbx.machine.path(f"{SOURCE}/{name}") for name in ("agi/callsign/__init__.py", DIALPLAN)]
    texts = [file.read_text() for file in source]
    source[0].write_text(f"{texts[0]}\n")
    source[1].write_text(f"{texts[1]}\n[callsign-newer]\nexten => s,1,Return()\n")
    systemd.rename(f"{systemd}.away")
    told = "\n".join(pbx.install())
    Path(f"{systemd}.away").rename(systemd)
    known = pbx.asterisk("dialplan show callsign-newer")
    for file, text in zip(source, texts, strict=True):
        file.write_text(text)
    assert "The server that runs now goes on with the old code: end it, and start it again." in told
    assert 'Then: asterisk -rx "dialplan reload".  Not before' in told
    assert "There is no existence of 'callsign-newer' context" in known
    assert "; then start the server, anew if it runs" in told.partition("Next:")[2]
    assert '  asterisk -rx "dialplan reload"' in pbx.install(), "with systemd the server is restarted before"


@pytest.mark.parametrize("folder", ["", "/usr/local/bin:"])
def test_where_sudo_does_not_look_for_the_commands_it_is_said(pbx: Pbx, folder: str) -> None:
    sudo = pbx.machine.path("/usr/local/sbin/sudo")
    sudo.parent.mkdir(exist_ok=True)
    sudo.write_text(f'#!/bin/sh\nshift\nexec env PATH="{folder}/usr/sbin:/usr/bin:/sbin:/bin" "$@"\n')
    sudo.chmod(0o755)
    path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON": PYTHON}
    told = pbx.machine.run([f"{SOURCE}/install.sh", *WHEELS], path)
    sudo.unlink()
    assert told.returncode == 0, told.stdout
    assert ("write sudo /usr/local/bin/callsign, or add" in told.stdout) == (not folder)


def test_it_is_not_taken_away_while_the_dialplan_calls_it(pbx: Pbx) -> None:
    entry = pbx.machine.path(pbx.layout.entry)
    text = entry.read_text()
    entry.write_text(text + "\n[mine]\nexten => s,1,Gosub(callsign-skarabee,s,1)\n; Gosub(callsign-noojee-start,s,1)\n")
    before = tree(pbx.machine.folder)
    refused = pbx.machine.install("--uninstall")
    assert refused.returncode == 1
    line = text.count("\n") + 3
    assert f"{pbx.layout.entry}:{line}" in refused.stdout
    assert f"{pbx.layout.entry}:{line + 1}" not in refused.stdout, "a comment calls nobody"
    assert ("Apply Config" in refused.stdout) == bool(pbx.layout.freepbx), "what FreePBX writes nobody can edit"
    assert changed(before, tree(pbx.machine.folder)) <= {p for p in before if p.startswith("/var/lib/callsign/")}
    entry.write_text(text)


def test_taken_away_it_leaves_settings_and_jobs_and_then_no_trace(pbx: Pbx) -> None:
    planned = pbx.install("--uninstall", "--dry-run")
    uninstall = pbx.machine.run(["/opt/callsign/install.sh", "--uninstall"])  # also without the checkout
    assert uninstall.returncode == 0, uninstall.stdout
    assert steps(uninstall.stdout.splitlines()) == steps(planned)
    assert "From where you installed, ./install.sh --uninstall --purge\ntakes them too." in uninstall.stdout
    left = new(pbx.before, tree(pbx.machine.folder))
    assert {path for path in left if not path.startswith("/var/lib/callsign/")} == {
        *("/etc/callsign", "/etc/callsign/callsign.d", SETTINGS, "/var/lib/callsign")
    }
    assert "/var/lib/callsign/outbox.db" in left
    assert "There is no existence of 'callsign-skarabee' context" in pbx.asterisk("dialplan show callsign-skarabee")
    used = "userdel: user callsign is currently used by process 7"
    with played(pbx, "userdel", f"echo {used}; exit 8"):
        refused = pbx.machine.install("--uninstall", "--purge")
    assert refused.returncode == 1
    assert f"install.sh: the user callsign cannot be removed: {used}" in refused.stdout
    pbx.install("--uninstall", "--purge")
    gone = tree(pbx.machine.folder)
    assert new(pbx.before, gone) == {}
    assert changed(pbx.before, gone) == set()
    assert steps(pbx.install("--uninstall", "--purge")) == ["  nothing, it is not installed"]
