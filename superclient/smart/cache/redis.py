"""The cache in Redis, which all processes share."""

import weakref

from superclient.errors import CacheError
from superclient.smart.cache.background import Background
from superclient.smart.cache.base import Value
from superclient.smart.cache.memory import DefaultLocalCache
from superclient.smart.cache.store import Found, RedisStore, encoded
from superclient.smart.config import CacheConfig

RECENT = 1000
"""Keys whose values `get_nowait` knows without another cache in front."""


class DefaultRemoteCache:
    """Values for `remote_ttl_seconds` in Redis, under names that begin with "superclient:" and the namespace.

    `get` always asks Redis. `get_nowait` cannot: it knows the last RECENT keys that it was told or asked about. See
    base.Cache for the methods.

    Raises:
        ImportError: redis-py is not installed.
    """

    def __init__(
        self, config: CacheConfig | None = None, namespace: str = "cache", *, memory: DefaultLocalCache | None = None
    ) -> None:
        config = config or CacheConfig()
        self._ttl = config.remote_ttl_seconds
        self._store = RedisStore(config, namespace)
        if memory is None:
            memory = DefaultLocalCache(CacheConfig(local_max_size=RECENT, local_ttl_seconds=self._ttl))
        self._memory = memory
        self._background = Background(self._store, self._memory, self._ttl)
        weakref.finalize(self, self._background.end).atexit = False

    @property
    def dropped(self) -> int:
        """How often `get_nowait` and `set_nowait` could not reach Redis: it was away, or there was too much to do."""
        return self._background.dropped

    def ping(self) -> None:
        """One round trip to Redis, for those who want to know; all other methods hide what is wrong.

        Raises:
            CacheTimeoutError: no answer in time.
            CacheUnavailableError: no connection, no rights, or the last failure was a moment ago.
        """
        self._store.run([("PING",)])

    def get(self, key: str) -> Value:
        """See Cache.get."""
        found = self.find(key)
        return None if found is None else found.value

    def find(self, key: str) -> Found | None:
        """As `get`, with the time that Redis keeps the value for. What is found is in memory from then on."""
        try:
            found = self._store.read([key]).get(key)
        except CacheError:  # the store has said it
            return None
        if found is not None:
            self._background.found(key, *found)
        return found

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """See Cache.set."""
        text = encoded(value)
        self._background.forget(key)
        self._background.remember(key, value, ttl)
        try:
            self._store.write({key: (text, self._ttl if ttl is None else ttl, False)})
        except CacheError:
            pass  # the store has said it

    def get_nowait(self, key: str, *, renew: bool = False) -> Value:
        """See Cache.get_nowait."""
        return self._background.get(key, renew)

    def set_nowait(self, key: str, value: Value, ttl: float | None = None, *, first: bool = False) -> None:
        """See Cache.set_nowait."""
        self._background.set(key, value, ttl, first)

    def delete(self, key: str) -> None:
        """See Cache.delete."""
        self._background.forget(key)
        self._memory.delete(key)
        try:
            self._store.delete(key)
        except CacheError:
            pass  # the store has said it

    def clear(self) -> None:
        """See Cache.clear."""
        self._background.forget()
        self._memory.clear()
        try:
            self._store.clear()
        except CacheError:
            pass  # the store has said it

    def close(self) -> None:
        """See Cache.close."""
        self._background.close()
        self._memory.close()
        self._store.close()
