"""The server without Asterisk, the PBX without Python, and TLS between them, as `help another-host` says."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine import PYTHON, SOURCE, Machine, steps
from pbx_layouts import LAYOUTS
from product import PROJECT
from trees import changed, new, tree
from waiting import wait_until

RECIPE = (PROJECT / "agi/callsign/commands/help/another-host.txt").read_text()
SETTINGS = "/etc/callsign/callsign.toml"
SECTION = '\n[skarabee]\nurl = "http://127.0.0.1:1/api/"\nbusinessid = "8103"\nkey = "the-key-of-8103"\n'
SERVER, PBX = "127.0.0.2", "127.0.0.1"  # all of 127/8 is loopback's
DIALPLAN = """[incoming]
exten => _X.,1,Set(CALLERID(num)=056528999)
 same => n,Gosub(callsign-skarabee,s,1)
 same => n,Set(GLOBAL(OUTCOME)=${SKARABEESTATUS})
 same => n,Set(GLOBAL(REASON)=${SKARABEEREASON})
"""


GIVEN = "In [globals] of extensions.conf (FreePBX: globals_custom.conf, without the line [globals]):"
TRY = "To try it, a context of your own in extensions.conf (FreePBX: extensions_custom.conf):"


def block(before: str) -> str:
    """What the recipe says to write: the indented lines behind the line that ends so."""
    found = re.search(rf"{re.escape(before)}\n\n((?:    .*\n)+)", RECIPE)
    assert found, f"the recipe has no block behind {before!r}"
    return re.sub("(?m)^    ", "", found[1])


Tunnel = list[subprocess.Popen[bytes]]


class Pair:
    """The two machines on one loopback: `server` has systemd and no Asterisk, `pbx` an Asterisk and no Python."""

    def __init__(self, server: Machine, pbx: Machine, asterisk: str) -> None:
        self.server, self.pbx = server, pbx
        server.add_systemd()
        self.server_before = tree(server.folder)
        self.server_planned = steps(installed(server, "--server", "--dry-run"))
        assert tree(server.folder) == self.server_before, "a dry run changes nothing"
        self.server_told = installed(server, "--server")
        settings = server.path(SETTINGS)
        settings.write_text(settings.read_text() + SECTION)
        assert server.run(["systemctl", "restart", "callsign"]).returncode == 0
        LAYOUTS[f"asterisk-{asterisk}"].lay_out(pbx)
        for python in (*pbx.path("/usr/bin").glob("python3*"), pbx.path("/opt/python3")):
            shutil.rmtree(python) if python.is_dir() else python.unlink()
        self.pbx_before = tree(pbx.folder)
        self.pbx_planned = steps(installed(pbx, "--dialplan", "--dry-run"))
        assert tree(pbx.folder) == self.pbx_before, "a dry run changes nothing"
        self.pbx_told = installed(pbx, "--dialplan")
        self.pbx_after = tree(pbx.folder)

    def listens_on(self, address: str) -> None:
        settings = self.server.path(SETTINGS)
        text = re.sub('(?m)^listen = "[^"]*"', f'listen = "{address}:4591"', settings.read_text())
        settings.write_text(re.sub(r"(?m)^allow = \[.*?\]", f'allow = ["{PBX}", "{SERVER}"]', text))
        assert self.server.run(["systemctl", "restart", "callsign"]).returncode == 0

    def has_globals(self, given: str) -> None:
        """The PBX's dialplan: the installer's line, these globals, and what the tests call."""
        entry = self.pbx.path("/etc/asterisk/extensions.conf")
        first = entry.read_text().partition("\n")[0]
        assert first == "#tryinclude extensions_callsign.conf"
        entry.write_text(f"{first}\n[globals]\n{given}\n{DIALPLAN}{block(TRY)}")
        self.asterisk("dialplan reload")

    def outcome_of_a_call(self, number: str) -> str:
        """The status that it gets."""
        self.asterisk("dialplan set global OUTCOME none")
        self.asterisk(f"channel originate Local/{number}@incoming/n application Wait 0")
        wait_until(lambda: self.value_of("OUTCOME") != "none")
        return self.value_of("OUTCOME")

    def value_of(self, name: str) -> str:
        (value,) = re.findall(rf"(?m)^ *{name}=(.*)$", self.asterisk("dialplan show globals"))
        return str(value)

    def asterisk(self, command: str) -> str:
        return self.pbx.run(["asterisk", "-rx", command]).stdout

    def start_stunnel(self, conf: Path, address: str) -> subprocess.Popen[bytes]:
        """This machine's own program, on the two machines' network; it listens by then."""
        log = conf.with_suffix(".log")
        with open(log, "wb") as output:
            process = subprocess.Popen([*self.pbx.network, "stunnel", str(conf)], stderr=output)
        connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])))"
        asked = [PYTHON, "-c", connect, *address.split(":")]
        wait_until(lambda: self.server.run(asked).returncode == 0)
        return process

    def jobs(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self.server.run(["callsign", "jobs", "--json"]).stdout)
        return found


def installed(machine: Machine, *options: str) -> list[str]:
    done = machine.install(*options)
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def pair(asterisk_root: tuple[Path, str]) -> Iterator[Pair]:
    without_asterisk = os.environ.get("CALLSIGN_SYSTEMD", "")
    if not without_asterisk:
        pytest.fail("CALLSIGN_SYSTEMD names no root: tests/run gets one on Debian; --fast leaves these tests out")
    with Machine(Path(without_asterisk).resolve()) as server, Machine(asterisk_root[0], beside=server) as pbx:
        both = Pair(server, pbx, asterisk_root[1])
        assert pbx.run(["sh", "-c", "asterisk -vvv -U asterisk >/dev/null 2>&1 </dev/null"]).returncode == 0
        wait_until(lambda: "fully booted" in both.asterisk("core waitfullybooted"))
        yield both


@pytest.fixture
def tunnel(pair: Pair, tmp_path: Path) -> Iterator[Tunnel]:
    """Both ends of the recipe's stunnel, the server's first."""
    secret = tmp_path / "callsign.psk"
    secret.write_text(f"pbx1:{secrets.token_hex(32)}\n")
    secret.chmod(0o600)
    ends: Tunnel = []
    for where, address in (("On the server", f"{SERVER}:4592"), ("On the PBX", f"{PBX}:4591")):
        text = block(f"{where}, /etc/stunnel/callsign.conf:").replace("/etc/stunnel/callsign.psk", str(secret))
        # Both machines share one loopback here: the server's own is 127.0.0.2.
        text = text.replace("192.0.2.5", SERVER).replace("connect = 127.0.0.1:4591", f"connect = {SERVER}:4591")
        conf = tmp_path / f"{len(ends)}.conf"
        conf.write_text(text)
        ends.append(pair.start_stunnel(conf, address))
    yield ends
    for end in ends:
        end.kill()
        end.wait()


# The tests stand in the order of the machines' life.


def test_a_server_has_all_but_dialplan_file_and_plain_script(pair: Pair) -> None:
    found = new(pair.server_before, tree(pair.server.folder))
    outside = {p for p in found if not p.startswith(("/opt/callsign/", "/var/lib/callsign/"))}
    assert outside == {
        *("/opt/callsign", "/usr/local/bin/callsign", "/usr/local/bin/agi-debug", "/etc/callsign", SETTINGS),
        *("/etc/callsign/callsign.d", "/var/lib/callsign", "/etc/systemd/system/callsign.service"),
        "/etc/systemd/system/multi-user.target.wants/callsign.service",
    }
    assert "  CALLSIGNSTATUS=OK" in pair.server_told
    assert "help another-host" in "\n".join(pair.server_told)
    assert "asterisk" not in "\n".join(line for line in pair.server_told if "install.sh" not in line).lower()
    checked = pair.server.run(["callsign", "check"])
    assert checked.returncode == 0, checked.stdout


def test_a_pbx_without_python_has_the_dialplan_file_and_its_line_alone(pair: Pair) -> None:
    found = new(pair.pbx_before, pair.pbx_after)
    assert {path for path in found if not path.startswith("/opt/callsign/")} == {
        *("/opt/callsign", "/etc/asterisk/extensions_callsign.conf"),
    }
    assert changed(pair.pbx_before, pair.pbx_after) == {"/etc/asterisk/extensions.conf"}
    assert {path.name for path in pair.pbx.path("/opt/callsign").iterdir()} == {"dialplan", "README.md", "install.sh"}
    assert pair.pbx.run(["python3", "--version"]).returncode == 127


def test_a_pbx_is_told_what_to_put_into_globals(pair: Pair) -> None:
    told = "\n".join(pair.pbx_told)
    assert "[globals] of extensions.conf" in told
    assert "CALLSIGN_AGI=agi://A.B.C.D:4591\n" in told
    assert "CALLSIGN_FALLBACK=no\n" in told


def test_a_dry_run_says_all_that_is_then_done(pair: Pair) -> None:
    assert pair.server_planned == steps(pair.server_told)
    assert pair.pbx_planned == steps(pair.pbx_told)


def test_a_second_run_of_each_finds_nothing_to_do(pair: Pair) -> None:
    assert steps(installed(pair.server, "--server")) == ["  nothing, all is as it should be"]
    assert steps(installed(pair.pbx, "--dialplan")) == ["  nothing, all is as it should be"]


def test_a_call_of_the_pbx_is_stored_on_the_server(pair: Pair) -> None:
    pair.listens_on(SERVER)
    pair.has_globals(block(GIVEN).replace(PBX, SERVER))
    assert pair.outcome_of_a_call("056528998") == "QUEUED"
    assert [job["state"] for job in pair.jobs()] == ["waiting"]


def test_through_stunnel_the_recipes_call_and_a_notification_arrive(pair: Pair, tunnel: Tunnel) -> None:
    pair.has_globals(block(GIVEN))
    pair.asterisk("channel originate Local/s@try-callsign application Wait 1")
    log = pair.pbx.path("/var/log/asterisk/full")
    wait_until(lambda: re.search(r"callsign [\d.]+: OK", log.read_text()) is not None)
    before = len(pair.jobs())
    assert pair.outcome_of_a_call("056528997") == "QUEUED"
    assert len(pair.jobs()) == before + 1


def test_where_the_tunnels_other_end_hangs_or_is_gone_the_call_goes_on(pair: Pair, tunnel: Tunnel) -> None:
    pair.has_globals(block(GIVEN))
    tunnel[0].send_signal(signal.SIGSTOP)
    assert pair.outcome_of_a_call("056528996") == "ERROR"
    assert pair.value_of("REASON") == "callsign did not answer: does its server run?"
    tunnel[0].kill()
    tunnel[0].wait()
    assert pair.outcome_of_a_call("056528996") == "ERROR"


def test_nobody_comes_through_the_tunnel_without_the_secret(pair: Pair, tunnel: Tunnel, tmp_path: Path) -> None:
    pair.has_globals(block(GIVEN))
    other = tmp_path / "other.psk"
    other.write_text(f"pbx1:{'0' * 64}\n")
    other.chmod(0o600)
    (conf,) = tmp_path.glob("1.conf")
    conf.write_text(re.sub("(?m)^PSKsecrets.*", f"PSKsecrets = {other}", conf.read_text()))
    tunnel[1].send_signal(signal.SIGTERM)
    tunnel[1].wait()
    tunnel[1] = pair.start_stunnel(conf, f"{PBX}:4591")
    assert pair.outcome_of_a_call("056528995") == "ERROR"


def test_each_refuses_the_other_half(pair: Pair) -> None:
    refused = pair.pbx.install("--server")
    assert refused.returncode == 1
    assert "--server is for a machine without Asterisk" in refused.stdout
    refused = pair.pbx.install()
    assert refused.returncode == 1
    assert "the dialplan alone is installed here, for a server on another machine" in refused.stdout
    for options in (["--dialplan"], ["--dialplan", "--uninstall"]):
        refused = pair.server.install(*options)
        assert refused.returncode == 1
        assert "the server is installed here" in refused.stdout


def test_an_upgrade_of_the_pbx_names_the_server_that_comes_first(pair: Pair) -> None:
    source = pair.pbx.path(f"{SOURCE}/dialplan/extensions_callsign.conf")
    text = source.read_text()
    source.write_text(f"{text}\n; newer\n")
    told = "\n".join(installed(pair.pbx, "--dialplan"))
    source.write_text(text)
    installed(pair.pbx, "--dialplan")
    assert "The server is to be upgraded first" in told
    assert "The server is to be upgraded first" not in "\n".join(pair.pbx_told)


def test_without_systemd_a_server_that_runs_is_told_of_and_must_end_first(pair: Pair) -> None:
    systemd = pair.server.path("/run/systemd/system")
    systemd.rename(f"{systemd}.away")
    package = pair.server.path(f"{SOURCE}/agi/callsign/__init__.py")
    package.write_text(f"{package.read_text()}\n")
    told = "\n".join(installed(pair.server, "--server"))
    refused = [pair.server.install("--uninstall", *purge) for purge in ([], ["--purge"])]
    Path(f"{systemd}.away").rename(systemd)
    assert "The server that runs now goes on with the old code" in told
    assert "systemctl" not in told.partition("Next:")[2]
    for done in refused:
        assert done.returncode == 1
        assert "the server runs still, and there is no systemd to end it" in done.stdout


def test_a_pbx_keeps_it_while_its_globals_lead_to_the_server(pair: Pair) -> None:
    refused = pair.pbx.install("--uninstall")
    assert refused.returncode == 1
    assert "the dialplan still calls callsign" in refused.stdout


def test_taken_away_nothing_is_left_on_either(pair: Pair) -> None:
    entry = pair.pbx.path("/etc/asterisk/extensions.conf")
    entry.write_text("#tryinclude extensions_callsign.conf\n")
    for machine, half in ((pair.pbx, "--dialplan"), (pair.server, "--server")):
        planned = steps(installed(machine, half, "--uninstall", "--purge", "--dry-run"))
        done = machine.run(["/opt/callsign/install.sh", "--uninstall", "--purge"])
        assert done.returncode == 0, done.stdout
        assert steps(done.stdout.splitlines()) == planned
    assert new(pair.pbx_before, tree(pair.pbx.folder)) == {}
    server = tree(pair.server.folder)
    assert new(pair.server_before, server) == {}
    assert changed(pair.server_before, server) == set()
