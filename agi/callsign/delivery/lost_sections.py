"""Jobs that wait while the settings have no section of their account: on purpose, or a file that was cut short."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from callsign.outbox.reader import OutboxReader
from callsign.outbox.values import OutboxError
from callsign.settings.accounts import section_shown
from callsign.settings.sections import Settings


def without_section(settings: Settings, store: Path) -> set[str]:
    """The accounts whose jobs wait in `store` and that `settings` do not name; none where it cannot be read."""
    with closing(OutboxReader(store)) as reader:
        try:
            return {account for account in reader.waiting() if settings.section(account) is None}
        except OutboxError:
            return set()


def words(accounts: set[str]) -> str:
    """For the log."""
    return f"the settings have no section {', '.join(map(section_shown, sorted(accounts)))}, whose jobs wait"
