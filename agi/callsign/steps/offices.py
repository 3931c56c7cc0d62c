"""Which office of Skarabee a call is for: by its id, its name, or the number that was called.

As quick with 500 offices as with one.
"""

from __future__ import annotations

from callsign.phone_numbers import NumberPatterns, as_vendor_wants, bare_number
from callsign.settings.sections import Office, Skarabee

FORMS = ("e164", "national", "asis")


class Offices:
    """Those of one [skarabee]; what is looked up for each call is worked out once."""

    def __init__(self, section: Skarabee, country: str) -> None:
        self.section, self.country = section, country
        self._own, *_ = every = section.offices
        self.by_id = {office.businessid: office for office in every}
        self.by_name = {office.name: office for office in section.office if office.name}
        self._first: dict[str, int] = {}  # a listed number -> the first office that does
        self._patterns: list[tuple[int, NumberPatterns]] = []
        for place, office in enumerate(section.office):
            for entry in map(bare_number, office.numbers):
                self._first.setdefault(as_vendor_wants(entry, country, "e164"), place)
                self._note_pattern(entry, place)
        self._any = NumberPatterns(text for _, patterns in self._patterns for text in patterns.patterns)

    def _note_pattern(self, entry: str, place: int) -> None:
        if entry.isdecimal():
            self._first.setdefault(entry, place)
            return
        try:
            self._patterns.append((place, NumberPatterns((entry,))))
        except ValueError:  # a number written with spaces is no pattern
            return

    def owner_of(self, numbers: tuple[str, ...]) -> Office:
        """The first office that lists the first of `numbers` that any does, in whatever notation, else the own."""
        if not self._first and not self._patterns:
            return self._own
        places = filter(lambda place: place < len(self.section.office), map(self._place_of, numbers))
        return next((self.section.office[place] for place in places), self._own)

    def _place_of(self, number: str) -> int:
        notations = [as_vendor_wants(number, self.country, form) for form in FORMS]
        found = [self._first[text] for text in notations if text in self._first]
        if any(text in self._any for text in notations):
            found += [place for place, pattern in self._patterns if any(text in pattern for text in notations)][:1]
        return min(found, default=len(self.section.office))


_latest: Offices | None = None


def offices_of(section: Skarabee, country: str) -> Offices:
    """Worked out at the first call, and again when the settings were read again."""
    global _latest
    found = _latest
    if found is None or found.section is not section or found.country != country:
        found = _latest = Offices(section, country)
    return found
