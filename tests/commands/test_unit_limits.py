"""What the unit's own lines keep from the service, read as systemd reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from callsign.commands.unit_limits import Lines, hidden
from callsign.record import replace
from callsign.settings.load import DEFAULT_PATH
from callsign.settings.sections import OutboxSection, Settings

STRICT = [("ProtectHome", "yes"), ("ProtectSystem", "strict"), ("StateDirectory", "callsign")]
USUAL = Settings(source=DEFAULT_PATH)


def stored_in(folder: str) -> Settings:
    return replace(USUAL, outbox=OutboxSection(Path(folder) / "outbox.db"))


@pytest.mark.parametrize(
    ("lines", "settings"),
    [
        ([], stored_in("/srv/callsign")),
        (STRICT, USUAL),
        (STRICT, replace(USUAL, files=(Path("/etc/callsign/key"),))),
        (STRICT, replace(USUAL, files=(Path("/homes/key"),))),
        (STRICT, stored_in("/var/lib/callsign/deeper")),
        ([*STRICT, ("ReadWritePaths", "/mnt -/srv/callsign")], stored_in("/srv/callsign")),
        ([*STRICT, ("ProtectHome", "no")], replace(USUAL, files=(Path("/root/key"),))),
        ([*STRICT, ("ProtectSystem", "full")], stored_in("/srv/callsign")),
        (STRICT, replace(stored_in("/srv/callsign"), source="/srv/tried_out.toml")),
    ],
)
def test_what_the_service_reaches_is_no_warning(lines: Lines, settings: Settings) -> None:
    assert hidden(settings, lines) == []


@pytest.mark.parametrize(
    ("lines", "settings", "words"),
    [
        (STRICT, replace(USUAL, files=(Path("/home/key"),)), "/home/key: callsign.service keeps /home out"),
        ([("ProtectHome", "tmpfs")], replace(USUAL, files=(Path("/root/a/key"),)), "keeps /root out"),
        ([("PrivateTmp", "yes")], replace(USUAL, files=(Path("/var/tmp/key"),)), "keeps /var/tmp out"),
        ([("InaccessiblePaths", "-/srv")], replace(USUAL, files=(Path("/srv/key"),)), "keeps /srv out"),
        (STRICT, stored_in("/srv/callsign"), "below /var/lib/callsign only; systemctl edit"),
        ([*STRICT, ("ReadWritePaths", "/srv"), ("ReadWritePaths", "")], stored_in("/srv/callsign"), "ReadWritePaths="),
        (
            [("ExecStart", "serve --config /srv/x.toml"), *STRICT],
            replace(stored_in("/srv/c"), source="/srv/x.toml"),
            "/srv/c",
        ),
    ],
)
def test_what_the_service_does_not_reach_is_a_warning(lines: Lines, settings: Settings, words: str) -> None:
    (warning,) = hidden(settings, lines)
    assert words in warning
