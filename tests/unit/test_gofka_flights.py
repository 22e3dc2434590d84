"""What is done about requests that failed: every way in which a few of them can end, against the rules of the order."""

import asyncio
from itertools import product

import pytest

from superclient.gofka.batches import Entry
from superclient.gofka.envelope import MAGIC, Record
from superclient.gofka.errors import ConnectionError, GofkaError  # noqa: A004  the name that the built-in one has
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.flights import Flight, delay, sort
from superclient.gofka.wire import BrokerError, Produce, ProduceReply

RAW, ENVELOPED = b"raw", MAGIC + b"..."
OUTCOMES = {  # message, how it ended, whether it is stored (None: nobody knows), whether a copy does no harm
    "stored": (RAW, None, True, False),
    "refused": (RAW, "node is not the leader", False, True),
    "refused, enveloped": (ENVELOPED, "timed out enqueuing operation", False, True),
    "lost": (RAW, ConnectionError("lost"), None, False),
    "lost, enveloped": (ENVELOPED, ConnectionError("lost"), None, True),
    "stored although an error": (ENVELOPED, "failed to produce message: failed to get or create log", True, False),
    "poisoned": (ENVELOPED, "failed to parse base offset from segment file name", None, False),
}


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


def flown(loop: asyncio.AbstractEventLoop, outcome: str) -> Flight:
    """A flight that has ended so."""
    message, end, _, _ = OUTCOMES[outcome]
    flight = Flight([Entry(Record(message, 0.0), loop.create_future())], 1, Produce("t", 0, message), lambda _: None)
    if end is None:
        flight.set_result(ProduceReply(0, 7))
    else:
        flight.set_exception(BrokerError(end) if isinstance(end, str) else end)
    return flight


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_is_sent_again_is_out_of_order_nowhere(loop, count):
    """GOF-14, hazards: again goes what may, in order, and nothing that would follow a later one that is stored."""
    for names in product(OUTCOMES, repeat=count):
        flights = [flown(loop, name) for name in names]
        found = sort(flights)
        again = [flights.index(each) for each in found.again]
        failed = {flights.index(each): (stored, overtaken) for each, stored, overtaken in found.failed}
        assert again == sorted(again)
        assert sorted([*again, *failed]) == [place for place, name in enumerate(names) if name != "stored"]
        assert found.dropped == []
        for place, name in enumerate(names):
            _, _, stored, may = OUTCOMES[name]
            behind = {OUTCOMES[later][2] for later in names[place + 1 :]}
            overtaken = may and (True in behind or (stored is False and None in behind))
            assert (place in again) == (may and not overtaken), (names, place)
            assert failed.get(place, (stored is True, overtaken)) == (stored is True, overtaken), (names, place)
            assert flights[place].maybe == (stored is None)


def test_what_nobody_waits_for_is_not_sent_again(loop):
    """Cancelled while it was under way: dropped, and its memory can be given back."""
    flights = [flown(loop, "refused"), flown(loop, "refused")]
    flights[0].entries[0].done.cancel()
    assert sort(flights) == ([flights[1]], [], [flights[0]])


def test_a_reply_tells_the_senders_first(loop):
    """GOF-1: when `told` is called, the futures have their offsets; one that was cancelled is left alone."""
    entries = [Entry(Record(b"", 0.0), loop.create_future()) for _ in range(3)]
    entries[1].done.cancel()
    heard: list[list[bool]] = []
    flight = Flight(entries, 1, Produce("t", 0, RAW), lambda _: heard.append([each.done.done() for each in entries]))
    assert not flight.done()
    flight.set_result(ProduceReply(0, 7))
    assert flight.done()
    assert heard == [[True] * 3]
    assert [(int(each.done.result()), each.done.result().index) for each in (entries[0], entries[2])] == [
        (7, 0),
        (7, 2),
    ]


def test_attempts_are_counted_from_the_first_failure_on(loop):
    """GOF-21: as many as the policy has; another flight has its own."""
    policy = RetryPolicy(2, 100, jitter=False)
    first, second = flown(loop, "refused"), flown(loop, "refused")
    assert [delay(first, policy) for _ in range(3)] == [0.1, 0.2, None]
    assert delay(second, policy) == 0.1


def test_an_error_is_kept_until_the_next_attempt(loop):
    """A flight that is sent again is not done, and forgets its error with the reply."""
    flight = flown(loop, "refused")
    assert isinstance(flight.error, GofkaError)
    flight.answered = False
    flight.set_result(ProduceReply(0, 7))
    assert flight.error is None
