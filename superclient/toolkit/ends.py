"""How many partitions a topic has, and whether a consumer has read them to their end, as far as read_committed goes."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from superclient.errors import RelayError
from superclient.toolkit.consumer import KafkaConsumer

_TIMEOUT = 4.0  # seconds for one question, in which no rebalance is served


def topic_partitions(client: Any, topic: str, timeout: float = 10.0) -> int:
    """How many partitions a topic has.

    Raises:
        RelayError: it does not exist, may not be seen, or nobody answers.
    """
    try:
        found = client.list_topics(topic, timeout=timeout).topics[topic]
    except KafkaException as error:
        raise RelayError(f"topic {topic}: {error.args[0].str()}", str(error.args[0].name())) from error
    if found.error is not None:
        raise RelayError(f"topic {topic}: {found.error.str()}", str(found.error.name()))
    return len(found.partitions)


def start_offsets(consumer: KafkaConsumer, topic: str, partitions: Sequence[int]) -> dict[int, int] | None:
    """Where a group goes on in each of these partitions; None where the brokers cannot say yet."""
    try:
        found = {place.partition: place.offset for place in _places(consumer, topic, dict.fromkeys(partitions))}
        for number in set(partitions) - found.keys():  # of a group that begins at the end, and has committed nothing
            place = TopicPartition(topic, number)
            found[number] = consumer.client.get_watermark_offsets(place, timeout=_TIMEOUT)[1]
    except KafkaException:
        return None
    return found


def at_end(consumer: KafkaConsumer, topic: str, places: Mapping[int, int | None], stopped: Callable[[], bool]) -> bool:
    """Whether nothing is left; `places` has the next offset of each partition, None where nothing was read yet.

    False, too, where the brokers do not answer.
    """
    try:
        left = [place for place in _places(consumer, topic, places) if not _is_at_end(consumer.client, place)]
    except KafkaException:
        return False
    return not left or _nothing_comes(consumer, left, stopped)


def _places(consumer: KafkaConsumer, topic: str, places: Mapping[int, int | None]) -> list[Any]:
    found = [TopicPartition(topic, number, offset) for number, offset in places.items() if offset is not None]
    unread = [TopicPartition(topic, number) for number, offset in places.items() if offset is None]
    committed = consumer.client.committed(unread, timeout=_TIMEOUT) if unread else []
    from_end = consumer.config.auto_offset_reset in ("latest", "end", "largest")
    for one in committed:
        if one.error is not None:
            raise KafkaException(one.error)
        if one.offset >= 0:
            found.append(one)
        elif not from_end:  # nothing there is for a group that begins at the end
            low, _ = consumer.client.get_watermark_offsets(one, timeout=_TIMEOUT)
            found.append(TopicPartition(topic, one.partition, low))
    return found


def _is_at_end(client: Any, place: Any) -> bool:
    _, end = client.get_watermark_offsets(TopicPartition(place.topic, place.partition), timeout=_TIMEOUT)
    return bool(place.offset >= end)


def _nothing_comes(consumer: KafkaConsumer, places: list[Any], stopped: Callable[[], bool]) -> bool:
    """Read on: behind the last record may be the marks of transactions, and records that were aborted."""
    settings = consumer.config.to_library()
    for name in ("group.instance.id", "group.protocol", "group.remote.assignor", "partition.assignment.strategy"):
        settings.pop(name, None)
    settings |= {"enable.partition.eof": True, "enable.auto.commit": False}
    probe = Consumer(settings)
    left, deadline = {place.partition for place in places}, time.monotonic() + _TIMEOUT
    try:
        probe.assign([TopicPartition(place.topic, place.partition, place.offset) for place in places])
        while left and not stopped() and time.monotonic() < deadline:
            message = probe.poll(0.1)
            if message is None:
                continue
            error = message.error()
            if error is None:
                return False
            if error.code() == KafkaError._PARTITION_EOF:
                left.discard(message.partition())
        return not left
    except KafkaException:
        return False
    finally:
        probe.close()
