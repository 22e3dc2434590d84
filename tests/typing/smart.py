"""Lag-aware producing as a program uses it; type-checked by tests/unit/test_smart_names.py, never run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import superclient
from superclient import (
    AsyncPartitionHealthMonitor,
    AsyncSmartProducer,
    CacheConfig,
    CacheFactory,
    DefaultHybridCache,
    DefaultLocalCache,
    DefaultRemoteCache,
    HealthManagerConfig,
    HealthMode,
    KafkaAdminLagCollector,
    LagDataCollector,
    PartitionHealthMonitor,
    SmartProducer,
    SmartProducerConfig,
)


def configurations() -> SmartProducerConfig:
    """Every way of writing one; what is read back has one type."""
    health = HealthManagerConfig("group", refresh_interval=3, max_lag_for_health=500)
    cache = CacheConfig(remote_enabled=True, redis_password="x", redis_ssl_ca_certs=Path("ca.pem"))
    written = SmartProducerConfig({"bootstrap.servers": "a:1"}, ["t"], "group", health, cache, key_stickiness="hash")
    flat = SmartProducerConfig.from_dict({"bootstrap.servers": "a:1", "topics": ["t"], "consumer_group": "group"})
    mixed = SmartProducerConfig({}, ("t",), health_manager={"consumer_group": "group"}, cache_config={"redis_db": 1})
    topics: tuple[str, ...] = written.topics
    group: str | None = flat.consumer_group
    watched: HealthManagerConfig | None = flat.health_manager
    caches: CacheConfig = mixed.cache
    sticky: bool | Literal["hash"] = written.key_stickiness
    print(topics, group, watched, caches, sticky)
    CacheConfig(local_max_size="3")  # type: ignore[arg-type]  # not Any: a mistake is found
    return flat


class Own:
    """A collector of a program's own needs no base class."""

    def get_lag_data(self, topic: str) -> dict[int, int]:
        """Always the same."""
        return {0: len(topic)}

    def is_healthy(self) -> bool:
        """Always."""
        return True


def caches() -> None:
    """The caches by their names, and what the factory answers."""
    local, remote = DefaultLocalCache(CacheConfig()), DefaultRemoteCache(CacheConfig(), "namespace")
    for cache in (CacheFactory.create(CacheConfig()), local, remote, DefaultHybridCache()):
        cache.set("key", {"a": [1, 2.5, None]}, 0.5)
        value = cache.get_nowait("key", renew=True)
        print(value + 1 if isinstance(value, int) else value)
    try:
        remote.ping()
    except (superclient.CacheUnavailableError, superclient.CacheTimeoutError) as problem:
        error: superclient.SmartProducerError = problem
        print(error)


def produce() -> None:
    """A producer, with a monitor of its own and with one that it is given."""
    with SmartProducer(configurations()) as producer:
        producer.produce("t", b"value")
    collector: LagDataCollector = KafkaAdminLagCollector("a:1", "group", timeout_seconds=2)
    with PartitionHealthMonitor.embedded(collector, ["t"], refresh_interval=1.0) as monitor:
        healthy: list[int] = monitor.get_healthy_partitions("t")
        mode: HealthMode = monitor.mode
        print(healthy, mode)


async def watch() -> None:
    """A producer and a monitor on the event loop."""
    async with AsyncSmartProducer(configurations()) as producer:
        message = await producer.produce("t", b"value")
        print(message.partition())
    async with AsyncPartitionHealthMonitor.embedded(Own(), ["t"]) as monitor:
        healthy: bool = await monitor.is_partition_healthy("t", 0)
        async for scores in monitor.health_stream("t"):
            best: dict[int, float] = scores
            print(healthy, best)
