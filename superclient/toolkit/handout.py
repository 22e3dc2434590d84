"""What was fetched ahead of the program, what of it the program has been given, and what it is done with.

A record is completed when its caller comes back for the next one, commits, or closes; only then is its offset stored.
Records are given out on one thread or event loop; the thread that fetches only asks what is completed.
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

from superclient.toolkit.fetching import Fetcher
from superclient.toolkit.rebalance import Key
from superclient.toolkit.results import MessageResult

STALE = 0.1  # seconds after which the brokers hear of the program, however long it takes over what it has


class Handout:
    """The records between the fetcher and the program."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._lock = threading.Lock()
        self._batch: list[Any] = []
        self._epoch = 0  # the fetcher's when the batch was fetched
        self._at = 0  # how many of the batch were handed out
        self._in_hand = 0  # how many of those the program may still be working on
        self._marked = 0  # how many are in _completed
        self._completed: dict[Key, Any] = {}
        self._stale_at = 0.0
        fetcher.completed = self.completed

    def __len__(self) -> int:
        """How many records are there to be given."""
        if self._epoch != self._fetcher.epoch:
            self.add([], self._fetcher.epoch)
        return len(self._batch) - self._at

    def turned_stale(self) -> bool:
        """Whether it is time to go back to the fetcher, though there are records left; it is, once."""
        now = time.monotonic()
        if now <= self._stale_at:
            return False
        self._stale_at = now + STALE
        return True

    def add(self, records: list[Any], epoch: int) -> None:
        """Put records, which were fetched at an epoch, behind what is there; what was revoked meanwhile is dropped."""
        now, valid = self._fetcher.epoch, self._fetcher.valid
        with self._lock:
            self._mark(self._at - self._in_hand)
            given, waiting = self._batch[self._marked : self._at], valid(self._batch[self._at :], self._epoch)
            records = valid(records, epoch)
            self._batch = [*given, *waiting, *records] if given or waiting else records
            self._at, self._marked, self._epoch = len(given), 0, now
        self._fetcher.changes += 1
        self._stale_at = time.monotonic() + STALE

    def give(self, most: int) -> list[Any]:
        """The next of the library's records, which are in the caller's hands then."""
        with self._lock:
            found = self._batch[self._at : self._at + most]
            self._in_hand = len(found)
            self._at += len(found)
        self._fetcher.changes += 1  # for `each`, in whose loop this may have been called
        return found

    def each(self) -> Iterator[MessageResult]:
        """Give them one by one, each completed by asking for the next; until something is to be looked at first."""
        if not len(self):
            return
        with self._lock:
            self._mark(self._at)
            self._in_hand = 1
        fetcher, batch, changes = self._fetcher, self._batch, self._fetcher.changes
        monotonic, stale_at = time.monotonic, self._stale_at
        for at in range(self._at, len(batch)):
            self._at = at + 1
            yield MessageResult(batch[at])
            # Stopped, revoked, sought, or read from inside the loop; a program that takes its time.
            if fetcher.changes != changes or monotonic() > stale_at:
                return

    def take(self, most: int) -> list[Any]:
        """Up to `most` records for a caller who keeps account of them by itself: they are never completed here."""
        with self._lock:
            self._mark(self._at)
            self._batch, self._at, self._marked, self._in_hand = self._batch[self._at :], 0, 0, 0
            found, self._batch = self._batch[:most], self._batch[most:]
        self._fetcher.changes += 1
        return found

    def came_back(self) -> None:
        """The caller is done with all that it was given."""
        with self._lock:
            self._mark(self._at)
            self._in_hand = 0

    def completed(self) -> dict[Key, Any]:
        """Where the partitions of completed records go on; each is answered once."""
        with self._lock:
            self._mark(self._at - self._in_hand)
            found, self._completed = self._completed, {}
            return found

    def _mark(self, upto: int) -> None:
        if upto > self._marked:
            whole = self._marked == 0 and upto == len(self._batch)
            self._completed.update(self._fetcher.ends(self._batch if whole else self._batch[self._marked : upto]))
            self._marked = upto
