"""Records without a key: a partition a batch, only healthy ones, and librdkafka's own where nothing is known."""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import pytest

from superclient.partitioning import LagAware, LagState, Queue, Rules
from superclient.smart.choice import Choice, partitioner
from superclient.smart.keys import UNPLACED

TOPIC = "orders"


class Clock:
    """A time that moves when it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def seen(lags: list[int], clock: Clock, state: LagState | None = None) -> LagState:
    state = state or LagState(Rules(max_lag=1000, cut_off=1000.0, least=0.0, probation=False))
    state.update(TOPIC, {partition: Queue(lag, lag) for partition, lag in enumerate(lags)}, clock())
    return state


def made(state: LagState, clock: Clock, **settings: Any) -> Choice:
    names = {name.replace("_", "."): value for name, value in settings.items()}
    return Choice(state.views, names, partitioner=LagAware(state.views, random.Random(1), clock), clock=clock)


def turns(choice: Choice, clock: Clock, records: int, gap: float, value: bytes | None = b"x" * 100) -> list[list[int]]:
    """The partitions of so many records, a list a turn."""
    found: list[list[int]] = []
    last = None
    for _ in range(records):
        partition = choice.place(TOPIC, value)
        turn = choice.turns[TOPIC]
        if turn is not last:
            found.append([])
        last = turn
        found[-1].append(partition)
        clock.now += gap
    return found


@pytest.mark.parametrize("gap", [0.0001, 0.002, 0.05])
def test_a_turn_is_as_long_as_librdkafkas(gap: float, clock: Clock) -> None:
    """LAG-5: twice the linger, whatever the pace, though the time is not asked for at each record."""
    found = turns(made(seen([0] * 6, clock), clock, linger_ms=20), clock, 5000, gap)
    expected = max(1, round(0.04 / gap))
    assert all(len(set(each)) == 1 for each in found)
    assert all(expected <= len(each) <= expected * 1.3 + 1 for each in found[:-1])
    assert {each[0] for each in found} == set(range(6))


def test_a_turn_ends_when_its_batch_is_full(clock: Clock) -> None:
    """LAG-5: by bytes, within a few records, or by records."""
    full = turns(made(seen([0] * 6, clock), clock, linger_ms=10_000, batch_size=12_100), clock, 2000, 0.0)
    assert all(98 <= len(each) <= 102 for each in full[:-1])
    counted = turns(made(seen([0] * 6, clock), clock, linger_ms=10_000, batch_num_messages=50), clock, 2000, 0.0)
    assert all(50 <= len(each) <= 51 for each in counted[:-1])


def test_all_healthy_partitions_get_the_same(clock: Clock) -> None:
    """KSP-2: and those below the threshold nothing; one that is exactly there is healthy."""
    state = seen([0, 100, 501, 500, 9000, 0], clock)
    choice = made(state, clock)
    counts = Counter(partition for each in turns(choice, clock, 20_000, 0.001) for partition in each)
    assert set(counts) == {0, 1, 3, 5}
    assert max(counts.values()) < 1.1 * min(counts.values())


def test_what_recovers_is_used_again(clock: Clock) -> None:
    """KSP-4: with the first view that says so."""
    state = seen([0, 9000], clock)
    choice = made(state, clock)
    assert {partition for each in turns(choice, clock, 1000, 0.001) for partition in each} == {0}
    seen([0, 0], clock, state)
    assert {partition for each in turns(choice, clock, 1000, 0.001) for partition in each} == {0, 1}


def test_a_change_ends_the_turn_at_once(clock: Clock) -> None:
    """KSP-2: not one record more goes to a partition that a refresh has found to lag."""
    state = seen([0, 9000], clock)
    choice = made(state, clock)
    for _ in range(50):
        assert choice.place(TOPIC, b"") == 0
    seen([9000, 0], clock, state)
    choice.changed()
    assert {choice.place(TOPIC, b"") for _ in range(50)} == {1}


@pytest.mark.parametrize("known", ["nothing", "old", "nothing healthy"])
def test_librdkafka_chooses(known: str, clock: Clock) -> None:
    """KSP-5: until there is something to go by again."""
    state = LagState(Rules(max_lag=1000, least=0.0))
    if known != "nothing":
        seen([9000] * 3 if known == "nothing healthy" else [0] * 3, clock, state)
    clock.now += 1001.0
    if known == "nothing healthy":
        seen([9000] * 3, clock, state)
    choice = made(state, clock)
    assert {choice.place(TOPIC, b"") for _ in range(1000)} == {UNPLACED}
    clock.now += 1.0
    seen([0, 9000], clock, state)
    choice.changed()
    assert choice.place(TOPIC, b"") == 0


def test_topics_do_not_pile_up(clock: Clock) -> None:
    """KSP-32: a program that writes to a million topics."""
    choice = made(seen([0], clock), clock)
    for number in range(10_000):
        choice.place(f"topic-{number}", b"")
    assert len(choice.turns) <= 1000


@pytest.mark.parametrize("value", ["text", b"", None, b"x" * 10_000_000])
def test_any_value_has_a_place(value: Any, clock: Clock) -> None:
    """KSP-11: text, nothing, a tombstone, one that fills a batch by itself."""
    choice = made(seen([0, 9000], clock), clock)
    assert {choice.place(TOPIC, value) for _ in range(100)} == {0}


@pytest.mark.parametrize(
    "settings", [{"batch.size": "soon"}, {"linger.ms": None}, {"linger.ms": "0"}, {"batch.size": 0}]
)
def test_settings_that_librdkafka_may_refuse(settings: dict[str, Any], clock: Clock) -> None:
    """KSP-11: that is librdkafka's to say; a turn is never shorter than what its own batches need."""
    choice = Choice(seen([0, 9000], clock).views, settings, clock=clock)
    assert {choice.place(TOPIC, b"") for _ in range(100)} == {0}


def test_the_partitioner_is_found_in_both_places() -> None:
    """KSP-8: librdkafka takes it also among the topic's own settings."""
    assert partitioner({"partitioner": "murmur2"}) == "murmur2"
    assert partitioner({"default.topic.config": {"partitioner": "fnv1a"}}) == "fnv1a"
    assert partitioner({}) is None


def test_threads_wait_for_nobody(clock: Clock) -> None:
    """KSP-5: while one of them chooses, the others stay with the turn that is ending, or leave it to librdkafka."""
    state = seen([0, 0, 9000], clock)
    choice = made(state, clock)
    with choice._lock:
        assert choice.place(TOPIC, b"") == UNPLACED
    found: set[int] = set()

    def run() -> None:
        for _ in range(5000):
            found.add(choice.place(TOPIC, b"x"))
            clock.now += 0.001

    state.views[TOPIC] = choice._views[TOPIC]
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found <= {0, 1, UNPLACED}
