"""KafkaConsumer when partitions come and go: callbacks, events, counters, and no record lost or read in vain."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from superclient.errors import KafkaConsumerRebalanceError
from superclient.toolkit import KafkaConsumer, MessageResult, metrics
from tests.integration.consuming import committed, consumer, fill, filled, numbers, read, until
from tests.servers import Broker, wait_for

QUICK = {"heartbeat_interval_ms": 200}  # by which a member hears of a rebalance
PROTOCOLS: dict[str, dict[str, str]] = {
    "eager": {},
    "cooperative": {"partition.assignment.strategy": "cooperative-sticky"},
    "broker": {"group.protocol": "consumer"},  # KIP-848
}


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> dict[str, Any]:
    return PROTOCOLS[request.param]


@contextmanager
def reading(reader: KafkaConsumer, found: list[MessageResult]) -> Iterator[threading.Thread]:
    """Its stream on a thread of its own, until the block ends."""
    thread = threading.Thread(target=lambda: found.extend(reader.message_stream()))
    thread.start()
    try:
        yield thread
    finally:
        reader.stop()
        thread.join(30)
        assert not thread.is_alive()


def test_callbacks_events_and_counters(
    kafka: Broker, caplog: pytest.LogCaptureFixture, protocol: dict[str, Any]
) -> None:
    """KLI-44, KLI-45: several callbacks in their order, an event with the partitions, a counter; the same for all."""
    topic, told = filled(kafka, 0, partitions=2), []
    caplog.set_level(logging.INFO, "superclient.toolkit")
    before = metrics.snapshot()
    with consumer(kafka, topic, additional_config=protocol) as reader:

        @reader.on_assign
        def first(partitions: list[Any]) -> None:
            told.append(("first", sorted(one.partition for one in partitions)))

        reader.on_assign(lambda partitions: told.append(("second", len(partitions))))
        reader.on_revoke(lambda partitions: told.append(("revoked", sorted(one.partition for one in partitions))))
        until(lambda: ("second", 2) in told, reader, "both partitions are assigned")
        with pytest.raises(TypeError):
            reader.on_lost("no function")  # type: ignore[arg-type]
    assert [one for one in told if one[1]] == [("first", [0, 1]), ("second", 2), ("revoked", [0, 1])]
    events = [json.loads(record.message) for record in caplog.records if record.levelno == logging.INFO]
    both = [{"topic": topic, "partition": 0}, {"topic": topic, "partition": 1}]
    assert [one for one in events if one["partitions"]] == [
        {"event": "rebalance_assign", "partitions": both},
        {"event": "rebalance_revoke", "partitions": both},
    ]
    for name in ("consumer.rebalance.assign", "consumer.rebalance.revoke"):
        assert metrics.get(name) > before.get(name, 0)


@pytest.mark.parametrize(
    "protocol",
    ["eager", "cooperative", pytest.param("broker", marks=pytest.mark.matrix_full)],  # whose members hear every 5 s
    indirect=True,
)
def test_two_consumers_share_and_nothing_is_lost(kafka: Broker, protocol: dict[str, Any]) -> None:
    """KLI-48: a consumer joins and leaves in the middle: every record is read, in order, none twice."""
    topic, ours = filled(kafka, 8000, partitions=4), f"group-{os.urandom(4).hex()}"
    one, other, started = [], [], threading.Event()  # type: ignore[var-annotated]
    with consumer(kafka, topic, ours, additional_config=protocol, **QUICK) as first, reading(first, one):
        wait_for(lambda: len(one) > 100, "the first reads", 30)
        with consumer(kafka, topic, ours, additional_config=protocol, **QUICK) as second:
            second.on_assign(lambda partitions: started.set() if partitions else None)
            with reading(second, other):
                wait_for(started.is_set, "the second has got partitions", 30)
                fill(kafka, topic, range(8000, 12000), partitions=4)
                wait_for(lambda: len(one) + len(other) >= 12000, "all is read", 60)
        fill(kafka, topic, range(12000, 12100), partitions=4)
        wait_for(lambda: len(one) + len(other) >= 12100, "the first has all again", 60)
    assert other
    assert [number for number, times in Counter(numbers(one + other)).items() if times > 1] == []
    assert sorted(numbers(one + other)) == list(range(12100))
    for found in (one, other):
        for partition in range(4):
            offsets = [record.offset for record in found if record.partition == partition]
            assert offsets == sorted(offsets)


def test_what_was_fetched_ahead_goes_with_its_partition(kafka: Broker) -> None:
    """KLI-48: the program is slow, hundreds of records are there for it, and half of the partitions leave."""
    topic, ours, gone = filled(kafka, 1000, partitions=2), f"group-{os.urandom(4).hex()}", set()
    found: list[MessageResult] = []
    with consumer(kafka, topic, ours, **QUICK) as first:
        assert first.poll(20) is not None
        current: set[int] = {0, 1}
        first.on_revoke(lambda partitions: current.difference_update(one.partition for one in partitions))
        first.on_assign(lambda partitions: current.update(one.partition for one in partitions))
        second = consumer(kafka, topic, ours, **QUICK)
        joined = threading.Thread(target=lambda: found.extend(second.consume_messages(1, 30)))
        joined.start()
        while joined.is_alive() or len(current) != 1:
            record = first.poll(0.01)
            if record is not None:
                assert record.partition in current
                gone.add((record.partition, record.offset))
            joined.join(0.02)
        joined.join()
        second.close()
        (taken,) = found
        assert (taken.partition, taken.offset) not in gone  # its last owner had not been given it


@pytest.mark.parametrize("kind", ["assign", "revoke"])
def test_an_exception_in_a_callback_surfaces(kafka: Broker, protocol: dict[str, Any], kind: str) -> None:
    """KLI-52: from the call in progress, with its cause; the rebalance is completed, the other callbacks are called."""
    topic, ours, told = filled(kafka, 20, partitions=2), f"group-{os.urandom(4).hex()}", []

    def fail(partitions: list[Any]) -> None:
        if partitions:
            raise LookupError("the database is away")

    reader = consumer(kafka, topic, ours, additional_config=protocol)
    getattr(reader, f"on_{kind}")(fail)
    getattr(reader, f"on_{kind}")(told.append)
    if kind == "assign":
        with pytest.raises(KafkaConsumerRebalanceError, match="on_assign: LookupError: the database is away") as raised:
            read(reader, 20)
        assert sorted(numbers(read(reader, 20))) == list(range(20))
        reader.close()
    else:
        assert sorted(numbers(read(reader, 20))) == list(range(20))
        with pytest.raises(KafkaConsumerRebalanceError, match="on_revoke: LookupError") as raised:
            reader.close()
        reader.close()
        assert committed(kafka, topic, ours, 2) == [10, 10]
    assert isinstance(raised.value.__cause__, LookupError)
    assert told


def test_callbacks_may_seek_and_commit(kafka: Broker, protocol: dict[str, Any]) -> None:
    """KLI-8, KLI-48: both ways to set where a partition begins; a commit while it is being taken away."""
    topic, ours = filled(kafka, 20, partitions=2), f"group-{os.urandom(4).hex()}"
    with consumer(kafka, topic, ours, enable_auto_commit=False, additional_config=protocol) as reader:

        @reader.on_assign
        def begin(partitions: list[Any]) -> None:
            for one in partitions:
                if one.partition == 0:
                    one.offset = 7
                else:
                    reader.seek_to_offset(topic, 8, partition=1)

        reader.on_revoke(lambda partitions: reader.commit())
        assert sorted((one.partition, one.offset) for one in read(reader, 5)) == [
            (0, 7),
            (0, 8),
            (0, 9),
            (1, 8),
            (1, 9),
        ]
        assert committed(kafka, topic, ours, 2) == [-1, -1]
    assert committed(kafka, topic, ours, 2) == [10, 10]


def test_partitions_that_are_lost(kafka: Broker) -> None:
    """KLI-44: who was away for longer than max.poll.interval.ms is told by on_lost, stores nothing, and goes on."""
    topic, ours, told = filled(kafka, 10), f"group-{os.urandom(4).hex()}", []
    slow = {"group.protocol": "consumer", "max.poll.interval.ms": 1000, "log_level": 0}
    with consumer(kafka, topic, ours, additional_config=slow) as reader:
        reader.on_lost(lambda partitions: told.append(("lost", [one.partition for one in partitions])))
        reader.on_revoke(lambda partitions: told.append(("revoked", [one.partition for one in partitions])))
        lost = metrics.get("consumer.rebalance.lost")
        assert numbers(read(reader, 2)) == [0, 1]
        threading.Event().wait(2.5)  # seconds away: they are what this is about
        assert numbers(read(reader, 2)) == [0, 1]  # nothing of them was stored before it came back
        assert told == [("lost", [0])]
        assert metrics.get("consumer.rebalance.lost") == lost + 1
    assert committed(kafka, topic, ours) == [2]
