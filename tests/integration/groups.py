"""Consumer groups that lag as a test wants it: real records, real committed offsets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition

from tests.servers import Broker


def lagging(kafka: Broker, lags: Sequence[int], name: str = "smart") -> tuple[str, str]:
    """(topic, group): a new topic with a partition for each of these lags, and a group that is so far behind."""
    topic = kafka.create_topic(f"{name}-{os.urandom(4).hex()}", len(lags))
    group = f"group-of-{topic}"
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for partition, lag in enumerate(lags):
        for _ in range(lag):
            producer.produce(topic, b"old", partition=partition)
    producer.flush(30)
    commit(kafka, topic, group, dict.fromkeys(range(len(lags)), 0))
    return topic, group


def commit(kafka: Broker, topic: str, group: str, offsets: Mapping[int, int]) -> None:
    """Commit as the group's operator does."""
    partitions = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
    request = [ConsumerGroupTopicPartitions(group, partitions)]
    admin = kafka.admin()  # dropped, it would answer nothing
    for answer in admin.alter_consumer_group_offsets(request).values():
        answer.result(20)


def caught_up(kafka: Broker, topic: str, group: str) -> None:
    """The group has read everything."""
    commit(kafka, topic, group, kafka.end_offsets(topic))
