"""One value at a time: what is no such value is named by section and key, with what was seen and what was wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings_file import NOOJEE, SKARABEE, faults, load

WRONG = [
    ("[server]\nlisten = 4591", "[server] listen: wanted a text in quotes, found a number"),
    ('[server]\nlisten = ":4591"', '[server] listen: wanted ADDRESS:PORT such as "127.0.0.1:4591", found ":4591"'),
    (
        '[server]\nlisten = "127.0.0.1"',
        '[server] listen: wanted ADDRESS:PORT such as "127.0.0.1:4591", found "127.0.0.1"',
    ),
    (
        '[server]\nlisten = "localhost:1"',
        '[server] listen: wanted ADDRESS:PORT such as "127.0.0.1:4591", found "localhost:1"',
    ),
    (
        '[server]\nlisten = "10.0.0.0/8:1"',
        '[server] listen: wanted ADDRESS:PORT such as "127.0.0.1:4591", found "10.0.0.0/8:1"',
    ),
    (
        '[server]\nlisten = "::1:4591"',
        '[server] listen: wanted ADDRESS:PORT such as "127.0.0.1:4591", found "::1:4591"',
    ),
    (
        '[server]\nlisten = "127.0.0.1:65536"',
        '[server] listen: wanted ADDRESS:PORT such as "127.0.0.1:4591", found "127.0.0.1:65536"',
    ),
    (
        '[server]\nlisten = "127.0.0.1:٤٥"',
        '[server] listen: wanted ADDRESS:PORT such as "127.0.0.1:4591", found "127.0.0.1:٤٥"',
    ),
    ('[server]\nallow = "127.0.0.1"', '[server] allow: wanted a list such as ["050112233"], found a text'),
    (
        '[server]\nallow = ["pbx"]',
        '[server] allow: wanted addresses or networks such as "192.168.1.0/24" with no bits set behind the /, fou…',
    ),
    (
        '[server]\nallow = ["10.0.0.1/8"]',
        '[server] allow: wanted addresses or networks such as "192.168.1.0/24" with no bits set behind the /, fou…',
    ),
    (
        '[outbox]\npath = "outbox.db"',
        "[outbox] path: wanted a path from the root such as /var/lib/…, found one that does not begin with /",
    ),
    ('[outbox]\ndurability = "fulll"', '[outbox] durability: wanted "interval" or "full", found "fulll"'),
    ("[outbox]\ndurability = true", '[outbox] durability: wanted "interval" or "full", found true'),
    ("[outbox]\ndurability = []", '[outbox] durability: wanted "interval" or "full", found a list'),
    ("[outbox]\nkeep_days = -1", "[outbox] keep_days: wanted a number from 0 to 3650, found -1"),
    ("[outbox]\nkeep_days = nan", "[outbox] keep_days: wanted a number from 0 to 3650, found a number"),
    ("[outbox]\nkeep_days = true", "[outbox] keep_days: wanted a number from 0 to 3650, found true"),
    ('[outbox]\nkeep_days = "7"', '[outbox] keep_days: wanted a number from 0 to 3650, found "7"'),
    ("[outbox]\nkeep_days = 2024-01-01", "[outbox] keep_days: wanted a number from 0 to 3650, found a date or time"),
    ('[numbers]\ncountry = "be"', '[numbers] country: wanted a country code of two capitals such as "BE", found "be"'),
    ('[numbers]\nformat = "E164"', '[numbers] format: wanted "national" or "e164" or "asis", found "E164"'),
    ("[numbers]\ninternal = [201]", "[numbers] internal: wanted a text in quotes, found a number"),
    (
        '[numbers]\ninternal = ["2XX", "2Y"]',
        '[numbers] internal: "2Y": no Asterisk pattern: wanted digits, X, Z, N, [1-5], a closing . or !',
    ),
    (SKARABEE.replace('"8103"', "8103"), '[skarabee] businessid: wanted digits in quotes, such as "8103", found 8103'),
    (
        SKARABEE.replace('"8103"', '"81O3"'),
        '[skarabee] businessid: wanted digits in quotes, such as "8103", found "81O3"',
    ),
    (SKARABEE.replace('"the-key"', '""'), "[skarabee] key: must not be empty"),
    (SKARABEE.replace('"the-key"', '"  "'), "[skarabee] key: must not be empty"),
    (
        SKARABEE.replace('"the-key"', '"a\\nb"'),
        "[skarabee] key: must be one line of visible characters: character 2 is U+000A",
    ),
    (
        SKARABEE.replace('"the-key"', '"a\\u007Fb"'),
        "[skarabee] key: must be one line of visible characters: character 2 is U+007F",
    ),
    (SKARABEE.replace('"the-key"', "12345"), "[skarabee] key: wanted a text in quotes, found a number"),
    (SKARABEE + 'clock = "utc"', '[skarabee] clock: wanted "unix" or "local" or "auto", found "utc"'),
    (
        SKARABEE + 'timezone = "Brussel"',
        '[skarabee] timezone: wanted a time zone such as "Europe/Brussels", found "Brussel"',
    ),
    (
        SKARABEE + 'timezone = "../etc"',
        '[skarabee] timezone: wanted a time zone such as "Europe/Brussels", found "../etc"',
    ),
    (
        SKARABEE + 'timezone = "Europe"',
        '[skarabee] timezone: wanted a time zone such as "Europe/Brussels", found "Europe"',
    ),
    (SKARABEE + 'anonymous = "yes"', '[skarabee] anonymous: wanted "skip" or "send", found "yes"'),
    (SKARABEE + 'phoneto = "201"', '[skarabee] phoneto: wanted a table such as { "201" = "056528998" }, found a text'),
    (SKARABEE + "phoneto = { 201 = 1 }", "[skarabee] phoneto: wanted a text in quotes, found a number"),
    (SKARABEE + "office = 1", "[[skarabee.office]]: wanted tables: write [[skarabee.office]] on a line of its own"),
    (
        SKARABEE + "[skarabee.office]",
        "[[skarabee.office]]: wanted tables: write [[skarabee.office]] on a line of its own",
    ),
    (NOOJEE + "verify = false", "[noojee] verify: wanted true or the absolute path of a CA file, found false"),
    (NOOJEE + 'verify = "ca.pem"', '[noojee] verify: wanted true or the absolute path of a CA file, found "ca.pem"'),
    (NOOJEE + 'verify = "/none/ca.pem"', "[noojee] verify: /none/ca.pem cannot be read: No such file or directory"),
    (NOOJEE + 'verify = "/"', "[noojee] verify: / is no regular file"),
    (NOOJEE + 'verify = "/etc/passwd"', "[noojee] verify: /etc/passwd holds no certificate in PEM form"),
    (
        '[sraps]\nurl = "https://s.example"\nkey_id = "a\\"b"\nkey_secret = "x"',
        '[sraps] key_id: must be plain ASCII without " and \\',
    ),
    (
        '[sraps]\nurl = "https://s.example"\nkey_id = "é"\nkey_secret = "x"',
        '[sraps] key_id: must be plain ASCII without " and \\',
    ),
    ('listen = "127.0.0.1:4591"', "listen: stands before any [section]; it belongs under [server]"),
    (
        'url = "https://x.example"',
        "url: stands before any [section]; it belongs under [skarabee] or [noojee] or [mor] or [kalliope] or [sra…",
    ),
    ("zzz = 1", "zzz: stands before any [section]"),
    ('noojee = "https://pbx.example"', "noojee: is a section: write [noojee] on a line of its own"),
    ("[[noojee]]", "noojee: is a section: write [noojee] on a line of its own"),
    (
        NOOJEE + 'verify = "/a\\u0000b"',
        "[noojee] verify: must be one line of visible characters: character 3 is U+0000",
    ),
    (
        '[server]\nlisten = "[::1:4591"',
        '[server] listen: wanted ADDRESS:PORT such as "127.0.0.1:4591", found "[::1:4591"',
    ),
    (
        '[server]\nlisten = "::1]:4591"',
        '[server] listen: wanted ADDRESS:PORT such as "127.0.0.1:4591", found "::1]:4591"',
    ),
    (
        SKARABEE.replace('"8103"', "12345678901234567890"),
        '[skarabee] businessid: wanted digits in quotes, such as "8103", found a number',
    ),
    (SKARABEE.replace('"8103"', "1.5"), '[skarabee] businessid: wanted digits in quotes, such as "8103", found 1.5'),
    (SKARABEE + "office = [1]", "[[skarabee.office]]: wanted tables: write [[skarabee.office]] on a line of its own"),
    ('[outbox]\npath = "/"', "[outbox] path: wanted the path of a file, found that of a folder"),
    ('[outbox]\npath = "/var/lib/.."', "[outbox] path: wanted the path of a file, found that of a folder"),
    (NOOJEE.replace('"the-key"', "true"), "[noojee] key: wanted a text in quotes, found true or false"),
    (NOOJEE.replace('"the-key"', "1.5"), "[noojee] key: wanted a text in quotes, found a number"),
    (NOOJEE.replace('"the-key"', "[]"), "[noojee] key: wanted a text in quotes, found a list"),
    (NOOJEE.replace('"the-key"', "{}"), "[noojee] key: wanted a text in quotes, found a table"),
    (NOOJEE.replace('"the-key"', "07:32:00"), "[noojee] key: wanted a text in quotes, found a date or time"),
]


@pytest.mark.parametrize(("text", "fault"), WRONG)
def test_a_wrong_value_is_named_by_section_and_key(tmp_path: Path, text: str, fault: str) -> None:
    (found,) = faults(tmp_path, text)
    assert found.startswith(fault.removesuffix("…"))
    assert fault.endswith("…") or found == fault


@pytest.mark.parametrize(
    "url",
    [
        *("voip.skarabee.net", "ftp://x.example", "//x.example", "https://", "https:///path", ""),
        *("https://x.example:0", "https://x.example:x", "https://x.example:99999", "https://[::1"),
        *("https://x .example", "https://x.example/a b", "https://..", "https://a..b"),
        *(f"https://{64 * 'a'}.example", f"https://x.{64 * 'a'}", f"https://{64 * 'ü'}.example"),
        *("https://user:pw@x.example", "https://x.example/?key=1", "https://x.example/#a"),
    ],
)
@pytest.mark.parametrize("section", ["skarabee", "noojee", "mor", "kalliope", "sraps"])
def test_a_bad_address_is_named_and_not_repeated(tmp_path: Path, section: str, url: str) -> None:
    found = [line for line in faults(tmp_path, f'[{section}]\nurl = "{url}"') if line.startswith(f"[{section}] url: ")]
    assert len(found) == 1
    wanted = "must not be empty" if not url else "wanted an address "
    assert found[0].startswith(f"[{section}] url: {wanted}")
    assert "pw" not in found[0]  # a password may stand in it


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "https://[::1]:8443/rest",
        "HTTPS://pbx_1.example/a/b/",
        "https://pbx.example./",
        f"https://{63 * 'a'}.example/",
        "https://büro.example/",
    ],
)
def test_a_good_address_is_kept_as_written(tmp_path: Path, url: str) -> None:
    section = load(tmp_path, NOOJEE.replace("https://pbx.example/rest", url)).noojee
    assert section is not None
    assert section.url == url


def test_to_verify_may_be_said_aloud(tmp_path: Path) -> None:
    section = load(tmp_path, NOOJEE + "verify = true").noojee
    assert section is not None
    assert section.verify is True
