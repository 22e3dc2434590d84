"""What becomes of a call of confluent-kafka's `produce` where records may be steered: LAG-6, LAG-7, LAG-8."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from superclient.agent.adapters.confluent import steering
from superclient.agent.adapters.confluent.steering import Steer, steerable
from superclient.agent.lag import Views
from superclient.agent.model import Origin, Plan, ProducerRequest
from superclient.kafka.connection import ClusterKey
from superclient.kafka.security import connection
from superclient.partitioning import LagState, Queue

KEY = ClusterKey(("a:1",), "PLAINTEXT")
LAGGING, WELL = 0, {1, 2, 3}


class UnknownPartition(Exception):
    """Stands for a KafkaException."""

    class Error:
        """Stands for a KafkaError."""

        def code(self) -> int:
            """_UNKNOWN_PARTITION."""
            return -190


def state(lag: int = 50_000, partitions: int = 4) -> LagState:
    """A topic of which one partition lags."""
    found = LagState()
    queues = {number: Queue(lag if number == LAGGING else 0, 100_000) for number in range(partitions)}
    found.update("orders", queues, time.monotonic())
    return found


def steer(known: LagState | None, noted: dict[str, float] | None = None) -> Steer:
    """A producer's choices; its topics were seen a while ago."""
    views = Views({(KEY, "g"): known} if known is not None else {}, KEY, {"orders": "g"})
    return Steer(views, (1000, 1, 60.0), {"orders": 0.0, "other": 0.0} if noted is None else noted)


class Library:
    """A `produce` that remembers its calls; partitions from `count` on are unknown to it."""

    def __init__(self, count: int = 100) -> None:
        self.count = count
        self.calls: list[tuple[tuple[Any, ...], Mapping[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        """Produce."""
        self.calls.append((args, kwargs))
        partition = args[3] if len(args) > 3 else kwargs.get("partition", -1)
        if type(partition) is int and partition >= self.count:
            raise UnknownPartition(UnknownPartition.Error())
        return "produced"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("orders",), {}),
        (("orders", b"v"), {}),
        (("orders", b"v", None), {"timestamp": 5}),
        (("orders", b"v", None, -1), {}),
        (("orders", b"v", None, -1, print, None, 5, {"a": b"b"}), {}),
        (("orders",), {"value": b"v", "key": None, "partition": -1, "on_delivery": print}),
        ((), {"topic": "orders", "value": "text", "headers": [("a", b"b")], "callback": None}),
    ],
)
def test_a_record_without_key_and_partition_gets_one(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """LAG-8: in all ways of calling; everything else of the call is the program's."""
    one, library, met = steer(state()), Library(), set()
    for _ in range(300):
        assert one.produce(library, args, dict(kwargs)) == "produced"
        given, named = library.calls[-1]
        met.add(given[3] if len(given) > 3 else named["partition"])
        assert given[: len(args[:3])] + given[4:] == args[:3] + args[4:]
        assert given[2:3] in ((), (None,))
        assert {**named, "partition": None} == {**kwargs, "partition": None} or len(given) > 3
    assert met >= WELL


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("orders", b"v", b"key"), {}),
        (("orders", b"v", b""), {}),
        (("orders", b"v"), {"key": "key"}),
        (("orders", b"v", None, 2), {}),
        (("orders", b"v"), {"partition": 0}),
        (("orders", b"v"), {"partition": None}),
        (("orders", b"v"), {"partition": -1.0}),
        (("other", b"v"), {}),
        ((None, b"v"), {}),
        (([], b"v"), {}),
        ((), {}),
    ],
)
def test_any_other_call_is_the_programs_to_the_letter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """LAG-6: keys, explicit partitions, topics without a group, and mistakes go to the library as they are."""
    one, library = steer(state()), Library()
    for _ in range(20):
        one.produce(library, args, dict(kwargs))
    assert library.calls == [(args, kwargs)] * 20


@pytest.mark.parametrize(
    "one",
    [
        steer(None),
        steer(state(lag=0)),
        steer(state(), {"orders": time.monotonic() + 60}),
    ],
    ids=["nothing known", "nothing lags", "just seen"],
)
def test_nothing_to_steer_by(one: Steer) -> None:
    """LAG-4: the library chooses."""
    library = Library()
    for _ in range(20):
        one.produce(library, ("orders", b"v"), {})
    assert library.calls == [(("orders", b"v"), {})] * 20


