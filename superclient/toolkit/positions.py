"""Where partitions go on after records that were read: found, handed to the library, committed."""

from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from superclient.toolkit import codes
from superclient.toolkit.rebalance import Key

_topic: Any = Message.topic
_partition: Any = Message.partition
_NOT_OURS = (KafkaError._STATE, KafkaError._UNKNOWN_PARTITION)  # any more: a rebalance came meanwhile


def ends(records: list[Any], one_topic: bool = False) -> dict[Key, Any]:
    """A TopicPartition for each partition of the records, which are in order, with the leader's epoch.

    Done in few steps of Python, as it is asked of every record that is read; in fewer where there is `one_topic` only,
    and for the runs of one partition in which the library fetches.
    """
    partitions = list(map(_partition, records))
    if one_topic or len(set(map(_topic, records))) == 1:
        last = partitions[-1]
        alone = partitions.count(last) == len(partitions)
        lasts = [records[-1]] if alone else dict(zip(partitions, records, strict=True)).values()
    else:
        lasts = dict(zip(zip(map(_topic, records), partitions, strict=True), records, strict=True)).values()
    return {(one.topic(), one.partition()): _end(one) for one in lasts}


def store(client: Any, places: Iterable[Any]) -> None:
    """Hand offsets to the library, which commits them in its own time; what is no longer ours is left out.

    Raises:
        KafkaConsumerError: or the class that fits.
    """
    try:
        client.store_offsets(offsets=list(places))
    except KafkaException as error:
        if not codes.is_any(error, _NOT_OURS):
            raise codes.consumer_error(error, "store") from error


def commit(client: Any, places: Iterable[Any]) -> list[Any]:
    """Commit offsets and wait for the brokers; what they took.

    Raises:
        KafkaConsumerError: or the class that fits.
    """
    try:
        committed: list[Any] = client.commit(offsets=list(places), asynchronous=False)
    except KafkaException as error:
        raise codes.consumer_error(error, "commit") from error
    for one in committed:
        if one.error is not None:
            raise codes.consumer_error(one.error, f"commit of {one.topic}[{one.partition}]")
    return committed


def _end(last: Any) -> TopicPartition:
    epoch = last.leader_epoch()
    return TopicPartition(
        last.topic(), last.partition(), last.offset() + 1, leader_epoch=-1 if epoch is None else epoch
    )
