"""Turns at a partition for a library whose batches cannot be seen (librdkafka): a turn ends where its batch would."""

import threading
import time
from collections.abc import Callable, Sequence

from superclient.partitioning.base import Partitioner

OVERHEAD = 21  # bytes: the most that a record of format 2 takes beside key, value and headers
MOST_TOPICS = 1000


class _Turn:
    """What a partition's turn has had so far, and when it ends."""

    __slots__ = ("end", "partition", "records", "size")

    def __init__(self, partition: int, end: float) -> None:
        self.partition, self.end = partition, end
        self.records = self.size = 0


class Turns:
    """Which partition a record without a key is for, by a `Partitioner` that is asked once a batch.

    Asked from any thread; waits for none: while one of them chooses, the others stay with the turn that is ending.
    """

    __slots__ = ("_clock", "_linger", "_lock", "_partitioner", "_records", "_size", "_turns")

    def __init__(
        self,
        partitioner: Partitioner,
        size: int,
        records: int,
        linger: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A turn ends after `size` bytes, `records` records or `linger` seconds, whichever comes first."""
        self._partitioner = partitioner
        self._size, self._records, self._linger, self._clock = size, records, linger, clock
        self._turns: dict[str, _Turn] = {}
        self._lock = threading.Lock()  # held by nobody who waits, and never waited for

    def place(self, topic: str, size: int, available: Callable[[str], Sequence[int]]) -> int | None:
        """The partition for a record whose key, value and headers have so many bytes; None where `available`, asked for
        the topic's partitions once a turn, has none, or where another thread is at the topic's first."""
        turn = self._turns.get(topic)
        if turn is None or turn.size >= self._size or turn.records >= self._records or self._clock() >= turn.end:
            turn = self._switch(topic, turn, available)
            if turn is None:
                return None
        turn.records += 1
        turn.size += size + OVERHEAD
        return turn.partition

    def _switch(self, topic: str, over: _Turn | None, available: Callable[[str], Sequence[int]]) -> _Turn | None:
        if not self._lock.acquire(blocking=False):  # by another thread now, or by one that a fork has ended
            return over if over is not None and self._clock() < over.end + self._linger else None
        try:
            choice = available(topic)
            if not choice:
                self._turns.pop(topic, None)
                return None
            if over is not None:
                self._partitioner.batch_full(topic, over.partition, over.records, over.size)
            if len(self._turns) >= MOST_TOPICS:
                self._turns.clear()
            now = self._clock()
            turn = self._turns[topic] = _Turn(self._partitioner.choose(topic, choice), now + self._linger)
            return turn
        finally:
            self._lock.release()
