"""Where lags come from: log end offset − committed offset of a group, read through `superclient.kafka`.

The only part of this package that does I/O, on the thread of whoever refreshes; see `refresh`.
"""

from collections.abc import Collection, Mapping
from typing import Protocol

from superclient.kafka.connection import Offsets, OffsetsReader
from superclient.partitioning.state import LagState, Queue

EARLIEST, LATEST = "earliest", "latest"


class Collector(Protocol):
    """Reads queues; what it raises means that nothing is known, and is the caller's to log and to back off from."""

    def collect(self, topics: Collection[str], timeout: float) -> Mapping[str, Mapping[int, Queue]]:
        """Topic → partition → queue, of partitions that have a leader; within `timeout` seconds. A topic that does not
        exist is absent."""
        ...


def queues(offsets: Offsets, group: str, topic: str, reset: str = EARLIEST) -> dict[int, Queue]:
    """The queues of one topic out of a reading: log end offset − committed offset, never negative (LAG-1).

    Where the group has committed nothing, or less than retention left there, the queue begins where the group would
    start: at the log start offset, or, with `reset` LATEST, where it is now.
    """
    ends, starts = offsets.ends.get(topic, {}), offsets.starts.get(topic, {})
    committed = offsets.committed.get(group, {}).get(topic, {})

    def begin(partition: int, end: int) -> int:
        start = starts.get(partition, 0)
        if partition in committed:
            return max(committed[partition], start)
        return end if reset == LATEST else starts.get(partition, end)

    return {partition: Queue(max(0, end - begin(partition, end)), end) for partition, end in ends.items()}


class GroupCollector:
    """The queues of one group, through one reader, which it owns: `close` closes it."""

    def __init__(self, reader: OffsetsReader, group: str, reset: str = EARLIEST) -> None:
        self._reader, self._group, self._reset = reader, group, reset

    def collect(self, topics: Collection[str], timeout: float) -> dict[str, dict[int, Queue]]:
        """See Collector.collect.

        Raises:
            ClusterError: nothing could be read, or not of this group.
        """
        offsets = self._reader.read({self._group: topics}, timeout)
        if self._group in offsets.refused:
            raise offsets.refused[self._group]
        return {topic: queues(offsets, self._group, topic, self._reset) for topic in offsets.ends}

    def close(self) -> None:
        """See OffsetsReader.close."""
        self._reader.close()


def refresh(state: LagState, collector: Collector, topics: Collection[str], now: float, timeout: float) -> None:
    """Read the queues of these topics and take them into the state; a topic that is gone is forgotten. Raises what the
    collector raises; then the state is as before, and goes stale by itself."""
    found = collector.collect(topics, timeout)
    for topic in topics:
        if found.get(topic):
            state.update(topic, found[topic], now)
        else:
            state.forget(topic)