def test_an_old_view_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """LAG-4: a signal older than its cut-off is no signal."""
    one, library, now = steer(state()), Library(), time.monotonic()
    monkeypatch.setattr(steering.time, "monotonic", lambda: now + 61)
    for _ in range(20):
        one.produce(library, ("orders", b"v"), {})
    assert library.calls == [(("orders", b"v"), {})] * 20


def test_a_partition_that_the_library_does_not_know_fails_no_record() -> None:
    """LAG-4: the record goes without it, and what is unknown is not tried again for a while."""
    one, library = steer(state(partitions=8)), Library(4)
    for way in ((("orders", b"v"), {}), (("orders", b"v", None, -1), {}), (("orders",), {"partition": -1})) * 100:
        assert one.produce(library, way[0], dict(way[1])) == "produced"
    refused = [call for call in library.calls if (call[0][3:] or (call[1].get("partition", -1),))[0] >= 4]
    assert 0 < len(refused) <= 4
    assert len(library.calls) == 300 + len(refused)


def test_what_the_library_raises_is_raised() -> None:
    """AGT-28: a full queue, a closed producer; and nothing is tried again that the library may have taken."""
    one = steer(state())

    def full(*args: Any, **kwargs: Any) -> None:
        raise BufferError("Local: Queue full")

    with pytest.raises(BufferError, match="Queue full"):
        one.produce(full, ("orders", b"v"), {})


def test_first_records_are_noted() -> None:
    """AGT-30: with one group for everything, topics are learned here and not from statistics half a minute later."""
    noted: dict[str, float] = {}
    one = steer(state(), noted)
    for topic in ("orders", "more", "orders"):
        one.produce(Library(), (topic, b"v"), {})
    assert set(noted) == {"orders", "more"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"partitioner": "murmur2_random"}, True),
        ({"partitioner": "random"}, True),
        ({"partitioner": "fnv1a_random"}, True),
        ({"partitioner": "consistent"}, False),
        ({"partitioner": "murmur2"}, False),
        ({"partitioner": "fnv1a"}, False),
        ({"default.topic.config": {"partitioner": "murmur2"}}, False),
        ({"partitioner": print}, False),
        ({"partitioner_cb": print}, False),
        ({"sticky.partitioning.linger.ms": 0}, False),
        ({"sticky.partitioning.linger.ms": "0"}, False),
        ({"sticky.partitioning.linger.ms": "25"}, True),
        ({"sticky.partitioning.linger.ms": "soon"}, False),
        ({"transactional.id": "t"}, True),
    ],
)
def test_only_who_sticks_at_random_is_steered(settings: dict[str, Any], expected: bool) -> None:
    """LAG-7: not where the program chose a partitioner that hashes a missing key, or wants no sticking."""
    assert steerable(settings, {}) is expected


@pytest.mark.parametrize(
    ("own", "changes", "seconds"),
    [
        ({}, {}, 0.01),
        ({"linger.ms": 20}, {}, 0.04),
        ({"linger.ms": 20}, {"linger.ms": 50}, 0.1),
        ({"linger.ms": 20, "sticky.partitioning.linger.ms": 15}, {"linger.ms": 50}, 0.015),
        ({"linger.ms": 0}, {}, 0.01),
    ],
)
def test_a_turn_is_as_long_as_librdkafkas_own(
    own: dict[str, Any], changes: dict[str, int | str], seconds: float
) -> None:
    """LAG-5: twice the linger in force where the program does not say, so that batches stay as full."""
    request = ProducerRequest(
        library="confluent-kafka",
        library_version="2.16.1",
        client_id="",
        connection=connection("confluent-kafka", {}),
        written=own,
        defaults={"linger.ms": 5, "sticky.partitioning.linger.ms": 10},
        codecs=frozenset(),
        tunable=frozenset(),
    )
    assert steering._shape(own, request, Plan(changes, (), Origin.DEFAULTS))[2] == seconds
