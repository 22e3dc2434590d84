"""Redis without waiting: what is wanted from it and what it is to learn is done by a thread, a batch at a time."""

import logging
import sys
import threading
from queue import SimpleQueue

from superclient.errors import CacheError
from superclient.smart.cache.base import Value
from superclient.smart.cache.forks import renew_in_children
from superclient.smart.cache.memory import DefaultLocalCache
from superclient.smart.cache.store import RedisStore, encoded

log = logging.getLogger("superclient.smart.cache")

MOST_PENDING = 1000
"""Keys that wait for the thread; what comes on top of them is dropped and counted."""
BATCH = 200
"""Keys in one round trip."""
PATIENCE = 1.0
"""Seconds that `close` waits for what is on its way."""

_PLAIN = frozenset((int, str, bool, float))
_Write = tuple[Value, float, bool]
"""A value, the seconds that it is to last, and whether what is there already stays."""


class Background:
    """Reads and writes a store through a memory, which has the answers. Its thread starts with the first work.

    Attributes:
        dropped: reads and writes that came to nothing: there were too many, or the store was away.
    """

    def __init__(self, store: RedisStore, memory: DefaultLocalCache, ttl: float) -> None:
        self.dropped = 0
        self._store, self._memory, self._ttl = store, memory, ttl
        self._closed = False
        self.anew()
        renew_in_children(self)

    def anew(self) -> None:
        """See Forkable.anew. What is pending, the parent does."""
        self._lock = threading.RLock()  # reentrant: the garbage collector may come by here, too
        self._wakes: SimpleQueue[bool] = SimpleQueue()
        self._pending: dict[str, _Write | None] = {}
        self._thread: threading.Thread | None = None

    def get(self, key: str, renew: bool) -> Value:
        """See Cache.get_nowait."""
        memory = self._memory
        entry = memory.find(key)
        if entry is None:
            self._offer(key, None)
            return None
        if renew and entry.renew(memory.clock()):
            self._offer(key, (entry.value, entry.store_ttl, True))
        return entry.value

    def set(self, key: str, value: Value, ttl: float | None, first: bool = False) -> None:
        """See Cache.set_nowait."""
        if type(value) not in _PLAIN:
            encoded(value)  # a TypeError is for whoever gave the value, not for the thread
        self.remember(key, value, ttl)
        self._offer(key, (value, self._ttl if ttl is None else ttl, first))

    def remember(self, key: str, value: Value, ttl: float | None) -> None:
        """Set it in memory, where it counts no longer than in the store."""
        store_ttl = self._ttl if ttl is None else ttl
        self._memory.set(key, value, min(self._memory.ttl, store_ttl), store_ttl=store_ttl)

    def found(self, key: str, value: Value, remaining: float | None) -> None:
        """Take in what the store has, for the rest of its time; what this process has yet to tell it stays."""
        with self._lock:
            if self._pending.get(key) is None:
                self._memory.set(key, value, self._rest(remaining), store_ttl=self._ttl)

    def _rest(self, remaining: float | None) -> float:
        return self._memory.ttl if remaining is None else min(self._memory.ttl, remaining)

    def forget(self, key: str | None = None) -> None:
        """Leave undone what is pending for this key, or for all."""
        with self._lock:
            if key is None:
                self._pending.clear()
            else:
                self._pending.pop(key, None)

    def _offer(self, key: str, work: _Write | None) -> None:
        if self._store.down:
            self.dropped += 1
            return
        with self._lock:
            pending = self._pending
            new = key not in pending
            if self._closed or (new and len(pending) >= MOST_PENDING):
                self.dropped += 1
                return
            before = pending.get(key)
            if work is not None and (before is None or not work[2]):  # one that gives way, to one that is waiting too
                pending[key] = work
            elif new:
                pending[key] = None
            if new and len(pending) == 1:
                self._wakes.put(True)
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        if sys.is_finalizing():  # a thread never gets to run any more, and Thread.start would wait for it for ever
            self._pending.clear()
            return
        thread = threading.Thread(target=self._run, args=(self._wakes,), name="superclient-cache", daemon=True)
        try:
            thread.start()
            self._thread = thread
        except RuntimeError:  # the interpreter is shutting down, or there are no threads to be had
            self._pending.clear()
            self.dropped += 1

    def _run(self, wakes: "SimpleQueue[bool]") -> None:
        while wakes.get():
            with self._lock:
                work, self._pending = self._pending, {}
            keys = list(work)
            for start in range(0, len(keys), BATCH):
                batch = {key: work[key] for key in keys[start : start + BATCH]}
                try:
                    self._do(batch)
                except CacheError:  # the store has said it
                    self.dropped += len(batch)
                except Exception:
                    log.exception("the cache lost a batch")
                    self.dropped += len(batch)

    def _do(self, work: dict[str, _Write | None]) -> None:
        writes = {key: (encoded(what[0]), *what[1:]) for key, what in work.items() if what is not None}
        if writes:
            self._store.write(writes)
        reads = [key for key, what in work.items() if what is None]
        if reads:
            for key, (value, remaining) in self._store.read(reads).items():
                # Asked for when it was not in memory: what this process chose meanwhile stays.
                self._memory.add(key, value, self._rest(remaining), store_ttl=self._ttl)

    def end(self) -> None:
        """Let the thread end after what is pending. Takes no lock: the garbage collector calls it."""
        self._closed = True
        self._wakes.put(False)

    def close(self) -> None:
        """As `end`, and wait a moment for what is on its way."""
        self.end()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(PATIENCE)
