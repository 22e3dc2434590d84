"""Where records without a key go: the sticky choice, a batch's turn, and who is routed at all."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter, defaultdict, deque
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient.agent import optimizer, routing
from superclient.agent.model import Advice, Origin, Plan, ProducerRequest, State, Treatment
from superclient.contract import Metadata
from superclient.kafka.connection import Connection
from superclient.kafka.vocabulary import BATCH, PARTITIONER
from superclient.partitioning import Sticky
from superclient.partitioning.sticky import CATCH_UP
from superclient.settings import Settings

TOPIC = "orders"


@given(st.sets(st.integers(0, 500), min_size=1), st.data())
def test_another_available_partition_for_each_batch(available: set[int], data: st.DataObject) -> None:
    """AGT-33: each batch goes to an available partition, and to another one than the last wherever there is one."""
    sticky, last = Sticky(random.Random(0)), None
    for _ in range(5):
        chosen = sticky.choose(TOPIC, sorted(available))
        assert chosen in available
        assert chosen != last or available == {last}
        sticky.batch_full(TOPIC, chosen, 1, data.draw(st.integers(0, 10**6)))
        last = chosen


@pytest.mark.parametrize("partitions", [2, 3, 12, 100])
def test_bytes_are_even_in_the_long_run_however_slow_a_broker(partitions: int) -> None:
    """AGT-33: within 10 % for each partition, also where one broker's batches are ten times as large as the others'."""
    chance = random.Random(1)
    sticky, given_to = Sticky(random.Random(2)), Counter[int]()
    for _ in range(300 * partitions):
        chosen = sticky.choose(TOPIC, range(partitions))
        size = chance.randint(500, 1500) * (10 if chosen == 0 and partitions > 2 else 1)
        given_to[chosen] += size
        sticky.batch_full(TOPIC, chosen, size // 100, size)
    even = sum(given_to.values()) / partitions
    assert all(abs(bytes_ / even - 1) < 0.1 for bytes_ in given_to.values()), given_to


def test_a_partition_that_was_away_is_not_given_all_that_it_missed() -> None:
    """AGT-33: what is new, or comes back, gets at most a double share, and for a few batches only."""
    sticky = Sticky(random.Random(3))

    def batches(count: int, partitions: int) -> Counter[int]:
        chosen = Counter[int]()
        for _ in range(count):
            partition = sticky.choose(TOPIC, range(partitions))
            sticky.batch_full(TOPIC, partition, 10, 1000)
            chosen[partition] += 1
        return chosen

    batches(5000, 4)
    assert batches(50, 5)[4] <= 50 * 2 / 5 + 5
    batches(CATCH_UP * 5 * 4, 5)
    assert batches(5000, 5)[4] == pytest.approx(1000, rel=0.05)


class Key(NamedTuple):
    """What the libraries' TopicPartition is."""

    topic: str
    partition: int


class Library:
    """A client library as a router sees it: a cluster's metadata, queues of batches of at most `limit` bytes."""

    def __init__(self, partitions: int, limit: int = 1000) -> None:
        self.leaders = dict.fromkeys(range(partitions), 1)
        self.batches: dict[Key, deque[list[int]]] = defaultdict(deque)
        self.limit = limit
        self.finished: list[tuple[int, list[int]]] = []
        self.router = routing.Router(self, self.batches, Key, self.room, Sticky(random.Random(4)))

    def topics(self) -> set[str]:
        return {TOPIC}

    def available_partitions_for_topic(self, topic: str) -> set[int] | None:
        return {partition for partition, leader in self.leaders.items() if leader != -1} if topic == TOPIC else None

    def leader_for_partition(self, key: Key) -> int | None:
        return self.leaders.get(key.partition)

    def room(self, batch: list[int], size: int) -> bool:
        return sum(batch) + size <= self.limit

    def send(self, size: int, asked: int = 1) -> int | None:
        """Send a record, its partition asked for several times; where it went."""
        places = {self.router.place(TOPIC, size) for _ in range(asked)}
        assert len(places) == 1, "asked twice, it is not the same"
        (partition,) = places
        if partition is not None:
            queue = self.batches[Key(TOPIC, partition)]
            if not queue or not self.room(queue[-1], size):
                queue.append([])
            queue[-1].append(size)
        return partition

    def drain(self) -> None:
        for key, queue in self.batches.items():
            while queue:
                batch = queue.popleft()
                self.finished.append((key.partition, batch))
                self.router.seen(key, batch)


