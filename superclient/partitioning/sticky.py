"""One partition until a batch is over, then another one, so that all of them get the same number of bytes.

Sticking to a partition while its batch fills is KIP-480. Its weakness, by KIP-794: a slow broker's batches leave late
and so are larger, and the slowest broker gets most. KIP-794 counts bytes instead of batches, and so does this, in
another place: the next batch goes to the one of two partitions, drawn at random, that got fewer bytes until now. Two
choices keep all within a few batches of each other (Mitzenmacher, "The Power of Two Choices", TPDS 2001). So a turn may
end when its batch is sent, which leaves no leftovers behind (KAFKA-14156), and producers do not walk in step.
"""

import random
from collections.abc import Sequence

MOST_TOPICS = 1000
"""A program with more gets its accounts forgotten now and then: that costs evenness, not memory."""
CATCH_UP = 16
"""Of the largest batches seen: so far may a partition be behind. One that is new, or was away for a day, must not be
given all that it missed."""


class Sticky:
    """The uniform partitioner."""

    def __init__(self, chance: random.Random | None = None) -> None:
        # Its own: what the program seeds and draws from `random` stays the program's. A producer does not survive a
        # fork, so nobody repeats it either.
        self._chance = chance or random.Random()
        self._topics: dict[str, _Account] = {}

    def choose(self, topic: str, available: Sequence[int]) -> int:
        """See Partitioner.choose. Not the partition of the last batch, where there is another."""
        account = self._topics.get(topic)
        last = account.last if account is not None else None
        others = [partition for partition in available if partition != last] or available
        if len(others) == 1:
            return others[0]
        one, other = two(others, self._chance)
        if account is None:
            return one
        return one if account.given.get(one, 0) <= account.given.get(other, 0) else other

    def batch_full(self, topic: str, partition: int, records: int, size: int) -> None:
        """See Partitioner.batch_full."""
        account = self._topics.get(topic)
        if account is None:
            if len(self._topics) >= MOST_TOPICS:
                self._topics.clear()
            account = self._topics[topic] = _Account()
        account.add(partition, size)

    def forget(self, topic: str) -> None:
        """Begin anew with this topic: nothing was given to any of its partitions."""
        self._topics.pop(topic, None)


def two(available: Sequence[int], chance: random.Random) -> tuple[int, int]:
    """Two different ones of at least two, drawn at random; `sample` is ten times as slow."""
    first = int(chance.random() * len(available))
    second = int(chance.random() * (len(available) - 1))
    return available[first], available[second + (second >= first)]


class _Account:
    """What the partitions of one topic were given, in bytes."""

    __slots__ = ("given", "highest", "largest", "last")

    def __init__(self) -> None:
        self.given: dict[int, int] = {}
        self.highest = self.largest = 0
        self.last = -1

    def add(self, partition: int, size: int) -> None:
        self.largest = max(self.largest, size)
        floor = self.highest - CATCH_UP * self.largest
        self.given[partition] = now = max(self.given.get(partition, 0), floor) + size
        self.highest = max(self.highest, now)
        self.last = partition
