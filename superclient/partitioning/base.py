"""The seam between whoever fills batches and whatever chooses their partitions: asked once a batch, not a record."""

from collections.abc import Sequence
from typing import Protocol


class Partitioner(Protocol):
    """Chooses a partition for each batch of records without a key. Never blocks; one caller at a time."""

    def choose(self, topic: str, available: Sequence[int]) -> int:
        """The partition for the topic's next batch, one of `available`, which is never empty."""
        ...

    def batch_full(self, topic: str, partition: int, records: int, size: int) -> None:
        """The batch that was chosen for is over, full or sent: so many records, of `size` bytes, went there."""
        ...
