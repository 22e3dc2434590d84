"""Turns at a partition for a library whose batches cannot be seen (librdkafka): a turn ends where its batch would."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from superclient.partitioning.base import Partitioner

OVERHEAD = 21  # bytes: the most that a record of format 2 takes beside key, value and headers
UNPLACED = -1
"""No partition: the library is to choose, as it always does."""
MOST_TOPICS = 1000
MOST_UNSEEN = 63


class Turn:
    """A partition's turn at a topic's records.

    Attributes:
        partition: whose it is, or UNPLACED.
        unseen: how many records may take it before it is looked at again, of `given` at the last look, which was at
            `seen`. Asking for the time costs more than all the rest; where records come slowly it is asked for each.
        records: that took it until the last look.
        size: their bytes, as if those unseen were like those seen.
        end: when it is over. All times are time.monotonic().
    """

    __slots__ = ("end", "given", "partition", "records", "seen", "size", "unseen")

    def __init__(self, partition: int, began: float, end: float) -> None:
        self.partition, self.seen, self.end = partition, began, end
        self.size = self.unseen = self.given = 0
        self.records = 1


class Turns:
    """One producer's choices of partitions for records without a key, by a `Partitioner` that is asked once a batch.

    Asked from any thread; waits for none: while one of them chooses, the others stay with the turn that is ending.

    Attributes:
        turns: topic → the turn that its records are in. In the open, because a `produce` looks at it for each record,
            and a call would cost as much as the look.
    """

    __slots__ = ("_available", "_clock", "_lock", "_partitioner", "_records", "_seconds", "_short", "_size", "turns")

    def __init__(
        self,
        partitioner: Partitioner,
        available: Callable[[str], Sequence[int]],
        size: int,
        records: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A turn ends after `size` bytes, `records` records or so many `seconds`, whichever comes first. `available` is
        asked once a turn for a topic's partitions; where it has none, the library is to choose for as long as a turn.
        """
        self.turns: dict[str, Turn] = {}
        self._partitioner, self._available, self._clock = partitioner, available, clock
        self._size, self._records, self._seconds = size, records, seconds
        self._short = seconds / 8
        self._lock = threading.Lock()  # held by nobody who waits, and never waited for

    def place(self, topic: str, value: Any) -> int:
        """The partition for a record with this value (bytes, text or None), or UNPLACED."""
        turn = self.turns.get(topic)
        if turn is not None and turn.unseen > 0:
            turn.unseen -= 1
            return turn.partition
        return self.look(topic, value).partition

    def look(self, topic: str, value: Any) -> Turn:
        """The turn for one more record: the one that is, as long as a batch would last, else the next one."""
        turn, now = self.turns.get(topic), self._clock()
        if turn is None:
            return self._next(topic, None, value, now)
        size = OVERHEAD + len(value or b"")
        took, turn.given, turn.unseen = turn.given - turn.unseen, 0, 0
        turn.records += took
        turn.size += took * size
        if now >= turn.end or turn.size >= self._size or turn.records >= self._records:
            return self._next(topic, turn, value, now)
        turn.records += 1
        turn.size += size
        # Twice as many as the last time, as long as those came in an eighth of the turn.
        if now - turn.seen < self._short:
            room = min((self._size - turn.size) * turn.records // turn.size, self._records - turn.records)
            turn.given = turn.unseen = min(2 * took + 1, MOST_UNSEEN, max(room, 0))
        turn.seen = now
        return turn

    def changed(self) -> None:
        """What the choice rests on has changed: turns that are under way end. Called on any thread."""
        for turn in list(self.turns.values()):
            turn.given -= turn.unseen
            turn.unseen, turn.end = 0, 0.0

    def _next(self, topic: str, over: Turn | None, value: Any, now: float) -> Turn:
        if not self._lock.acquire(blocking=False):  # another thread is choosing, or was, when its process forked
            late = over is None or now >= over.end + self._seconds
            return Turn(UNPLACED, now, now) if over is None or late else over
        try:
            available, partition = self._available(topic), UNPLACED
            if available:
                if over is not None and over.partition != UNPLACED:
                    self._partitioner.batch_full(topic, over.partition, over.records, over.size)
                partition = self._partitioner.choose(topic, available)
            turn = Turn(partition, now, now + self._seconds)
            turn.size = OVERHEAD + len(value or b"")
            if len(self.turns) >= MOST_TOPICS and topic not in self.turns:
                self.turns.clear()
            self.turns[topic] = turn
            return turn
        finally:
            self._lock.release()
