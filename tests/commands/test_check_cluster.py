"""`callsign check` where the settings have a [cluster]: what this machine still lacks for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from callsign.commands import asterisk_conf
from command_line import callsign_text
from settings_file import SKARABEE, write

CLUSTER = '[cluster]\ndatabase = "host=127.0.0.1 dbname=callsign user=callsign"\nhost = "pbx1"\n'


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An asterisk.conf of the test's own, which is not there yet."""
    file = tmp_path / "asterisk.conf"
    monkeypatch.setattr(asterisk_conf, "FILES", (str(file),))
    return file


def warnings(folder: Path, sections: str) -> list[str]:
    text = f'[server]\nlisten = "127.0.0.1:1"\n[outbox]\npath = "{folder}/outbox.db"\n{sections}'
    done = callsign_text("check", "--config", str(write(folder, text)))
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if "[cluster]" in line or "HOSTS" in line]


@pytest.mark.parametrize("options", ["", ";systemname = my_system_name\n", "systemname =\ndebug = 3\n"])
def test_an_asterisk_without_a_systemname_is_warned_of_for_two_of_them_can_give_one_id_to_two_calls(
    tmp_path: Path, conf: Path, options: str
) -> None:
    conf.write_text(f"[options]\n{options}")
    (line,) = warnings(tmp_path, SKARABEE + CLUSTER)
    assert line.startswith("warning: [cluster] asterisk.conf has no systemname: ")
    assert "systemname = pbx1" in line


@pytest.mark.parametrize("text", ["[options]\nsystemname = pbx1 ; ours\n", "[options]\nsystemname => pbx1\n", None])
def test_one_that_has_a_name_is_not_nor_a_machine_without_asterisk(
    tmp_path: Path, conf: Path, text: str | None
) -> None:
    if text is not None:
        conf.write_text(text)
    assert warnings(tmp_path, SKARABEE + CLUSTER) == []


def test_without_a_cluster_nobody_is_asked_for_a_systemname(tmp_path: Path, conf: Path) -> None:
    conf.write_text("[options]\n")
    assert warnings(tmp_path, SKARABEE) == []


@pytest.mark.parametrize("file", ["extensions.conf", "extensions_custom.conf", "globals_custom.conf"])
@pytest.mark.parametrize("line", ["CALLSIGN_OWN_HOSTS=pbx2", " CALLSIGN_OWN_HOSTS => pbx2&pbx3 ; ours"])
def test_own_hosts_that_the_dialplan_names_need_a_systemname_too(
    tmp_path: Path, conf: Path, file: str, line: str
) -> None:
    conf.write_text(f"[directories]\nastetcdir => {tmp_path}\n[options]\n")
    (tmp_path / file).write_text(f"[globals]\n{line}\n[default]\n")
    (warning,) = warnings(tmp_path, SKARABEE)
    assert warning.startswith("warning: CALLSIGN_OWN_HOSTS: no call keeps its name on another host")
    (warning,) = warnings(tmp_path, SKARABEE + CLUSTER)
    assert warning.startswith("warning: [cluster] ")
    conf.write_text(f"[directories]\nastetcdir => {tmp_path}\n[options]\nsystemname = pbx1\n")
    assert warnings(tmp_path, SKARABEE) == []


@pytest.mark.parametrize("line", ["CALLSIGN_OWN_HOSTS=", ";CALLSIGN_OWN_HOSTS=pbx2", "; CALLSIGN_OWN_HOSTS=x, see"])
def test_where_none_is_named_nothing_is_asked_for(tmp_path: Path, conf: Path, line: str) -> None:
    conf.write_text(f"[directories]\nastetcdir => {tmp_path}\n[options]\n")
    (tmp_path / "extensions.conf").write_text(f"[globals]\n{line}\n[default]\n")
    assert warnings(tmp_path, SKARABEE) == []


def test_a_certificate_that_this_user_cannot_read_is_warned_of(tmp_path: Path, conf: Path) -> None:
    there = tmp_path / "ca.pem"
    sections = SKARABEE + CLUSTER.replace("host=127.0.0.1", f"host=db1 sslmode=verify-full sslrootcert={there}")
    (line,) = warnings(tmp_path, sections)
    assert line == f"warning: [cluster] database: sslrootcert {there} cannot be read: No such file or directory"
    there.write_text("a certificate")
    assert warnings(tmp_path, sections) == []
    there.unlink()
    os.mkfifo(there)  # which is not waited for
    assert warnings(tmp_path, sections) == []
    assert warnings(tmp_path, sections.replace(str(there), "system")) == []


def test_a_missing_driver_is_warned_of_with_what_brings_it(
    tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as where it is not installed
    (line,) = warnings(tmp_path, SKARABEE + CLUSTER)
    assert "psycopg" in line
    assert "sudo ./install.sh" in line


def test_a_database_over_the_network_without_a_verified_certificate_is_a_fault(tmp_path: Path, conf: Path) -> None:
    text = SKARABEE + CLUSTER.replace("127.0.0.1", "db1")
    done = callsign_text("check", "--config", str(write(tmp_path, text)))
    assert (done.returncode, done.stdout) == (2, "")
    assert "[cluster] database: " in done.stderr
    assert "sslmode=verify-full" in done.stderr
