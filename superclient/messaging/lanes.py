"""One partition as its reader sees it: what waits, what is handed out, what may be committed. No I/O."""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple


class Partition(NamedTuple):
    """The name of a partition; equal to aiokafka's TopicPartition."""

    topic: str
    partition: int


class Lane:
    """A partition that this consumer has.

    Attributes:
        name: topic and number.
        backlog: records that nobody had room for yet, in order; while there are any, the partition is paused.
        next: offset after the last record that came; None before the first, where the position is not known yet.
        committed: the group's offset as far as we know; None: none, or not asked for.
        paused: whether the consumer was told to pause it.
        floor: no offset above this one is committed, since a reader left without being done; None: none did.
    """

    __slots__ = ("_pending", "backlog", "committed", "floor", "name", "next", "paused", "tracked")

    def __init__(self, name: Partition, tracked: bool) -> None:
        self.name = name
        self.tracked = tracked
        self.backlog: deque[Any] = deque()
        self.next: int | None = None
        self.committed: int | None = None
        self.paused = False
        self.floor: int | None = None
        self._pending: dict[int, int] = {}  # offset → copies that somebody is not done with, in order

    def add(self, records: Sequence[Any], behind: int) -> None:
        """Take in what the consumer has read; `behind` is the offset after the last of it, also of what is left out."""
        self.backlog.extend(records)
        self.next = behind

    def open(self, offset: int, copies: int = 1) -> None:
        """The record is handed out so many times, and is not to be committed before all of them are done with it."""
        if self.tracked:
            self._pending[offset] = copies

    def done(self, offset: int) -> bool:
        """One of the copies is done with; whether that was the last one. Unknown offsets are of another assignment."""
        left = self._pending.get(offset, 0) - 1
        if left > 0:
            self._pending[offset] = left
        elif left == 0:
            del self._pending[offset]
        return left == 0

    @property
    def pending(self) -> int:
        """How many records are handed out and not done with."""
        return len(self._pending)

    @property
    def committable(self) -> int | None:
        """The offset below which everything is done with; None where nothing is known."""
        if self._pending:
            behind: int | None = next(iter(self._pending))
        else:
            behind = self.backlog[0].offset if self.backlog else self.next
        return behind if self.floor is None or behind is None else min(behind, self.floor)

    def rewind(self, offset: int | None) -> None:
        """Forget what was read: the next record is that of this offset."""
        self.backlog.clear()
        self._pending.clear()
        self.floor = None
        self.next = offset
