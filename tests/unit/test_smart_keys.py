"""Where records with keys go: hashes like librdkafka's, memory that is bounded, and a key that stays where it was."""

from __future__ import annotations

import ctypes
import itertools
import random
import threading
from collections.abc import Callable
from typing import Any

import confluent_kafka
import pytest

from superclient.partitioning import LagState, Queue, Rules
from superclient.smart.keys import HASHES, MOST_UNSEEN, UNPLACED, Keys

TOPIC = "orders"


class Clock:
    """A time that moves when it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Shared:
    """A cache that others write too; what was asked for is there the next time, as with Redis."""

    def __init__(self, **known: Any) -> None:
        self.known: dict[str, Any] = dict(known)
        self.asked: list[str] = []
        self.told: list[str] = []

    def get_nowait(self, key: str, *, renew: bool = False) -> Any:
        self.asked.append(key)
        return self.known.get(key)

    def set_nowait(self, key: str, value: Any, ttl: float | None = None, *, first: bool = False) -> None:
        self.told.append(key)
        if not (first and key in self.known):
            self.known[key] = value


def seen(lags: list[int], clock: Clock, state: LagState | None = None) -> LagState:
    """What a monitor with the documented defaults makes of these lags."""
    state = state or LagState(Rules(max_lag=1000, least=0.0, probation=False))
    state.update(TOPIC, {partition: Queue(lag, lag) for partition, lag in enumerate(lags)}, clock())
    return state


def key_of(partition: int, partitions: int, name: str = "consistent_random") -> bytes:
    """A key whose hash partition is this one."""
    keys = (b"key-%d" % number for number in itertools.count())
    return next(key for key in keys if HASHES[name](key) % partitions == partition)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def some_keys(number: int) -> list[bytes]:
    """Text, binary, long, one byte; none of them empty."""
    chance = random.Random(7)
    texts = [f"kunde-ä-{index}-ключ".encode() for index in range(number // 4)]
    return texts + [chance.randbytes(chance.randint(1, 40)) for _ in range(number - len(texts))]


def librdkafka(name: str) -> Callable[[bytes, int], int]:
    """The partitioner itself, a public function of the library that confluent-kafka brings."""
    function = getattr(ctypes.CDLL(confluent_kafka.cimpl.__file__), f"rd_kafka_msg_partitioner_{name}")
    function.restype = ctypes.c_int32
    pointer = ctypes.c_void_p
    function.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, pointer, pointer]
    return lambda key, partitions: function(None, key, len(key), partitions, None, None)


@pytest.mark.parametrize("name", HASHES)
def test_hashes_are_librdkafkas(name: str) -> None:
    """KSP-8: 4000 keys, and the empty one where it has a hash, over 1 to 1000 partitions: the same, to the last one."""
    theirs, chance = librdkafka(name), random.Random(3)
    keys = some_keys(4000) + ([] if name == "consistent_random" else [b""])
    for key in keys:
        partitions = chance.randint(1, 1000)
        assert HASHES[name](key) % partitions == theirs(key, partitions), key


def test_a_key_begins_at_its_hash_partition_when_that_is_healthy(clock: Clock) -> None:
    """KSP-8: and stays there when it is not healthy any more."""
    state = seen([0, 0, 0, 0], clock)
    keys = Keys(state.views, clock=clock)
    key = key_of(2, 4)
    assert keys.place(TOPIC, key) == 2
    seen([0, 0, 5000, 0], clock, state)
    assert [keys.place(TOPIC, key) for _ in range(500)] == [2] * 500


def test_a_key_begins_elsewhere_when_its_partition_lags(clock: Clock) -> None:
    """KSP-8: at a healthy one, where it stays when its own recovers; a text and its bytes are one key."""
    state = seen([0, 0, 5000, 5000], clock)
    keys = Keys(state.views, clock=clock)
    key = key_of(2, 4)
    first = keys.place(TOPIC, key)
    assert first in (0, 1)
    seen([5000, 5000, 0, 0], clock, state)
    assert {keys.place(TOPIC, key), keys.place(TOPIC, key.decode())} == {first}


def test_every_process_chooses_alike(clock: Clock) -> None:
    """KSP-8: those that see the same health, without having heard of each other; all healthy ones get keys."""
    state = seen([5000, 0, 0, 5000, 0], clock)
    some = some_keys(500)
    one, other = (Keys(state.views, most=500, clock=clock) for _ in range(2))
    chosen = [one.place(TOPIC, key) for key in some]
    assert chosen == [other.place(TOPIC, key) for key in reversed(some)][::-1]
    assert set(chosen) == {1, 2, 4}
    assert min(chosen.count(partition) for partition in (1, 2, 4)) > 100


def test_as_long_as_nothing_is_known_librdkafka_chooses(clock: Clock) -> None:
    """KSP-5, KSP-8: and its choice counts from then on: the key does not move when the first health comes."""
    state = LagState(Rules(max_lag=1000, least=0.0))
    keys = Keys(state.views, clock=clock)
    key = key_of(2, 4)
    assert keys.place(TOPIC, key) == UNPLACED
    seen([0, 0, 5000, 0], clock, state)
    placed = {keys.place(TOPIC, key) for _ in range(MOST_UNSEEN * 3)}
    assert placed == {2}


@pytest.mark.parametrize("lags", [[5000] * 4, None])
def test_nothing_healthy_or_nothing_new_is_the_hash(lags: list[int] | None, clock: Clock) -> None:
    """KSP-5: so a record goes where librdkafka would have put it."""
    state = seen(lags or [5000, 0, 0, 0], clock)
    if lags is None:
        clock.now += 3600
    keys = Keys(state.views, clock=clock)
    assert [keys.place(TOPIC, key_of(partition, 4)) for partition in range(4)] == [0, 1, 2, 3]


def test_an_empty_key_is_a_key(clock: Clock) -> None:
    """KSP-8: librdkafka's default spreads it like none; here it stays like any other."""
    state = seen([0, 5000, 0], clock)
    keys = Keys(state.views, clock=clock)
    first = keys.place(TOPIC, b"")
    seen([5000, 0, 5000], clock, state)
    assert {keys.place(TOPIC, b""), keys.place(TOPIC, "")} == {first}


