"""What comes out of a topic, and where it is."""

from collections.abc import Sequence
from dataclasses import dataclass


class StoredAt(int):
    """The offset at which a record was stored: an int that also knows the record's place in its envelope batch.

    Attributes:
        index: place in the batch that shares the offset, from 0; 0 for a record on its own.
    """

    index: int

    def __new__(cls, offset: int, index: int = 0) -> "StoredAt":
        self = super().__new__(cls, offset)
        self.index = index
        return self


@dataclass(frozen=True)
class Message:
    """One record.

    Attributes:
        topic, partition: where it was read.
        offset: where it was stored; records of one batch share it and differ by `offset.index`.
        key: None where it has none.
        value: its bytes.
        headers: (name, value) pairs in the order in which they were sent.
        timestamp: seconds since 1970 as the producer's clock had it; None for a record without an envelope.
    """

    topic: str
    partition: int
    offset: StoredAt
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: float | None = None
