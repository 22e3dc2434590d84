"""The cache in memory: least recently used goes first, and everything after its time."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from superclient.smart.cache.base import Value
from superclient.smart.config import CacheConfig

RENEWALS = 4
"""How many times within its ttl there a store behind the memory hears of a value that is in use."""


class Entry:
    """One remembered value.

    Attributes:
        expires: when it is forgotten, by the cache's clock.
        ttl: how long that was from when it was set; what a renewal adds.
        store_ttl: its ttl in the store behind this memory; infinite where there is none.
        due: when that store is to hear of it again, should it still be in use.
    """

    __slots__ = ("due", "expires", "store_ttl", "ttl", "value")

    def __init__(self, value: Value, now: float, ttl: float, store_ttl: float) -> None:
        self.value, self.ttl, self.store_ttl = value, ttl, store_ttl
        self.expires, self.due = now + ttl, now + store_ttl / RENEWALS

    def renew(self, now: float) -> bool:
        """Count its time anew; answers whether the store is to hear of it."""
        self.expires = now + self.ttl
        if now < self.due:
            return False
        self.due = now + self.store_ttl / RENEWALS
        return True


class DefaultLocalCache:
    """At most `local_max_size` values, each for `local_ttl_seconds`. Never waits: see base.Cache for the methods.

    There is no lock in it, so that nothing can wait here, not the garbage collector in the middle of it and not a
    forked child: each step is one call into OrderedDict's C code, and an entry is changed in its place, so what one
    thread renews, another may replace meanwhile.
    """

    def __init__(self, config: CacheConfig | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        config = config or CacheConfig()
        self._most, self.ttl = config.local_max_size, config.local_ttl_seconds
        self.clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def get(self, key: str) -> Value:
        """See Cache.get."""
        entry = self.find(key)
        return None if entry is None else entry.value

    def get_nowait(self, key: str, *, renew: bool = False) -> Value:
        """See Cache.get_nowait."""
        entry = self.find(key)
        if entry is None:
            return None
        if renew:
            entry.renew(self.clock())
        return entry.value

    def find(self, key: str) -> Entry | None:
        """The entry itself while it counts, now the most recently used."""
        entry = self._entries.get(key)
        if entry is None or entry.expires <= self.clock():
            return None  # it goes when its place is needed: deleting it here could meet what another thread just set
        try:
            self._entries.move_to_end(key)
        except KeyError:  # another thread just removed it
            pass
        return entry

    def set(self, key: str, value: Value, ttl: float | None = None, *, store_ttl: float = math.inf) -> None:
        """See Cache.set; `store_ttl` is for a store behind this one."""
        self._entries[key] = self._entry(value, ttl, store_ttl)
        self._bound(key)

    def add(self, key: str, value: Value, ttl: float | None = None, *, store_ttl: float = math.inf) -> None:
        """As `set`, unless there is a value already."""
        new = self._entry(value, ttl, store_ttl)
        entry = self._entries.setdefault(key, new)
        if entry is not new and entry.expires <= self.clock():
            for name in Entry.__slots__:
                setattr(entry, name, getattr(new, name))
        self._bound(key)

    def set_nowait(self, key: str, value: Value, ttl: float | None = None, *, first: bool = False) -> None:
        """See Cache.set_nowait."""
        self.set(key, value, ttl)

    def delete(self, key: str) -> None:
        """See Cache.delete."""
        self._entries.pop(key, None)

    def clear(self) -> None:
        """See Cache.clear."""
        self._entries.clear()

    def close(self) -> None:
        """See Cache.close."""
        self._most = 0
        self._entries.clear()

    @property
    def size(self) -> int:  # no __len__: an empty cache is not a false one
        """How many entries take room, those included whose time is over and whose place nobody has needed."""
        return len(self._entries)

    def _entry(self, value: Value, ttl: float | None, store_ttl: float) -> Entry:
        return Entry(value, self.clock(), self.ttl if ttl is None else ttl, store_ttl)

    def _bound(self, key: str) -> None:
        try:
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        except KeyError:  # other threads made the room, or emptied the cache
            pass