@pytest.mark.parametrize("key", [5, 1.5, bytearray(b"x"), memoryview(b"x"), ["x"]])
def test_what_is_no_key_is_refused(key: Any, clock: Clock) -> None:
    """KSP-11: `bytes(5)` would be five zeros."""
    with pytest.raises(TypeError):
        Keys(seen([0], clock).views, clock=clock).place(TOPIC, key)


def test_memory_is_bounded(clock: Clock) -> None:
    """KSP-32: 100,000 keys, room for 100; those that go on being used are not the ones that go."""
    state = seen([0, 0, 5000, 0], clock)
    keys = Keys(state.views, most=100, clock=clock)
    used = [(key, keys.place(TOPIC, key)) for key in (b"used-%d" % number for number in range(20))]
    seen([5000, 0, 0, 0], clock, state)
    for number in range(100_000):
        keys.place(TOPIC, b"%d" % number)
        if number % 10 == 0:
            for key, partition in used:
                assert keys.place(TOPIC, key) == partition
        assert len(keys) <= 100
    assert len(keys._queue) <= 101


def test_a_key_that_nobody_uses_is_forgotten(clock: Clock) -> None:
    """KSP-29: local_ttl_seconds; one that is used now and then is not, however long it goes on."""
    state = seen([0, 5000], clock)
    keys = Keys(state.views, seconds=10.0, clock=clock)
    idle, busy = key_of(1, 2), key_of(1, 2) + b"\0" * 4
    assert [keys.place(TOPIC, idle), keys.place(TOPIC, busy)] == [0, 0]
    for _ in range(100):
        clock.now += 9.0
        seen([0, 0], clock, state)
        assert keys.place(TOPIC, busy) == 0
    assert keys.place(TOPIC, idle) == 1


def test_a_key_that_was_used_unseen_is_not_forgotten(clock: Clock) -> None:
    """KSP-8: the time is not asked for at each record; that must never count as idleness."""
    state = seen([0, 5000], clock)
    keys = Keys(state.views, seconds=10.0, clock=clock)
    key = key_of(1, 2)
    for _ in range(200):
        assert keys.place(TOPIC, key) == 0
    seen([0, 0], clock, state)
    for _ in range(200):
        clock.now += 1.0
        assert keys.place(TOPIC, key) == 0


