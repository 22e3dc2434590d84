"""Where a consumer was told to read on: in partitions that are not assigned yet, and in those that are."""

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from superclient.toolkit import codes
from superclient.toolkit.rebalance import Key


class Seeks:
    """Seeks that are still to be carried out; whoever calls holds the fetcher's lock."""

    def __init__(self) -> None:
        self._later: dict[str, dict[int | None, int]] = {}  # topic → partition (None: all) → offset
        self.jumps: dict[Key, int] = {}
        """Assigned partitions that are not where they should be; nothing of them is handed out until they are."""

    def later(self, topic: str, offset: int, partition: int | None) -> None:
        """Begin there at the next assignment that has the partition (None: any of the topic, and then all it has)."""
        if partition is None:
            self._later[topic] = {}
        self._later.setdefault(topic, {})[partition] = offset

    def keep(self, topics: list[str]) -> None:
        """Forget what is not among these topics."""
        if not any(one.startswith("^") for one in topics):
            self._later = {topic: wanted for topic, wanted in self._later.items() if topic in topics}

    def apply(self, partitions: Iterable[Any]) -> None:
        """Set the offsets of a new assignment's TopicPartitions; each seek counts once."""
        everywhere = {topic: wanted[None] for topic, wanted in self._later.items() if None in wanted}
        for one in partitions:
            wanted = self._later.get(one.topic, {})
            if one.partition in wanted:
                one.offset = wanted.pop(one.partition)
            elif one.topic in everywhere:
                one.offset = everywhere[one.topic]
                wanted.pop(None, None)

    def named(self) -> dict[str, set[int]]:
        """The partitions, by topic, that were named and are still waiting to be assigned."""
        named = {topic: {one for one in wanted if one is not None} for topic, wanted in self._later.items()}
        return {topic: partitions for topic, partitions in named.items() if partitions}

    def drop(self, topic: str, partitions: Iterable[int]) -> None:
        """Wait for these no longer."""
        for partition in partitions:
            self._later[topic].pop(partition, None)

    def jump(self, offsets: Mapping[Key, int]) -> None:
        """Move assigned partitions; `perform` does it."""
        self.jumps.update(offsets)

    def perform(self, client: Any) -> None:
        """Move what can be moved now; a partition that is not being read yet can a moment later."""
        for key, offset in list(self.jumps.items()):
            try:
                client.seek(TopicPartition(*key, offset))
            except KafkaException as error:
                if codes.is_any(error, {KafkaError._STATE, KafkaError._UNKNOWN_PARTITION, KafkaError._TIMED_OUT}):
                    continue
                del self.jumps[key]
                raise codes.consumer_error(error, f"seek to {offset} in {key[0]}[{key[1]}]") from error
            del self.jumps[key]

    def forget(self, keys: Iterable[Key]) -> None:
        """These partitions are no longer ours."""
        for key in keys:
            self.jumps.pop(key, None)
