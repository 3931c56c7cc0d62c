"""Settings files for tests: one with every section and key, the least of some sections, and what reading them gives."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from callsign.settings import load as config
from callsign.settings.sections import Settings

WHOLE = """
[server]
listen = "127.0.0.1:4600"
allow = ["127.0.0.1", "::1", "192.168.1.0/24"]
metrics = "127.0.0.1:4593"

[outbox]
path = "/var/lib/callsign/other.db"
durability = "full"
keep_days = 14

[numbers]
country = "NL"
format = "e164"
internal = ["2XX", "3XXX"]

[skarabee]
url = "https://voip.skarabee.net/api/"
businessid = "8103"
key = "skarabee-secret-of-8103"
clock = "auto"
timezone = "Europe/Amsterdam"
anonymous = "send"
phoneto = { "201" = "056528998" }
[[skarabee.office]]
businessid = "9001"
key = "skarabee-secret-of-9001"
numbers = ["050112233", "2XX"]

[noojee]
url = "https://pbx.example/servicemanager/rest"
auth = "apikey"
key = "noojee-secret-of-mine"
verify = "{ca}"

[mor]
url = "https://mor.example/billing/api"
user = "admin"
key = "mor-secret-of-mine"
params_in = "query"
verify = "{ca}"

[kalliope]
url = "https://kalliope.example"
username = "admin"
password = "kalliope-secret-of-mine"
domain = "office"
timezone = "Europe/Brussels"
verify = "{ca}"

[sraps]
url = "https://api.sraps.snom.com/api/v1"
key_id = "key-1"
key_secret = "sraps-secret-of-mine"
accept = "application/json"
verify = "{ca}"

[cluster]
database = "host=db1 dbname=callsign user=callsign sslmode=verify-full"
password = "cluster-secret-of-mine"
host = "pbx1"
patience = 0.5
lease = 10
pooled = true
"""
SECRETS = re.findall(r'"(\S+-secret-of-\S+)"', WHOLE)

SKARABEE = '[skarabee]\nurl = "https://voip.skarabee.net/api/"\nbusinessid = "8103"\nkey = "the-key"\n'
NOOJEE = '[noojee]\nurl = "https://pbx.example/rest"\nkey = "the-key"\n'


def write(folder: Path, text: str, name: str = "callsign.toml") -> Path:
    """A file that only its owner can read, and that nobody has just written to."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (0, 0))
    return path


def load(folder: Path, text: str, check_country: bool = False) -> Settings:
    """The settings, which must give no warning."""
    read, warnings = config.load(write(folder, text), check_country)
    assert warnings == []
    return read


def faults(folder: Path, text: str, check_country: bool = False) -> list[str]:
    """What is reported, each line without the file's name at its beginning."""
    path = write(folder, text)
    with pytest.raises(config.ConfigError) as refusal:
        config.load(path, check_country)
    assert all(line.startswith(f"{path}: ") for line in refusal.value.faults)
    assert str(refusal.value) == "; ".join(refusal.value.faults)
    return [line.removeprefix(f"{path}: ") for line in refusal.value.faults]


def certificate(folder: Path) -> Path:
    """A file that looks like a CA's."""
    path = folder / "ca.pem"
    path.write_text("# ours\n-----BEGIN CERTIFICATE-----\n", encoding="ascii")
    return path


def whole(folder: Path) -> str:
    """WHOLE, with a CA file that is there."""
    return WHOLE.replace("{ca}", str(certificate(folder)))
