"""Which cache a CacheConfig means."""

from superclient.smart.cache.base import Cache
from superclient.smart.cache.hybrid import DefaultHybridCache
from superclient.smart.cache.memory import DefaultLocalCache
from superclient.smart.cache.redis import DefaultRemoteCache
from superclient.smart.config import CacheConfig


class CacheFactory:
    """Makes caches; there are no instances of it."""

    @staticmethod
    def create(config: CacheConfig | None = None, namespace: str = "cache") -> Cache:
        """Memory, Redis (`remote_enabled` with `local_max_size=0`), or memory in front of Redis (`remote_enabled`).

        Without either it is a memory for nothing, where everything is a miss. Whoever asks for it closes it.

        Raises:
            ImportError: `remote_enabled`, but redis-py is not installed.
        """
        config = config or CacheConfig()
        if not config.remote_enabled:
            return DefaultLocalCache(config)
        return DefaultHybridCache(config, namespace) if config.local_max_size else DefaultRemoteCache(config, namespace)