@given(
    st.integers(1, 8),
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.integers(1, 1200)),
            st.tuples(st.just("drain"), st.just(0)),
            st.tuples(st.sampled_from(["lose", "find", "keyed"]), st.integers(0, 7)),
        ),
        max_size=60,
    ),
)
def test_a_record_never_goes_where_no_leader_is_and_asking_twice_is_asking_once(
    partitions: int, events: list[tuple[str, int]]
) -> None:
    """AGT-33: availability respected in any order of sends, drains, keyed records and lost leaders; calls agree."""
    library = Library(partitions)
    for event, number in events:
        if event == "send":
            place = library.send(number, asked=2)
            available = library.available_partitions_for_topic(TOPIC)
            assert place in available if available else place is None
        elif event == "drain":
            library.drain()
        elif event == "keyed":
            library.batches[Key(TOPIC, number % partitions)].append([library.limit])
        else:
            library.leaders[number % partitions] = -1 if event == "lose" else 1


def test_a_partition_keeps_its_turn_until_its_batch_is_full_or_sent() -> None:
    """AGT-33: ten records of a tenth of a batch are one batch; so are as many as come before it is sent."""
    library = Library(12)
    turns = [[library.send(100, asked=2) for _ in range(10)] for _ in range(3)]
    assert [len(set(turn)) for turn in turns] == [1, 1, 1]
    assert turns[0][0] != turns[1][0] != turns[2][0]
    library.drain()
    first = {library.send(100) for _ in range(4)}
    library.drain()
    second = {library.send(100) for _ in range(4)}
    assert (len(first), len(second)) == (1, 1)
    assert first != second


def test_records_that_are_sent_one_by_one_go_around() -> None:
    """AGT-33, AGT-34: a batch of one record that is gone before the next has had its turn."""
    library = Library(12)
    places = []
    for _ in range(600):
        places.append(library.send(100))
        library.drain()
    assert all(one != other for one, other in itertools.pairwise(places))
    assert all(abs(count / 50 - 1) < 0.2 for count in Counter(places).values())


def test_what_is_counted_for_evenness_is_counted_once() -> None:
    """AGT-33: kafka-python 3 asks twice for the record that begins a batch: its bytes count once."""
    told: list[tuple[str, int, int, int]] = []

    class Told(Sticky):
        def batch_full(self, topic: str, partition: int, records: int, size: int) -> None:
            told.append((topic, partition, records, size))

    library = Library(4)
    library.router._partitioner = Told()
    place = library.send(100, asked=2)
    library.send(100), library.send(100)
    library.drain()
    library.send(100, asked=2)
    assert told == [(TOPIC, place, 3, 300)]


def test_a_batch_that_waits_to_be_sent_gives_way_to_one_that_does_not() -> None:
    """AGT-33: with full batches in front of some leaders, the next goes to one that has none."""
    library = Library(4)
    for partition in (0, 1, 3):
        library.batches[Key(TOPIC, partition)].append([library.limit])
    assert {library.send(100) for _ in range(5)} == {2}
    library.batches[Key(TOPIC, 2)].append([library.limit])  # all have one: asking twice is still asking once
    assert library.send(100, asked=3) in range(4)


def test_the_programs_own_chance_is_not_drawn_from() -> None:
    """AGT-33: a program that seeds `random` draws the same numbers whatever it sends in between."""
    random.seed(5)
    expected = [random.random() for _ in range(3)]
    random.seed(5)
    library = Library(12)
    library.router._partitioner = Sticky()
    for _ in range(50):
        library.send(400)
    assert [random.random() for _ in range(3)] == expected


