"""What comes out of a topic, and where it is."""

from collections.abc import Sequence
from dataclasses import dataclass


class StoredAt(int):
    """The offset at which a record was stored: an int that also knows the record's place in its envelope batch.

    Attributes:
        index: place in the batch that shares the offset, from 0; 0 for a record on its own.
        count: records in that batch; 1 for a record on its own.
        partition: whose offset it is. The broker stores everything in partition 0, whichever was chosen.
    """

    index: int
    count: int
    partition: int

    def __new__(cls, offset: int, index: int = 0, count: int = 1, partition: int = 0) -> "StoredAt":
        self = int.__new__(cls, offset)
        self.index = index
        self.count = count
        self.partition = partition
        return self

    @property
    def behind(self) -> int:
        """What to commit once this record is done with: the next offset, or that of its batch while more of it come."""
        return int(self) + (self.index + 1 == self.count)


@dataclass(frozen=True)
class Message:
    """One record.

    Attributes:
        topic: where it was read.
        partition: the one that was chosen for it; where it was read is `offset.partition`.
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


class Value(bytes):
    """A record's value as `async for` yields it: bytes that also know the rest.

    Attributes:
        message: the whole record, of which this is the value.
    """

    message: Message

    def __new__(cls, message: Message) -> "Value":
        self = super().__new__(cls, message.value)
        self.message = message
        return self

    def __getnewargs__(self) -> tuple[Message]:  # type: ignore[override]  # bytes has its bytes there
        """What pickle and copy make another one of: the value may go to another process like any bytes."""
        return (self.message,)
