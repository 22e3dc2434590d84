"""Consumers of the toolkit for tests: each with a group of its own unless the test names one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from superclient.toolkit import ConsumerConfig, KafkaConsumer, MessageResult
from tests.servers import Broker


def consumer(kafka: Broker, topics: Sequence[str] | str, group: str | None = None, **more: Any) -> KafkaConsumer:
    """A consumer that reads `topics` from their beginning."""
    names = [topics] if isinstance(topics, str) else list(topics)
    return KafkaConsumer(ConsumerConfig(kafka.bootstrap, group or f"group-{os.urandom(4).hex()}", names, **more))


def filled(kafka: Broker, count: int, partitions: int = 1, name: str = "consumed", size: int = 0) -> str:
    """A new topic with records "0", "1", … dealt to its partitions in turn."""
    topic = kafka.create_topic(f"{name}-{os.urandom(4).hex()}", partitions)
    fill(kafka, topic, range(count), partitions, size)
    return topic


def fill(kafka: Broker, topic: str, numbers: Sequence[int] | range, partitions: int = 1, size: int = 0) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 5, "log_level": 0})
    for number in numbers:
        producer.produce(topic, b"%d" % number + b" " * size, partition=number % partitions)
        producer.poll(0)
    assert producer.flush(30) == 0


@contextmanager
def dying(consumer: KafkaConsumer) -> Iterator[KafkaConsumer]:
    """A program that leaves its `with` by an exception at the end of the block."""
    with suppress(ZeroDivisionError), consumer:
        yield consumer
        raise ZeroDivisionError


def read(consumer: KafkaConsumer, count: int, timeout: float = 30.0) -> list[MessageResult]:
    """The next `count` records."""
    found: list[MessageResult] = []
    until = time.monotonic() + timeout
    while len(found) < count and time.monotonic() < until:
        found += consumer.consume_messages(count - len(found), 1.0)
    assert len(found) == count, f"only {len(found)} of {count} records came"
    return found


def numbers(records: Sequence[MessageResult]) -> list[int]:
    return [int(one.value or b"-1") for one in records]


def committed(kafka: Broker, topic: str, group: str, partitions: int = 1) -> list[int]:
    """What the brokers have of the group, by partition; -1 where it has committed nothing."""
    client = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "log_level": 0})
    try:
        wanted = [TopicPartition(topic, partition) for partition in range(partitions)]
        return [max(one.offset, -1) for one in client.committed(wanted, timeout=20)]
    finally:
        client.close()


def until(condition: Callable[[], Any], consumer: KafkaConsumer, what: str, timeout: float = 30.0) -> None:
    """Keep a consumer that gets no records in its group until something is so."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        assert consumer.poll(0.05) is None
