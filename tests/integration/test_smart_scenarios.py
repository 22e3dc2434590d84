"""KSP-28: two producers × two monitors × three caches, each as a program that a newcomer would run: examples/smart."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from superclient import AsyncSmartProducer, SmartProducer, SmartProducerConfig
from tests.environments import run_program
from tests.integration.groups import lagging
from tests.servers import Broker, wait_for
from tests.servers.redis import RedisServer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "smart" / "produce.py"


@pytest.fixture(scope="module")
def lag(kafka: Broker) -> tuple[str, str]:
    """Two partitions that are up to date, and two that are far behind."""
    return lagging(kafka, [0, 0, 10_000, 10_000])


@pytest.mark.parametrize("cache", ["local", "remote", "hybrid"])
@pytest.mark.parametrize("monitor", ["embedded", "standalone"])
@pytest.mark.parametrize("producer", ["sync", "async"])
def test_every_producer_goes_with_every_monitor_and_cache(
    kafka: Broker, lag: tuple[str, str], redis_server: RedisServer, producer: str, monitor: str, cache: str
) -> None:
    """KSP-28: by a real group's lag and a real Redis: lagging partitions get nothing, and each key is in one place,
    which Redis knows when it is asked to, as it does the health that a standalone monitor publishes.
    """
    topic, group = lag
    with redis_server.client() as client:
        client.flushdb()
        wanted = ["--producer", producer, "--monitor", monitor, "--cache", cache, "--max-lag", "16000"]
        where = ["--bootstrap-servers", kafka.bootstrap, "--redis-host", "127.0.0.1"]
        env = {"SUPERSTREAM_DISABLED": "true", "PYTHONPATH": str(ROOT)}
        done = run_program(
            Path(sys.executable),
            EXAMPLE,
            topic,
            group,
            *wanted,
            *where,
            "--redis-port",
            str(redis_server.port),
            env=env,
        )
        assert done.returncode == 0, done.stderr
        names = [name.decode() for name in client.keys("*")]
    told = json.loads(done.stdout)
    assert sum(told["records"].values()) == 200
    assert len(told["keys"]) == 10
    waited = monitor == "embedded" or cache == "local"  # else the producer's own monitor looks while it produces
    if waited:
        assert set(told["records"]) <= {"0", "1"}
        assert all(len(places) == 1 for places in told["keys"].values())
        assert {place for places in told["keys"].values() for place in places} <= {0, 1}
    remembered = [name for name in names if name.startswith("superclient:keys:")]
    assert len(remembered) <= (0 if cache == "local" else 10)
    assert len(remembered) == 10 or cache == "local" or not waited
    assert any(name.startswith("superclient:health:") for name in names) is (monitor == "standalone")


def settings(kafka: Broker, topic: str, group: str, server: RedisServer, size: int) -> SmartProducerConfig:
    return SmartProducerConfig(
        {"bootstrap.servers": kafka.bootstrap},
        [topic],
        group,
        {"refresh_interval": 0.5, "max_lag_for_health": 16_000},
        server.config(local_max_size=size),
    )


@pytest.mark.parametrize("size", [0, 1000], ids=["remote", "hybrid"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_redis_that_goes_and_comes_back(
    kafka: Broker, lag: tuple[str, str], fresh_redis: RedisServer, kind: str, size: int
) -> None:
    """KSP-8, KSP-30: `produce` goes on, each key in its place, new ones too; later choices reach Redis again."""
    topic, group = lag
    places: dict[bytes, set[int]] = {}

    def remembered() -> int:
        with fresh_redis.client() as client:
            return len(client.keys("superclient:keys:*"))

    def scenario(produce: Callable[[bytes], None], views: Any) -> None:
        wait_for(lambda: topic in views, "the monitor's first look")
        for number in range(20):
            produce(b"early-%d" % number)
        wait_for(lambda: remembered() == 20, "the choices in Redis")
        fresh_redis.stop()
        for number in range(20):
            produce(b"early-%d" % number)
            produce(b"meanwhile-%d" % number)
        fresh_redis.start()

        def again() -> bool:
            produce(b"late-%d" % len(places))
            return remembered() > 0

        wait_for(again, "choices in the new Redis", 60)
        for number in range(20):
            produce(b"early-%d" % number)
            produce(b"meanwhile-%d" % number)

    def note(error: Any, message: Any) -> None:
        assert error is None
        places.setdefault(message.key(), set()).add(message.partition())

    config = settings(kafka, topic, group, fresh_redis, size)
    if kind == "sync":
        with SmartProducer(config) as producer:

            def produce(key: bytes) -> None:
                producer.produce(topic, b"x", key, on_delivery=note)
                producer.poll(0.005)

            scenario(produce, producer._helpers._monitor.views)
    else:
        asyncio.run(_awaited(config, topic, scenario, note))
    assert len(places) > 40
    assert all(len(found) == 1 for found in places.values())
    assert {place for found in places.values() for place in found} <= {0, 1}


async def _awaited(config: SmartProducerConfig, topic: str, scenario: Any, note: Any) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncSmartProducer(config) as producer:

        def produce(key: bytes) -> None:
            sent = asyncio.run_coroutine_threadsafe(producer.produce(topic, b"x", key), loop)
            note(None, sent.result(30))

        await asyncio.to_thread(scenario, produce, producer._producer._helpers._monitor.views)
