from __future__ import annotations

from collections.abc import Callable

import pytest

from callsign.record import Record, asdict, field, fields, replace


class Told(Record):
    """As those of callsign."""

    system: str
    numbers: dict[str, str] = field(repr=False)
    reason: str = ""
    tries: list[int] = field(default_factory=list)
    at: float = field(default=0.0, compare=False)

    @property
    def words(self) -> str:
        return f"{self.system}: {self.reason}"


class Other(Record):
    system: str
    numbers: dict[str, str]
    reason: str = ""
    tries: tuple[int, ...] = ()
    at: float = 0.0


class Changing(Record, frozen=False):
    reason: str = ""


def test_fields_are_given_in_their_order_or_by_name_and_else_have_their_defaults() -> None:
    told = Told("noojee", {"a": "1"}, tries=[1])
    assert asdict(told) == {"system": "noojee", "numbers": {"a": "1"}, "reason": "", "tries": [1], "at": 0.0}
    assert told.words == "noojee: "


def test_a_default_that_is_made_is_made_for_each() -> None:
    one, other = Told("noojee", {}), Told("noojee", {})
    one.tries.append(1)
    assert other.tries == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: Told("noojee"),  # type: ignore[call-arg]
        lambda: Told("noojee", {}, reasn=""),  # type: ignore[call-arg]
        lambda: Told("noojee", reasn=""),  # type: ignore[call-arg]
        lambda: Changing("", ""),  # type: ignore[call-arg]
        lambda: replace(Told("noojee", {}), reasn=""),
    ],
)
def test_a_field_that_is_missing_unknown_or_too_many_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        make()


def test_a_record_is_not_changed_but_another_is_made_of_it() -> None:
    told = Told("noojee", {})
    with pytest.raises(AttributeError, match=r"Told\.reason"):
        told.reason = "no"  # type: ignore[misc]
    assert replace(told, reason="no") == Told("noojee", {}, "no")
    assert told.reason == ""


def test_one_that_says_so_is_changed_and_takes_no_name_that_is_not_its_own() -> None:
    one = Changing()
    one.reason = "no"
    assert one.reason == "no"
    with pytest.raises(AttributeError):
        one.raeson = "no"  # type: ignore[attr-defined]


def test_two_are_equal_whose_class_and_compared_fields_are() -> None:
    assert Told("noojee", {}, at=1.0) == Told("noojee", {}, at=2.0)
    assert Told("noojee", {}) != Told("mor", {})
    assert Told("noojee", {}) != Other("noojee", {})
    assert hash(Other("noojee", (), at=1.0)) == hash(Other("noojee", (), at=1.0))  # type: ignore[arg-type]


def test_of_those_that_change_no_two_are_equal() -> None:
    assert Changing() != Changing()
    assert len({Changing(), Changing()}) == 2


def test_what_is_not_to_be_shown_is_not_in_the_repr() -> None:
    assert repr(Told("noojee", {"caller": "0478"})) == "Told(system='noojee', reason='', tries=[], at=0.0)"


def test_the_fields_tell_what_was_said_of_them() -> None:
    assert [name for name, about in fields(Told).items() if not about.has_default] == ["system", "numbers"]
