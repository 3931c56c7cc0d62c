"""Which host tries a vendor that is away, and until when the others stand aside."""

from __future__ import annotations

import pytest

from callsign.cluster.membership import HostRow
from callsign.cluster.trying import Trying

ACCOUNT = "noojee"


class Hosts:
    """What each says of itself; `aside` is who stands aside by that."""

    def __init__(self, *names: str) -> None:
        self.living = {name: HostRow(name, 1, 0, False, {ACCOUNT: 3}, [ACCOUNT]) for name in names}
        self.views = {name: Trying(name) for name in names}

    def say(self, name: str, in_trouble: bool, waits: int = 3) -> None:
        troubled = [ACCOUNT] if in_trouble else []
        self.living[name] = HostRow(name, 1, 0, False, {ACCOUNT: waits} if waits else {}, [ACCOUNT], troubled)

    @property
    def aside(self) -> str:
        return "".join(name for name in self.living if self.views[name].stands_aside(ACCOUNT, self.living))


@pytest.fixture
def hosts() -> Hosts:
    """Three where the vendor is away."""
    found = Hosts("a", "b", "c")
    for name in "abc":
        found.say(name, in_trouble=True)
    return found


def test_where_the_vendor_is_well_nobody_stands_aside() -> None:
    assert Hosts("a", "b", "c").aside == ""


def test_one_tries_a_vendor_in_trouble(hosts: Hosts) -> None:
    assert hosts.aside == "bc"


def test_all_see_for_themselves_when_it_is_well_there(hosts: Hosts) -> None:
    assert hosts.aside == "bc"
    hosts.say("a", in_trouble=False)
    assert hosts.aside == ""
    hosts.say("b", in_trouble=False)
    assert hosts.aside == ""  # c's own way to the vendor may be at fault


def test_and_stand_aside_again_when_it_is_not(hosts: Hosts) -> None:
    for in_trouble, aside in ((True, "bc"), (False, ""), (True, "bc")):
        hosts.say("a", in_trouble)
        assert hosts.aside == aside


def test_the_next_one_tries_when_the_first_is_dead(hosts: Hosts) -> None:
    assert hosts.aside == "bc"
    del hosts.living["a"]
    assert hosts.aside == "c"


def test_or_has_nothing_to_try(hosts: Hosts) -> None:
    hosts.say("a", in_trouble=True, waits=0)
    assert "b" not in hosts.aside
    assert "c" in hosts.aside


def test_a_host_that_has_not_noticed_the_trouble_is_waited_for_by_nobody(hosts: Hosts) -> None:
    hosts.say("a", in_trouble=False)
    assert hosts.aside == "c"


def test_a_host_with_nothing_to_try_and_no_other_in_trouble_tries_its_next_one(hosts: Hosts) -> None:
    hosts.say("a", in_trouble=True, waits=0)
    hosts.say("b", in_trouble=False)
    hosts.say("c", in_trouble=False)
    assert hosts.aside == ""
