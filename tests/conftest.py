"""How thorough the property tests are: CALLSIGN_TESTS_BRIEF asks for few examples, for one more Python, say."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("brief", max_examples=15)
if os.environ.get("CALLSIGN_TESTS_BRIEF"):
    settings.load_profile("brief")
