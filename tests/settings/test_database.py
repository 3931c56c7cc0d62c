"""[cluster] database: libpq's keywords, nothing secret among them, and no callers' numbers over an open network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from callsign.settings.load import ConfigError
from callsign.settings.secret import Secret
from settings_file import faults, load, write

VERIFIED = "host=db1,db2 dbname=callsign user=callsign sslmode=verify-full sslrootcert=/etc/callsign/ca.pem"
GOOD = [
    VERIFIED,
    "host = 'db1' dbname = 'call\\\\'sign' sslmode = 'verify-full'",
    "dbname=callsign",
    "host=/var/run/postgresql,/run/other dbname=callsign",
    "host=localhost,127.0.0.1,::1",
    "host=db1.example hostaddr=127.0.0.1",
]
OPEN = [
    "host=db1",
    "host=localhost,db1",
    "host=192.168.1.4 sslmode=require",
    "host=localhost hostaddr=192.168.1.4",
    "host=/run/postgresql,db1 sslmode=verify-ca",
]


def section(database: str, more: str = "") -> str:
    return f'[cluster]\ndatabase = "{database}"\n{more}'


@pytest.mark.parametrize("database", GOOD)
def test_what_verifies_its_server_or_stays_on_this_machine_is_taken_as_it_is(database: str, tmp_path: Path) -> None:
    read = load(tmp_path, section(database)).cluster
    assert read is not None
    assert read.database == database.replace("\\\\", "\\")
    assert (read.password, read.patience, read.lease, read.pooled) == (None, 1.0, 5.0, False)
    assert read.host == os.uname().nodename


@pytest.mark.parametrize("database", OPEN)
def test_what_goes_over_a_network_has_to_verify_its_server(database: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, section(database))
    assert fault.startswith("[cluster] database: goes over the network and so needs sslmode=verify-full")


@pytest.mark.parametrize("keyword", ["password", "passfile", "service"])
def test_what_is_secret_or_hides_the_rest_stands_elsewhere(keyword: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, section(f"{VERIFIED} {keyword}=mine-alone"))
    assert fault.startswith(f"[cluster] database: {keyword}= ")
    assert "mine-alone" not in fault


@pytest.mark.parametrize("database", ["db1", "postgresql://callsign:mine-alone@db1/callsign", "host=db1 and more"])
def test_what_is_written_otherwise_is_refused_without_being_shown(database: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, section(database))
    assert fault == ("[cluster] database: wanted keyword=value pairs such as host=db1 dbname=callsign user=callsign")


def test_the_password_is_read_from_its_file(tmp_path: Path) -> None:
    key = write(tmp_path, "mine-alone\n", "db.key")
    read = load(tmp_path, section(VERIFIED, f'password_file = "{key}"'))
    assert read.cluster is not None
    assert read.cluster.password == Secret("mine-alone")
    assert "mine-alone" not in repr(read)


def test_a_host_has_a_plain_name_and_limits_have_their_ranges(tmp_path: Path) -> None:
    lines = 'host = "pbx 1"\npatience = 0\nlease = 2\npooled = 1\n'
    assert [line.partition(": ")[0] for line in faults(tmp_path, section(VERIFIED, lines))] == [
        "[cluster] host",
        "[cluster] patience",
        "[cluster] lease",
        "[cluster] pooled",
    ]


@pytest.mark.parametrize("lines", ["patience = 3.1\nlease = 3\n", "patience = 6\n"])
def test_a_delivery_waits_no_longer_than_a_lease_for_the_answer(lines: str, tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, section(VERIFIED, lines))
    assert fault.startswith("[cluster] patience: is longer than lease = ")


def test_and_is_told_which_file_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "callsign.d").mkdir()
    write(tmp_path / "callsign.d", section(VERIFIED, "patience = 6\n"), "cluster.toml")
    write(tmp_path / "callsign.d", "[numbers]\n", "numbers.toml")
    with pytest.raises(ConfigError, match=r"callsign.d/cluster.toml: \[cluster\] patience: is longer than lease = 5"):
        load(tmp_path, "")


def test_a_patience_as_long_as_the_lease_is_none_too_long(tmp_path: Path) -> None:
    assert load(tmp_path, section(VERIFIED, "patience = 3\nlease = 3\n")).cluster is not None


@pytest.mark.parametrize(
    ("line", "is_good"),
    [
        ("lease = 3", True),
        ("lease = 2.99", False),
        ("lease = 60", True),
        ("lease = 60.1", False),
        ("lease = nan", False),
        ("lease = true", False),
        ("patience = 0.05", True),
        ("patience = 0.04", False),
        ("patience = -1", False),
        ("patience = 10\nlease = 10", True),
        ("patience = 10.1\nlease = 60", False),
        ("patience = inf\nlease = 60", False),
    ],
)
def test_the_ends_of_the_ranges(line: str, is_good: bool, tmp_path: Path) -> None:
    if is_good:
        load(tmp_path, section(VERIFIED, line))
    else:
        (fault,) = faults(tmp_path, section(VERIFIED, line))
        assert fault.startswith(f"[cluster] {line.split()[0]}: wanted a number from ")
