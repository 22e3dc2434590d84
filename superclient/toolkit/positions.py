"""Where partitions go on after records that were read, as `store_offsets` takes it."""

from typing import Any

from confluent_kafka import Message, TopicPartition

from superclient.toolkit.rebalance import Key

_topic: Any = Message.topic
_partition: Any = Message.partition


def ends(records: list[Any]) -> dict[Key, Any]:
    """A TopicPartition for each partition of the records, which are in order, with the leader's epoch.

    Done in few steps of Python, as it is asked of every record that is read.
    """
    partitions = list(map(_partition, records))
    partitions.reverse()
    last = {number: records[-1 - partitions.index(number)] for number in set(partitions)}
    topics = set(map(_topic, records))
    if len(topics) == 1:
        (topic,) = topics
        return {(topic, number): _end((topic, number), one) for number, one in last.items()}
    keys = zip(map(_topic, records), map(_partition, records), strict=True)
    return {key: _end(key, one) for key, one in dict(zip(keys, records, strict=True)).items()}


def _end(key: Key, last: Any) -> TopicPartition:
    epoch = last.leader_epoch()
    return TopicPartition(*key, last.offset() + 1, leader_epoch=-1 if epoch is None else epoch)
