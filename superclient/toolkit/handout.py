"""What was fetched ahead of the program, what of it the program has been given, and what it is done with.

A record is completed when its caller comes back for the next one, commits, or closes; only then is its offset stored.
Records are given out on one thread or event loop; the thread that fetches only asks what is completed.
"""

import threading
import time
from collections.abc import Iterator
from itertools import islice
from operator import length_hint
from typing import Any

from confluent_kafka import Message

from superclient.toolkit.fetching import Fetcher
from superclient.toolkit.rebalance import Key
from superclient.toolkit.results import MessageResult

STALE = 0.1  # seconds after which the brokers hear of the program, however long it takes over what it has
_value: Any = Message.value


class Handout:
    """The records between the fetcher and the program."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._lock = threading.Lock()
        self._batch: list[Any] = []
        self._left = iter(self._batch)  # those of the batch that were not handed out
        self._epoch = 0  # the fetcher's when the batch was fetched
        self._in_hand = 0  # how many of those that were handed out the program may still be working on
        self._marked = 0  # how many are in _completed
        self._completed: dict[Key, Any] = {}
        self._stale_at = 0.0
        fetcher.completed = self.completed

    def __len__(self) -> int:
        """How many records are there to be given."""
        if self._epoch != self._fetcher.epoch:
            self.add([], self._fetcher.epoch)
        return length_hint(self._left)

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
            at = self._at
            self._mark(at - self._in_hand)
            given, waiting = self._batch[self._marked : at], valid(self._batch[at:], self._epoch)
            records = valid(records, epoch)
            self._put([*given, *waiting, *records] if given or waiting else records, len(given))
            self._epoch = now
        self._fetcher.changes += 1
        self._stale_at = time.monotonic() + STALE

    def give(self, most: int) -> list[MessageResult]:
        """The next records, which are in the caller's hands then."""
        with self._lock:
            found = list(islice(self._left, most))
            self._in_hand = len(found)
        self._fetcher.changes += 1  # for `each`, in whose loop this may have been called
        return list(MessageResult.each(found, map(_value, found)))

    def each(self) -> Iterator[MessageResult]:
        """Give them one by one, each completed by asking for the next; until something is to be looked at first."""
        if not len(self):
            return
        with self._lock:
            at = self._at
            self._mark(at)
            self._in_hand = 1
        fetcher, changes = self._fetcher, self._fetcher.changes
        monotonic, stale_at = time.monotonic, self._stale_at
        for record in MessageResult.each(self._left, map(_value, self._batch[at:] if at else self._batch)):
            yield record
            # Stopped, revoked, sought, or read from inside the loop; a program that takes its time.
            if fetcher.changes != changes or monotonic() > stale_at:
                return

    def take(self, most: int) -> list[Any]:
        """Up to `most` records for a caller who keeps account of them by itself: they are never completed here."""
        with self._lock:
            self._mark(self._at)
            found = list(islice(self._left, most))
            self._put(list(self._left))
            self._in_hand = 0
        self._fetcher.changes += 1
        return found

    def came_back(self) -> None:
        """The caller is done with all that it was given; who has had everything lets go of it before more comes."""
        with self._lock:
            self._mark(self._at)
            if self._marked == len(self._batch):
                self._put([])
            self._in_hand = 0

    def completed(self) -> dict[Key, Any]:
        """Where the partitions of completed records go on; each is answered once."""
        with self._lock:
            self._mark(self._at - self._in_hand)
            found, self._completed = self._completed, {}
            return found

    @property
    def _at(self) -> int:
        """How many of the batch were handed out."""
        return len(self._batch) - length_hint(self._left)

    def _put(self, batch: list[Any], given: int = 0) -> None:
        self._batch, self._left, self._marked = batch, iter(batch), 0
        next(islice(self._left, given, given), None)  # skips them

    def _mark(self, upto: int) -> None:
        if upto > self._marked:
            whole = self._marked == 0 and upto == len(self._batch)
            self._completed.update(self._fetcher.ends(self._batch if whole else self._batch[self._marked : upto]))
            self._marked = upto
