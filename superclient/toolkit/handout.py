"""What was fetched ahead of the program, what of it the program has been given, and what it is done with.

A record is completed when its caller comes back for the next one, commits, or closes; only then is its offset stored.
Records are given to one caller at a time, by one thread or event loop; the fetching thread asks what is completed.
"""

import threading
import time
from typing import Any

from superclient.toolkit.fetching import Fetcher, ends
from superclient.toolkit.rebalance import Key

BATCH = 500  # records fetched at once for callers that take them one by one
STALE = 0.1  # seconds after which the brokers hear of the program, however long it takes over what it has


class Handout:
    """The records between the fetcher and the program."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._completed: dict[Key, Any] = {}
        self._marked = 0  # up to where the batch is in _completed
        self._in_hand = 0  # how many of those before `at` the program may still be working on
        self.batch: list[Any] = []
        self.at = 0
        """How many records of the batch were handed out."""
        self.epoch = 0
        """The fetcher's when the batch was."""
        self.stale_at = 0.0
        """The monotonic time at which it is time to come back to the fetcher."""

    def __len__(self) -> int:
        """How many records are there to be handed out."""
        return len(self.batch) - self.at

    def give(self, most: int) -> list[Any]:
        """The next records, which are in the caller's hands then."""
        found = self.batch[self.at : self.at + most]
        self.at += len(found)
        self._in_hand = len(found)
        return found

    def add(self, records: list[Any], epoch: int) -> None:
        """Behind what is there."""
        with self._lock:
            self._mark(self.at - self._in_hand)
            self.batch = [*self.batch[self._marked :], *records] if self._marked < len(self.batch) else records
            self.at, self._marked = self.at - self._marked, 0
        self.epoch = epoch
        self.stale_at = time.monotonic() + STALE

    def came_back(self) -> None:
        """The caller is done with all that it was given."""
        with self._lock:
            self._mark(self.at)
            self._in_hand = 0

    def prune(self, fetcher: Fetcher) -> None:
        """Keep of what was not handed out yet what may still be."""
        with self._lock:
            self._mark(self.at - self._in_hand)
            kept = fetcher.valid(self.batch[self.at :], self.epoch)
            self.batch = [*self.batch[self._marked : self.at], *kept]
            self.at, self._marked = self.at - self._marked, 0
        self.epoch = fetcher.epoch

    def completed(self) -> dict[Key, Any]:
        """Where the partitions of completed records go on; each is answered once."""
        with self._lock:
            self._mark(self.at - self._in_hand)
            found, self._completed = self._completed, {}
            return found

    def _mark(self, upto: int) -> None:
        if upto > self._marked:
            self._completed.update(ends(self.batch[self._marked : upto]))
            self._marked = upto
