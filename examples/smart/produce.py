"""Sends records to the partitions that a consumer group keeps up with.

    python examples/smart/produce.py orders billing
    python examples/smart/produce.py orders billing --producer async --monitor standalone --cache hybrid

Every producer goes with every monitor and every cache. The topic must exist; the group is the one that reads it.
Prints how many records went where, and where the keys are.

A monitor is embedded in the producer's process, or standalone: then it may as well run in a process of its own, and
tells all producers through Redis. A cache remembers where keys are: in this process (local), in Redis for all processes
(remote), or in both (hybrid). With neither monitor nor cache written down, `consumer_group="billing"` in the
SmartProducerConfig is all that it takes.
"""

import argparse
import asyncio
import json
from collections import Counter

from superclient import (
    AsyncPartitionHealthMonitor,
    AsyncSmartProducer,
    CacheConfig,
    KafkaAdminLagCollector,
    PartitionHealthMonitor,
    SmartProducer,
    SmartProducerConfig,
)


def main() -> None:
    chosen = options()
    kafka = {"bootstrap.servers": chosen.bootstrap_servers}
    redis = {"redis_host": chosen.redis_host, "redis_port": chosen.redis_port}
    watch = {"refresh_interval": 1.0, "max_lag_for_health": chosen.max_lag}
    remote = chosen.cache != "local"
    cache = CacheConfig(local_max_size=0 if chosen.cache == "remote" else 1000, remote_enabled=remote, **redis)
    # A producer whose cache is in Redis finds there what the standalone monitor says, and asks Kafka itself no more.
    published = chosen.monitor == "standalone" and remote
    health = {**watch, "consumer_group": chosen.group} if published else None
    config = SmartProducerConfig(kafka, [chosen.topic], health_manager=health, cache=cache)
    kind = AsyncPartitionHealthMonitor if chosen.producer == "async" else PartitionHealthMonitor

    def monitor():
        if chosen.monitor == "standalone":
            return kind.standalone(chosen.group, kafka, [chosen.topic], **watch, **redis)
        return kind.embedded(KafkaAdminLagCollector(chosen.bootstrap_servers, chosen.group), [chosen.topic], **watch)

    if chosen.producer == "async":
        told = asyncio.run(send_awaited(chosen, config, monitor, published))
    else:
        told = send(chosen, config, monitor, published)
    print(json.dumps(summary(told)))


def send(chosen, config, monitor, published) -> list[tuple[bytes | None, int]]:
    """Records of which somebody hears by a callback."""
    told = []
    with monitor() as health:
        health.force_refresh()
        with SmartProducer(config, health_manager=None if published else health) as producer:
            for number in range(chosen.records):
                producer.produce(
                    chosen.topic,
                    f"record {number}",
                    key=key(number),
                    on_delivery=lambda error, message: told.append((message.key(), message.partition())),
                )
                producer.poll(chosen.pause)
    return told


async def send_awaited(chosen, config, monitor, published) -> list[tuple[bytes | None, int]]:
    """Records of which each one is awaited, all of them at once."""

    async def one(number: int) -> tuple[bytes | None, int]:
        await asyncio.sleep(number * chosen.pause)
        message = await producer.produce(chosen.topic, f"record {number}", key=key(number))
        return message.key(), message.partition()

    async with monitor() as health:
        await health.force_refresh()
        async with AsyncSmartProducer(config, health_manager=None if published else health) as producer:
            return await asyncio.gather(*(one(number) for number in range(chosen.records)))


def key(number: int) -> str | None:
    """Every other record has one of ten keys."""
    return f"customer-{number // 2 % 10}" if number % 2 else None


def summary(told) -> dict:
    counts = Counter(partition for name, partition in told if name is None)
    keys: dict[str, set[int]] = {}
    for name, partition in told:
        if name is not None:
            keys.setdefault(name.decode(), set()).add(partition)
    return {"records": dict(sorted(counts.items())), "keys": {name: sorted(keys[name]) for name in sorted(keys)}}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("group", help="the consumer group whose lag counts")
    parser.add_argument("--producer", choices=["sync", "async"], default="sync")
    parser.add_argument("--monitor", choices=["embedded", "standalone"], default="embedded")
    parser.add_argument("--cache", choices=["local", "remote", "hybrid"], default="local")
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    parser.add_argument("--redis-host", default="localhost")
    parser.add_argument("--redis-port", type=int, default=6379)
    parser.add_argument("--max-lag", type=int, default=1000, help="records at which a partition scores 0")
    parser.add_argument("--records", type=int, default=400)
    parser.add_argument("--pause", type=float, default=0.005, help="seconds between two records")
    return parser.parse_args()


if __name__ == "__main__":
    main()
