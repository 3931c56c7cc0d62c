"""Leading a conversation by hand: what goes out, until when, and that it is always closed."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from callsign.delivery.conversation import NO_TIME, PastDeadline, run_conversation
from callsign.http.messages import Answer, NoAnswer, Reply, Request
from callsign.verdicts import Delivered, Outcome, TryLater
from clocks_play import Clock

DONE = Delivered("done")
YES = Answer(200, {}, b"yes")


class Vendor:
    """Answers YES after `takes` seconds on the clock, and keeps what it was sent and the time it was given."""

    def __init__(self, clock: Clock, takes: float = 0.0) -> None:
        self.clock = clock
        self.takes = takes
        self.requests: list[Request] = []
        self.given: list[float] = []

    def __call__(self, request: Request, seconds: float) -> Reply:
        self.requests.append(request)
        self.given.append(seconds)
        self.clock.now += self.takes
        return YES


class Talk:
    """A conversation of `steps` requests, which notes the replies and whether it was closed."""

    def __init__(self, steps: int, before_first: float = 0.0, clock: Clock | None = None) -> None:
        self.steps = steps
        self.before_first = before_first
        self.clock = clock
        self.replies: list[Reply] = []
        self.closed = False

    def run(self, pause: float = 0.0) -> Generator[Request, Reply, Outcome]:
        try:
            if self.clock is not None:
                self.clock.now += self.before_first
            for n in range(self.steps):
                request = Request("POST", f"http://127.0.0.1/{n}", after_seconds=pause if n else 0.0)
                self.replies.append((yield request))
            return DONE
        finally:
            self.closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_each_request_is_sent_and_its_reply_handed_back_until_the_verdict(clock: Clock) -> None:
    vendor, talk = Vendor(clock), Talk(3)
    assert run_conversation(talk.run(), vendor, clock, clock.now + 60, 10) == DONE
    assert [request.url[-1] for request in vendor.requests] == ["0", "1", "2"]
    assert talk.replies == [YES, YES, YES]


def test_a_conversation_that_needs_no_request_has_its_verdict_even_after_the_deadline(clock: Clock) -> None:
    vendor = Vendor(clock)
    assert run_conversation(Talk(0).run(), vendor, clock, clock.now - 1, 10) == DONE
    assert vendor.requests == []


@pytest.mark.parametrize("late", [0.0, 0.001, 100.0])
def test_nothing_is_sent_at_the_deadline_or_after_it(clock: Clock, late: float) -> None:
    vendor, talk = Vendor(clock), Talk(1)
    running = talk.run()  # kept, so that it is not the garbage collector who closes it
    with pytest.raises(PastDeadline):
        run_conversation(running, vendor, clock, clock.now - late, 10)
    assert vendor.requests == []
    assert talk.closed


def test_nothing_is_sent_when_the_deadline_passes_while_the_conversation_prepares_its_first_request(
    clock: Clock,
) -> None:
    # Noojee's waits for another one's timestamp there.
    vendor, talk = Vendor(clock), Talk(1, before_first=5.0, clock=clock)
    with pytest.raises(PastDeadline):
        run_conversation(talk.run(), vendor, clock, clock.now + 5.0, 10)
    assert vendor.requests == []


def test_the_deadline_stops_a_conversation_between_two_requests(clock: Clock) -> None:
    vendor, talk = Vendor(clock, takes=6.0), Talk(2)
    with pytest.raises(PastDeadline):
        run_conversation(talk.run(), vendor, clock, clock.now + 6.0, 10)
    assert len(vendor.requests) == 1
    assert talk.closed


def test_all_requests_together_share_the_time_of_one_attempt(clock: Clock) -> None:
    vendor, talk = Vendor(clock, takes=4.0), Talk(9)
    found = run_conversation(talk.run(), vendor, clock, clock.now + 600, 10)
    assert found == TryLater("no verdict within 10 s")
    assert vendor.given == [10.0, 6.0, 2.0]
    assert talk.closed


def test_what_changes_nothing_is_sent_also_when_little_time_is_left(clock: Clock) -> None:
    def talk(is_safe: bool) -> Generator[Request, Reply, Delivered]:
        yield Request("GET", "https://host/", is_safe=is_safe)
        return DONE

    assert run_conversation(talk(is_safe=True), Vendor(clock), clock, clock.now + 60, 0.1) == DONE
    found = run_conversation(talk(is_safe=False), Vendor(clock), clock, clock.now + 60, 0.1)
    assert found == TryLater("no verdict within 0.1 s")


def test_a_request_gets_no_more_time_than_the_job_has_left(clock: Clock) -> None:
    vendor = Vendor(clock)
    run_conversation(Talk(1).run(), vendor, clock, clock.now + 3, 10)
    assert vendor.given == [3.0]


def sleep_on(clock: Clock) -> Callable[[float], None]:
    def pause(seconds: float) -> None:
        clock.now += seconds

    return pause


def test_a_request_goes_out_after_the_pause_that_the_vendor_wants(clock: Clock) -> None:
    vendor, talk = Vendor(clock), Talk(2)
    assert run_conversation(talk.run(pause=4.0), vendor, clock, clock.now + 60, 10, sleep_on(clock)) == DONE
    assert vendor.given == [10.0, 6.0]
    assert clock.now == 1004.0


@pytest.mark.parametrize("limits", [(60.0, 10.0), (10.0, 60.0)])
def test_a_pause_that_would_take_all_the_time_left_is_not_made_and_the_conversation_told(
    clock: Clock, limits: tuple[float, float]
) -> None:
    deadline, longest = limits
    vendor, talk = Vendor(clock), Talk(2)
    assert run_conversation(talk.run(pause=9.9), vendor, clock, clock.now + deadline, longest, sleep_on(clock)) == DONE
    assert (len(vendor.requests), clock.now) == (1, 1000.0)
    assert talk.replies == [YES, NO_TIME]
    assert not NO_TIME.sent


def test_a_pause_that_took_longer_than_it_should_sends_nothing_late(clock: Clock) -> None:
    vendor, talk = Vendor(clock), Talk(2)
    found = run_conversation(talk.run(pause=4.0), vendor, clock, clock.now + 60, 10, lambda _: sleep_on(clock)(9.9))
    assert found == TryLater("no verdict within 10 s")
    assert len(vendor.requests) == 1


def test_what_the_sender_says_of_a_failure_is_handed_back_like_any_reply(clock: Clock) -> None:
    talk = Talk(1)
    gone = NoAnswer("127.0.0.1 refuses connections", sent=False)
    assert run_conversation(talk.run(), lambda _request, _seconds: gone, clock, clock.now + 60, 10) == DONE
    assert talk.replies == [gone]


def test_a_fault_of_the_sender_closes_the_conversation_and_is_not_hidden(clock: Clock) -> None:
    talk = Talk(1)

    def broken(_request: Request, _seconds: float) -> Reply:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_conversation(talk.run(), broken, clock, clock.now + 60, 10)
    assert talk.closed


def test_a_fault_of_the_conversation_is_not_hidden(clock: Clock) -> None:
    def broken() -> Generator[Request, Reply, Outcome]:
        yield Request("POST", "http://127.0.0.1/")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_conversation(broken(), Vendor(clock), clock, clock.now + 60, 10)