def test_many_threads_fill_one_batch() -> None:
    """AGT-33: threads that send at once share a partition, and none of them ever waits for another."""
    library = Library(12, limit=10**9)
    places, start = [], threading.Barrier(8)

    def send() -> None:
        start.wait(10)
        for _ in range(500):
            places.append(library.router.place(TOPIC, 100))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(places) == 4000
    assert len(set(places) - {None}) == 1


def test_a_lock_that_a_fork_left_behind_stops_nobody() -> None:
    """AGT-24, AGT-33: in a child whose parent was choosing at that moment the library chooses, as without the agent."""
    library = Library(12)
    library.router._lock.acquire()
    assert library.send(100) is None


def test_what_the_cluster_does_not_know_is_the_librarys() -> None:
    """AGT-33: unknown topics, and those without any leader."""
    library = Library(3)
    assert library.router.place("another", 100) is None
    library.send(100)
    library.leaders = dict.fromkeys(range(3), -1)
    assert library.send(100) is None


REQUEST = ProducerRequest(
    library="kafka-python",
    library_version="3.0.12",
    client_id="shop",
    connection=Connection("kafka-python", ("localhost:9092",), "", {}),
    written={},
    defaults={BATCH: 16384, PARTITIONER: "DefaultPartitioner"},
    codecs=frozenset({"none"}),
    tunable=frozenset({BATCH, PARTITIONER}),
)
KNOWN = Advice(State.ABSENT, "no metadata topic on the cluster")


def plan(advice: Advice = KNOWN, request: ProducerRequest = REQUEST, **settings: Any) -> Plan:
    """What the optimizer plans for such a producer."""
    return optimizer.optimize(request, (), advice, Settings(**settings))


@pytest.mark.parametrize("partitioning", ["auto", "sticky"])
def test_the_librarys_own_partitioner_is_replaced_and_that_is_said(partitioning: str) -> None:
    """AGT-33, AGT-67: a change like any other, with its reason."""
    made = plan(partitioning=partitioning)
    assert made.changes[PARTITIONER] == "sticky"
    assert made.reasons[-1].name == PARTITIONER


@pytest.mark.parametrize(
    ("advice", "settings"),
    [
        pytest.param(KNOWN, {"partitioning": "default"}, id="turned off"),
        pytest.param(Advice(State.UNKNOWN, ""), {"partitioning": "sticky"}, id="nothing known yet"),
        pytest.param(Advice(State.KNOWN, "", Metadata(active=False)), {"partitioning": "sticky"}, id="not active"),
        pytest.param(KNOWN, {"exclude_client_ids": ("sh*",)}, id="excluded"),
        pytest.param(KNOWN, {"mode": "observe"}, id="observed"),
        pytest.param(KNOWN, {"defaults": False}, id="no defaults wanted"),
    ],
)
def test_a_producer_that_is_left_alone_keeps_its_partitioner(advice: Advice, settings: dict[str, Any]) -> None:
    """AGT-33, AGT-60, AGT-62, AGT-64: partitioning is changed only where anything may be."""
    assert PARTITIONER not in plan(advice, **settings).changes


def test_what_would_be_done_is_told() -> None:
    """AGT-60: an observed producer's report names the partitioner too."""
    observed = plan(mode="observe")
    assert observed.treatment is Treatment.OBSERVED
    assert observed.proposed[PARTITIONER] == "sticky"


def test_sticky_asked_for_by_name_needs_no_recommendation() -> None:
    """AGT-33: SUPERSTREAM_DEFAULTS=off is about settings; `sticky` is the operator's own word."""
    made = plan(defaults=False, partitioning="sticky")
    assert (made.origin, made.changes) == (Origin.USER, {PARTITIONER: "sticky"})
