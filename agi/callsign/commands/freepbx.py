"""What `check` says where a FreePBX is: which of its numbers `[numbers] internal` does not know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from callsign import SYSTEMS
from callsign.commands.asterisk_conf import text_of
from callsign.settings.sections import Settings

MARK = Path("/etc/freepbx.conf")
DIALPLAN = Path("/etc/asterisk/extensions_additional.conf")
CONTEXTS = ("ext-local", "ext-queues", "ext-group", "ext-findmefollow")


def warnings(settings: Settings, mark: Path = MARK, dialplan: Path = DIALPLAN) -> list[str]:
    """At most one line; none where no Skarabee is used, which alone asks who is internal."""
    elsewhere = settings.skarabee is None and any(getattr(settings, name) for name in SYSTEMS)
    if elsewhere or not mark.exists():
        return []
    internal = settings.numbers.internal
    unknown = [number for number in dict.fromkeys(_numbers(text_of(dialplan))) if number not in internal]
    if not unknown and internal.patterns:
        return []
    wanted = ", ".join(f'"{pattern}"' for pattern in [*internal.patterns, *_patterns(unknown)])
    seen = "is not set" if not internal.patterns else f"does not know {len(unknown)} of FreePBX's numbers"
    advice = f"; FreePBX's dialplan suggests internal = [{wanted}]" if unknown else ""
    return [
        f"[numbers] internal {seen}: calls between extensions, and to queues and ring groups, would be told{advice}"
    ]


def _numbers(text: str) -> Iterator[str]:
    """Extensions, queues and ring groups of extensions_additional.conf, some of them twice."""
    here = False
    for line in text.splitlines():
        if line.startswith("["):
            here = line[1:].partition("]")[0] in CONTEXTS
        elif here and (found := re.match(r"exten\s*=>\s*([0-9]{2,}),", line)):
            yield found[1]


def _patterns(numbers: Iterable[str]) -> list[str]:
    """Asterisk patterns that they match: 2XX, 10XX; of one as long as an outside number few others do, 0565289XX."""
    return sorted({f"{number[:-2]}XX" for number in numbers})
