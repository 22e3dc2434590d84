"""Which records go together into one message: by size and linger, in order. No I/O, and no clock of its own."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from superclient.gofka.envelope import FIXED, MOST, Record

OVERHEAD = 500
"""About the memory that a waiting record takes besides its bytes."""


@dataclass(slots=True, eq=False)
class Entry:
    """A record that waits.

    Attributes:
        done: the future of whoever sent it.
        size: about what it takes in a message, in bytes; cost: in memory.
        undecided: its partition is not chosen yet.
        batch: where it waits; None before.
    """

    record: Record
    done: Any
    size: int = field(init=False)
    cost: int = field(init=False)
    undecided: bool = False
    batch: "Batch | None" = None

    def __post_init__(self) -> None:
        record = self.record
        self.size = FIXED + len(record.value) + len(record.headers) + 4
        if record.key is not None:
            self.size += 4 + len(record.key)
        self.cost = self.size + OVERHEAD


@dataclass(slots=True, eq=False)
class Batch:
    """Records that travel as one message.

    Attributes:
        due: when it goes at the latest, by the clock of whoever adds to it.
        size: of its records, in bytes.
        taken: nothing is added or left out any more.
    """

    due: float
    entries: list[Entry] = field(default_factory=list)
    size: int = 0
    taken: bool = False

    @property
    def cost(self) -> int:
        """About the memory that its records take, in bytes."""
        return self.size + OVERHEAD * len(self.entries)


class Batches:
    """The records of one topic that wait, in the order in which they were added.

    Args:
        size: bytes of records that fill a batch; a larger record goes alone, and with 0 each does.
        linger: seconds that a batch waits for more, from its first record on; what is queued goes together in any case.
    """

    def __init__(self, size: int, linger: float) -> None:
        self._size = size
        self._linger = linger
        self._waiting: deque[Batch] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._waiting)

    def add(self, entry: Entry, now: float) -> None:
        """Put it behind all others."""
        size = entry.size
        last = self._waiting[-1] if self._waiting else None
        if last is None or last.size + size > self._size or len(last.entries) >= MOST:
            last = Batch(now + self._linger)
            self._waiting.append(last)
        last.entries.append(entry)
        last.size += size
        entry.batch = last

    def discard(self, entry: Entry) -> bool:
        """Leave it out; False where it is on its way already, or was never here."""
        batch = entry.batch
        if batch is None or batch.taken:
            return False
        batch.entries.remove(entry)
        batch.size -= entry.size
        entry.batch = None
        if not batch.entries:
            self._waiting.remove(batch)
        return True

    def due(self) -> float | None:
        """When the first batch is to go: −inf for a full one; None without any."""
        if not self._waiting:
            return None
        first = self._waiting[0]
        return float("-inf") if len(self._waiting) > 1 or first.size >= self._size else first.due

    def hurry(self) -> None:
        """All that waits is due now."""
        for batch in reversed(self._waiting):  # those before one that is due were, or are full
            if batch.due == float("-inf"):
                break
            batch.due = float("-inf")

    def take(self) -> Batch:
        """The first one, due or not."""
        batch = self._waiting.popleft()
        batch.taken = True
        return batch
