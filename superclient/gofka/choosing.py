"""The partitions of one topic's records: how many there are, and which one a record is for."""

import time
from operator import index

from superclient.gofka.batches import Entry
from superclient.gofka.cluster import Cluster
from superclient.gofka.errors import ConnectionError, MetadataError, ProduceError, WireError  # noqa: A004  ours are built-in too
from superclient.gofka.partitioning import Partitioner

_AGE = 30.0  # seconds for which a topic's number of partitions is believed


class Choice:
    """Chooses by the partitioner, once the number of partitions is known.

    Attributes:
        wanted: some record's partition is to be chosen; else nobody asks how many there are.
    """

    def __init__(self, topic: str, cluster: Cluster, partitioner: Partitioner) -> None:
        self.wanted = False
        self._topic = topic
        self._cluster = cluster
        self._partitioner = partitioner
        self._count, self._counted = 0, 0.0  # partitions, and when they were asked for

    @property
    def is_due(self) -> bool:
        """Whether `count` is to be awaited before anything is chosen."""
        return self.wanted and (not self._count or time.monotonic() > self._counted + _AGE)

    async def count(self) -> None:
        """Ask how many partitions there are, if it is due. Raises ConnectionError or WireError where nobody says."""
        if not self.is_due:
            return
        try:
            self._count = len(await self._cluster.partitions(self._topic))
        except MetadataError:
            self._count = 1  # the first record makes the topic, with one partition
        except (ConnectionError, WireError):
            if not self._count:
                raise
        self._counted = time.monotonic()

    def made(self, entry: Entry) -> bool:
        """Choose the record's partition; False where the partitioner failed, and the record with it."""
        try:
            found = index(self._partitioner(self._topic, entry.record.key, self._count))
            if not 0 <= found < self._count:
                raise ValueError(f"the partitioner chose {found!r} of {self._count} partitions of {self._topic}")
        except BaseException as error:
            # What would end this task, or no future takes, would leave the record waiting for ever.
            plain = isinstance(error, Exception) and not isinstance(error, StopIteration)
            entry.done.set_exception(error if plain else ProduceError(f"the partitioner raised {error!r}"))
            return False
        entry.record.partition = found
        return True