def test_others_choices_count(clock: Clock) -> None:
    """KSP-8, KSP-26: what the shared cache tells when a key comes first; what it has not told is told to it."""
    state = seen([0, 0, 0, 0], clock)
    shared = Shared()
    one = Keys(state.views, shared=shared, space="east", clock=clock)
    key = key_of(1, 4)
    assert one.place(TOPIC, key) == 1
    (name,) = shared.known
    assert name.startswith("east:orders:")
    assert key.decode() not in name
    shared.known[name] = 3
    other = Keys(state.views, shared=shared, space="east", clock=clock)
    assert other.place(TOPIC, key) == 3
    assert one.place(TOPIC, key) == 1, "what this process has chosen stays"


@pytest.mark.parametrize("told", [4, -1, "2", 2.0, True, [1], {"a": 1}])
def test_nonsense_of_others_does_not_count(told: Any, clock: Clock) -> None:
    """KSP-8: a partition that is not there, or no number at all."""
    state = seen([0, 0, 0, 0], clock)
    shared = Shared()
    key = key_of(1, 4)
    Keys(state.views, shared=shared, clock=clock).place(TOPIC, key)
    shared.known = dict.fromkeys(shared.known, told)
    assert Keys(state.views, shared=shared, clock=clock).place(TOPIC, key) == 1


def test_what_is_in_use_is_told_again_before_others_forget_it(clock: Clock) -> None:
    """KSP-8: a key that this process goes on with must not be chosen anew by another one meanwhile."""
    shared = Shared()
    keys = Keys(seen([0, 0], clock).views, shared=shared, shared_seconds=40.0, clock=clock)
    for _ in range(100):
        assert keys.place(TOPIC, key_of(1, 2)) == 1
        clock.now += 1.0
    assert 7 <= len(shared.told) <= 11


def test_of_two_who_are_first_the_faster_one_is_who_others_go_by(clock: Clock) -> None:
    """KSP-8: neither moves its key; whoever comes later does as the faster one did."""
    shared, key = Shared(), key_of(1, 4)
    one = Keys(seen([0, 5000, 5000, 5000], clock).views, shared=shared, clock=clock)
    assert one.place(TOPIC, key) == 0
    told, shared.known = dict(shared.known), {}  # under way
    other = Keys(seen([0, 0, 0, 0], clock).views, shared=shared, clock=clock)
    shared.get_nowait = lambda key, renew=False: None  # type: ignore[method-assign]
    shared.known = told
    assert other.place(TOPIC, key) == 1
    assert shared.known == told
    assert one.place(TOPIC, key) == 0


def test_without_memory_the_shared_cache_is_asked_each_time(clock: Clock) -> None:
    """KSP-28: Redis alone (local_max_size=0)."""
    shared = Shared()
    keys = Keys(seen([0, 0], clock).views, most=0, shared=shared, clock=clock)
    assert {keys.place(TOPIC, key_of(1, 2)) for _ in range(5)} == {1}
    assert len(shared.asked) == 5
    assert len(keys) == 0


def test_a_topic_made_anew_with_fewer_partitions(clock: Clock) -> None:
    """KSP-8: as long as the partition exists."""
    state = seen([5000, 5000, 5000, 0], clock)
    keys = Keys(state.views, clock=clock)
    key = key_of(1, 4)
    assert keys.place(TOPIC, key) == 3
    seen([0, 0], clock, state)
    keys.missing(TOPIC, key)
    assert keys.place(TOPIC, key) in (0, 1)


def test_a_leaderless_partition_still_counts(clock: Clock) -> None:
    """KSP-8: the number of partitions is what the hash is taken modulo of; a view lacks those without a leader."""
    state = seen([0, 0, 0, 0], clock)
    keys = Keys(state.views, clock=clock)
    keys.place(TOPIC, b"any")
    seen([0, 0, 0], clock, state)
    assert keys.place(TOPIC, key_of(2, 4)) == 2


def test_threads_agree(clock: Clock) -> None:
    """KSP-8: many threads, few keys, memory for half of them, health that changes: nothing raises, and while a key is
    remembered all of them have the same answer."""
    state = seen([0, 0, 0, 5000], clock)
    keys = Keys(state.views, most=4, clock=clock)
    wrong: list[object] = []

    def run(number: int) -> None:
        chance = random.Random(number)
        try:
            for _ in range(5000):
                if keys.place(TOPIC, b"%d" % chance.randrange(8)) not in range(4):
                    wrong.append("no partition")
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(keys) <= 8
