"""Memory in front of Redis."""

from superclient.errors import ConfigurationError
from superclient.smart.cache.base import Value
from superclient.smart.cache.memory import DefaultLocalCache
from superclient.smart.cache.redis import DefaultRemoteCache
from superclient.smart.config import CacheConfig


class DefaultHybridCache:
    """Reads memory, then Redis, whose answer it keeps in memory for the rest of its time; writes both.

    What another process changes is seen when memory has forgotten it: after `local_ttl_seconds` at the latest, unless
    it is renewed. See base.Cache for the methods.

    Raises:
        ImportError: redis-py is not installed.
        ConfigurationError: `local_max_size` is 0.
    """

    def __init__(self, config: CacheConfig | None = None, namespace: str = "cache") -> None:
        config = config or CacheConfig()
        if not config.local_max_size:
            raise ConfigurationError("local_max_size is 0: that is Redis alone, a DefaultRemoteCache")
        self._local = DefaultLocalCache(config)
        self._remote = DefaultRemoteCache(config, namespace, memory=self._local)

    def ping(self) -> None:
        """See DefaultRemoteCache.ping."""
        self._remote.ping()

    def get(self, key: str) -> Value:
        """See Cache.get."""
        value = self._local.get(key)
        return self._remote.get(key) if value is None else value

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """See Cache.set."""
        self._remote.set(key, value, ttl)

    def get_nowait(self, key: str, *, renew: bool = False) -> Value:
        """See Cache.get_nowait."""
        return self._remote.get_nowait(key, renew=renew)

    def set_nowait(self, key: str, value: Value, ttl: float | None = None, *, first: bool = False) -> None:
        """See Cache.set_nowait."""
        self._remote.set_nowait(key, value, ttl, first=first)

    def delete(self, key: str) -> None:
        """See Cache.delete."""
        self._remote.delete(key)

    def clear(self) -> None:
        """See Cache.clear."""
        self._remote.clear()

    def close(self) -> None:
        """See Cache.close."""
        self._remote.close()
