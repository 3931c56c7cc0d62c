"""What the installer refuses before it changes anything, and why; a package's tree; a machine without systemd."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from machine import PYTHON, SOURCE, Machine
from pbx_layouts import LAYOUTS, write
from trees import changed, new, tree

SETTINGS = "/etc/callsign/callsign.toml"
AVAILABLE = ["16"] if os.environ.get("CALLSIGN_ASTERISK_22") == "unavailable" else ["16", "22"]


@pytest.fixture(scope="module")
def machine(asterisk_root: tuple[Path, str]) -> Iterator[Machine]:
    """A plain one for all tests here, which leave it as it was."""
    with Machine(asterisk_root[0]) as one:
        LAYOUTS[f"asterisk-{asterisk_root[1]}"].lay_out(one)
        yield one


@pytest.fixture(autouse=True)
def unchanged(machine: Machine) -> Iterator[None]:
    """Each test makes what is to be refused; the rest of the machine stays as it is."""
    before = tree(machine.folder)
    yield
    after = tree(machine.folder)
    assert new(before, after) == {}
    assert changed(before, after) == set()


def refused(machine: Machine, *options: str, python: str = PYTHON) -> str:
    done = machine.install(*options, python=python)
    assert done.returncode == 1, done.stdout
    assert "install.sh: " in done.stdout
    return done.stdout


Place = Callable[[str, str], None]


@pytest.fixture
def placed(machine: Machine, unchanged: None) -> Iterator[Place]:
    """Places files for one test: `placed(path, text)`; under /etc, /var and /usr/local only."""
    made: list[tuple[Path, bytes | None]] = []

    def place(path: str, text: str) -> None:
        file = machine.path(path)
        made.append((file, file.read_bytes() if file.exists() else None))
        folder = file.parent
        while not folder.exists():
            made.insert(0, (folder, None))
            folder = folder.parent
        write(machine, path, text)

    yield place
    for file, text in reversed(made):
        if text is not None:
            file.write_bytes(text)
        elif file.is_dir():
            file.rmdir()
        else:
            file.unlink()


def test_a_python_that_is_too_old_or_lacks_venv(machine: Machine, asterisk_root: tuple[Path, str]) -> None:
    told = refused(machine, python="")
    if asterisk_root[1] == "16":
        assert "The Python of debian 11 is too old: Python 3.9" in told
        assert "PYTHON=/path/to/python3" in told
        assert "another machine" in told
    else:
        assert "apt-get install python3-venv" in told


def test_a_python_of_freepbx_15_and_16_gets_the_same_answer(machine: Machine, asterisk_root: tuple[Path, str]) -> None:
    if asterisk_root[1] != "16":
        pytest.skip("its Python would do")
    link = machine.path("/etc/os-release")
    leads_to = link.readlink()
    link.unlink()  # what it leads to is a hard link to the root's
    link.write_text('ID="sangoma"\nVERSION_ID="7"\n')
    told = refused(machine, python="")
    link.unlink()
    link.symlink_to(leads_to)
    assert "The Python of sangoma 7 is too old" in told
    assert "another machine" in told


def test_a_python_that_is_none(machine: Machine) -> None:
    assert "PYTHON=/bin/true is no Python 3.10+" in refused(machine, python="/bin/true")


def test_a_python_in_a_home_folder(machine: Machine) -> None:
    home = machine.path("/root/python3")
    machine.path("/opt/python3").rename(home)
    told = refused(machine, python="/root/python3/bin/python3")
    home.rename(machine.path("/opt/python3"))
    assert "PYTHON=/root/python3/bin/python3 lies in a home folder" in told


@pytest.mark.parametrize("file", [SETTINGS, "/etc/callsign/callsign.d/server.toml"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_port_4573_on_freepbx(machine: Machine, placed: Place, quote: str, file: str) -> None:
    placed(file, f"[server]\nlisten = {quote}127.0.0.1:4573{quote}\n")
    assert machine.install("--dry-run").returncode == 0
    placed("/etc/freepbx.conf", "<?php\n")
    told = refused(machine)
    assert "FreePBX: of unknown version" in told
    assert f"{file}: [server] listen: port 4573 belongs to FreePBX's own FastAGI server" in told


def test_a_context_of_its_name_in_another_file(machine: Machine, placed: Place) -> None:
    placed("/etc/asterisk/mine.conf", "[general]\n[callsign-skarabee]\nexten => s,1,NoOp()\n")
    told = refused(machine)
    assert "/etc/asterisk/mine.conf:2" in told
    assert "merge" in told


def test_its_dialplan_file_with_changes_of_somebody(machine: Machine, placed: Place) -> None:
    placed("/etc/asterisk/extensions_callsign.conf", "[mine]\n")
    assert "/etc/asterisk/extensions_callsign.conf was changed by somebody" in refused(machine)


@pytest.mark.parametrize("path", ["/usr/local/bin/callsign", "/usr/share/asterisk/agi-bin/callsign.agi"])
def test_a_command_of_somebody_else_with_its_name(machine: Machine, placed: Place, path: str) -> None:
    placed(path, "#!/bin/sh\n")
    assert f"{path} is there and is not of this installer" in refused(machine)


def test_a_home_that_is_somebody_elses(machine: Machine) -> None:
    home = machine.path("/opt/callsign")
    home.mkdir()
    os.chown(home, 12345, 12345)
    told = refused(machine)
    home.rmdir()
    assert "/opt/callsign is not root's" in told


def test_a_machine_without_asterisk(machine: Machine) -> None:
    conf = machine.path("/etc/asterisk/asterisk.conf")
    conf.rename(conf.with_suffix(".away"))
    told = refused(machine)
    conf.with_suffix(".away").rename(conf)
    assert "no Asterisk found" in told
    assert "here sudo ./install.sh --server, on the PBX sudo ./install.sh --dialplan" in told


@pytest.mark.parametrize("options", [[], ["--uninstall"], ["--dry-run", "--server"]])
def test_who_is_not_root(machine: Machine, options: list[str]) -> None:
    done = machine.run(["runuser", "-u", "nobody", "--", f"{SOURCE}/install.sh", *options])
    assert (done.returncode, done.stdout) == (1, "install.sh: a PBX is root's: the same with sudo\n")


@pytest.mark.parametrize(
    "options",
    [
        ["--dry"],
        ["--purge"],
        ["--root"],
        ["demo", "--dry-run"],
        ["--local", "x"],
        ["--dry-run", "demo"],
        ["-x"],
        ["demo", "--uninstall"],
        ["--server", "--dialplan"],
        ["--server", "--local"],
    ],
    ids=" ".join,
)
def test_an_unknown_option_ends_with_2_and_the_usage(machine: Machine, options: list[str]) -> None:
    done = machine.install(*options)
    assert done.returncode == 2
    assert "sudo ./install.sh" in done.stdout


def test_without_systemd_it_says_how_to_run_it(machine: Machine) -> None:
    told = machine.install("--dry-run")
    assert told.returncode == 0
    assert (
        "as the user callsign:\n    /opt/callsign/venv/bin/python /opt/callsign/agi/bin/callsign serve" in told.stdout
    )
    assert "systemctl" not in "".join(line for line in told.stdout.splitlines() if line.startswith("  s"))


def test_a_dialplan_that_begins_outside_of_any_context_is_left_alone(machine: Machine, placed: Place) -> None:
    placed("/etc/asterisk/extensions.conf", "; mine\nexten => s,1,NoOp()\n")
    told = machine.install("--dry-run").stdout
    assert "begins with lines outside of any context" in told
    assert "at the top" not in told


@pytest.mark.parametrize(
    "line",
    [
        '#include "extensions_callsign.conf"',
        "  #include <extensions_callsign.conf>",
        "#tryinclude extensions_callsign.conf",
    ],
)
def test_a_line_that_somebody_wrote_is_enough(machine: Machine, placed: Place, line: str) -> None:
    placed("/etc/asterisk/extensions.conf", f"[general]\n{line} ; mine\n")
    assert "at the top" not in machine.install("--dry-run").stdout
    assert "/etc/asterisk/extensions.conf:2" in refused(machine, "--uninstall")


@pytest.mark.parametrize(
    "line",
    ["#include /opt/callsign/dialplan/extensions_callsign_freepbx.conf", "#include extensions_callsign_features.conf"],
)
def test_it_stays_while_another_of_its_files_is_included(machine: Machine, placed: Place, line: str) -> None:
    placed("/etc/asterisk/extensions.conf", f"[general]\n{line}\n")
    assert "/etc/asterisk/extensions.conf:2" in refused(machine, "--uninstall")


def test_a_file_of_an_earlier_version_that_is_still_included(machine: Machine, placed: Place) -> None:
    folder = "/opt/callsign/dialplan"
    gone = f"#include {folder}/extensions_callsign_freepbx_17.conf ; hooks\n#tryinclude <{folder}/sample.conf>\n"
    here = f'#tryinclude "{folder}/extensions_callsign_freepbx.conf"\n'
    placed("/etc/asterisk/extensions.conf", f"[general]\n{gone}{here}; #include {folder}/gone.conf\n")
    told = refused(machine)
    assert "the dialplan includes a file that this version does not have" in told
    found = re.findall(r"/etc/asterisk/extensions\.conf:\d+", told)
    assert found == ["/etc/asterisk/extensions.conf:2", "/etc/asterisk/extensions.conf:3"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("extensions.conf", "exten => s,1,AGI(callsign.agi,skarabee)"),
        ("extensions.conf", "exten => s,1,AGI(${CALLSIGN_AGI}/skarabee)"),
        ("extensions.ael", "context mine { s => { AGI(callsign.agi,skarabee); } }"),
        ("extensions.lua", 'app.gosub("callsign-skarabee", "s", 1)'),
    ],
)
def test_it_stays_while_a_dialplan_of_any_kind_calls_it(machine: Machine, placed: Place, name: str, line: str) -> None:
    placed(f"/etc/asterisk/{name}", f"\n{line}\n")
    told = refused(machine, "--uninstall")
    assert "the dialplan still calls callsign" in told
    assert f"/etc/asterisk/{name}:2" in told


def test_a_tree_for_a_package_holds_all_and_names_nothing_of_where_it_was_built(
    machine: Machine, asterisk_root: tuple[Path, str]
) -> None:
    if asterisk_root[1] != AVAILABLE[-1]:
        pytest.skip("once is enough: it looks at no Asterisk")
    done = machine.install("--root", "/tmp/package")
    assert done.returncode == 0, done.stdout
    package = machine.path("/tmp/package")
    files = {f"/{path.relative_to(package)}" for path in package.rglob("*") if path.is_file()}
    own = {path for path in files if not path.startswith("/opt/callsign/")}
    assert own == {
        *("/usr/local/bin/callsign", "/usr/local/bin/agi-debug", "/var/lib/asterisk/agi-bin/callsign.agi", SETTINGS),
        *("/etc/asterisk/extensions_callsign.conf", "/etc/systemd/system/callsign.service"),
    }
    assert [path for path in files if b"/tmp/package" in machine.path(f"/tmp/package{path}").read_bytes()] == []
    assert "/opt/callsign/agi/callsign/commands/help/freepbx.txt" in files
    again = machine.install("--root", "/tmp/package")
    assert "nothing, all is as it should be" in again.stdout
    machine.install("--root", "/tmp/package", "--uninstall", "--purge")
    assert [path for path in package.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("half", "own"),
    [
        (
            "--server",
            {
                *("/usr/local/bin/callsign", "/usr/local/bin/agi-debug", SETTINGS),
                "/etc/systemd/system/callsign.service",
            },
        ),
        ("--dialplan", {"/etc/asterisk/extensions_callsign.conf"}),
    ],
)
def test_a_tree_for_a_package_holds_one_half(
    machine: Machine, asterisk_root: tuple[Path, str], half: str, own: set[str]
) -> None:
    if asterisk_root[1] != AVAILABLE[-1]:
        pytest.skip("once is enough: it looks at no Asterisk")
    done = machine.install("--root", "/tmp/half", half)
    assert done.returncode == 0, done.stdout
    package = machine.path("/tmp/half")
    files = {f"/{path.relative_to(package)}" for path in package.rglob("*") if path.is_file()}
    assert {path for path in files if not path.startswith("/opt/callsign/")} == own
    assert "nothing, all is as it should be" in machine.install("--root", "/tmp/half", half).stdout
    machine.install("--root", "/tmp/half", half, "--uninstall", "--purge")
    assert [path for path in package.rglob("*") if path.is_file()] == []
