"""The monitors on a real Kafka, with real consumer groups, and a real Redis between them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import NewPartitions

from superclient import KafkaAdminLagCollector, LagDataUnavailableError, PartitionHealthMonitor, SmartProducerConfig
from superclient.errors import ConfigurationError
from superclient.kafka.offsets import exchange
from superclient.smart.async_monitor import AsyncPartitionHealthMonitor
from superclient.smart.cache import store
from tests.faults import Proxy, refused_port
from tests.servers import Broker, SecureBroker, wait_for
from tests.servers.redis import RedisServer

SOON = {"refresh_interval": 0.1}
NEVER = {"refresh_interval": 3600.0}
LIMIT = 100  # max_lag_for_health: half of it is healthy


@pytest.fixture
def group(kafka: Broker) -> str:
    """A consumer group that no other test has, known to the session's broker."""
    return known(kafka, f"group-{os.urandom(4).hex()}")


@pytest.fixture
def orders(kafka: Broker) -> str:
    """A new topic of three partitions."""
    return kafka.create_topic(f"orders-{os.urandom(4).hex()}", partitions=3)


@pytest.fixture
def collect(kafka: Broker, group: str) -> Iterator[Callable[..., KafkaAdminLagCollector]]:
    """Makes collectors of the group, and closes them."""
    made: list[KafkaAdminLagCollector] = []

    def make(bootstrap: str = kafka.bootstrap, timeout: float = 30.0, **config: Any) -> KafkaAdminLagCollector:
        made.append(KafkaAdminLagCollector(bootstrap, group, timeout, **config))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def curious(monkeypatch: pytest.MonkeyPatch) -> None:
    """Topics and partitions are asked for again at once, not once a minute."""
    monkeypatch.setattr(exchange, "METADATA_AGE", 0.2)
    monkeypatch.setattr(exchange, "MISSING_AGE", 0.2)


def fill(broker: Broker, topic: str, partition: int, records: int) -> None:
    """Produce to one partition."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
    for _ in range(records):
        producer.produce(topic, b"order", partition=partition)
    assert producer.flush(30) == 0


def commit(broker: Broker, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Commit for a group as one of its consumers would."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, "log_level": 0})
    try:
        places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        consumer.commit(offsets=places, asynchronous=False)
    finally:
        consumer.close()


def known(broker: Broker, group: str) -> str:
    """Have the broker make room for groups, and find out who is in charge of this one; a new cluster does so late."""
    commit(broker, group, broker.create_topic("committed-before"), {0: 0})
    return group


# --- a group's lag ----------------------------------------------------------------------------------------------------


def test_lag_of_a_group(kafka: Broker, orders: str, group: str, collect: Any) -> None:
    """KSP-2, LAG-1: what was produced and not committed; where nothing was committed, from the log's start."""
    for partition, records in ((0, 30), (1, 200), (2, 70)):
        fill(kafka, orders, partition, records)
    collector = collect()
    assert collector.get_lag_data(orders) == {0: 30, 1: 200, 2: 70}
    commit(kafka, group, orders, {0: 30, 1: 20})
    assert collector.get_lag_data(orders) == {0: 0, 1: 180, 2: 70}
    assert collect(auto_offset_reset="latest").get_lag_data(orders) == {0: 0, 1: 180, 2: 0}
    assert collector.is_healthy()
    with PartitionHealthMonitor.embedded(collector, [orders], max_lag_for_health=140, **NEVER) as monitor:
        assert monitor.force_refresh()
        assert monitor.get_healthy_partitions(orders) == [0, 2]  # 70 of 140 is exactly at the threshold (KSP-3)


@pytest.mark.usefixtures("curious")
def test_offsets_that_move_in_odd_ways(kafka: Broker, orders: str, group: str, collect: Any) -> None:
    """LAG-1: a group set back or ahead, records deleted below what it committed, partitions added."""
    fill(kafka, orders, 0, 50)
    collector = collect()
    for committed, lag in ((50, 0), (10, 40), (0, 50), (50, 0)):
        commit(kafka, group, orders, {0: committed})
        assert collector.get_lag_data(orders)[0] == lag
    commit(kafka, group, orders, {0: 5, 1: 3})
    admin = kafka.admin()  # must outlive its results
    (deleted,) = admin.delete_records([TopicPartition(orders, 0, 30)]).values()
    deleted.result(30)
    # Partition 1 is empty: its group is ahead of it, as after a topic was made anew.
    seen = {0: 20, 1: 0, 2: 0}
    wait_for(lambda: collector.get_lag_data(orders) == seen, "where the logs start now", timeout=60)
    admin.create_partitions([NewPartitions(orders, 5)])[orders].result(30)
    wait_for(lambda: len(_lags(collector, orders)) == 5, "the new partitions are seen", timeout=60)


@pytest.mark.usefixtures("curious")
def test_topics_that_come_and_go(kafka: Broker, orders: str, collect: Any) -> None:
    """KSP-5: a topic that is not there is an error of that topic alone, and known as soon as it is made."""
    missing = f"missing-{os.urandom(4).hex()}"
    collector = collect()
    with pytest.raises(LagDataUnavailableError, match=missing):
        collector.get_lag_data(missing)
    assert missing not in kafka.topics()
    with PartitionHealthMonitor.embedded(collector, [orders, missing], **SOON) as monitor:
        assert not monitor.force_refresh()
        assert monitor.force_refresh(orders)
        assert monitor.get_healthy_partitions(missing) == []
        assert "no such topic" in str(monitor.get_health_summary()["topics"][missing]["last_error"])
        kafka.create_topic(missing)
        wait_for(lambda: monitor.get_healthy_partitions(missing) == [0], "the new topic is seen", timeout=60)
        kafka.delete_topics(orders)
        wait_for(lambda: monitor.get_healthy_partitions(orders) == [], "it is gone", timeout=60)
        assert monitor.force_refresh(missing)


def test_consumers_that_catch_up(kafka: Broker, orders: str, group: str, collect: Any) -> None:
    """KSP-2, KSP-4, KSP-18: by a real group's own commits; a stream sees it lag, and catch up."""
    fill(kafka, orders, 1, 500)
    monitor = PartitionHealthMonitor.embedded(collect(), [orders], max_lag_for_health=LIMIT, **SOON)
    stream = monitor.health_stream(orders)
    assert next(stream) == {0: 1.0, 1: 0.0, 2: 1.0}
    assert monitor.get_healthy_partitions(orders) == [0, 2]
    settings = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, **settings})
    try:
        consumer.subscribe([orders])
        read: list[Any] = []
        while len(read) < 500:
            read += consumer.consume(500, timeout=0.5)
        consumer.commit(asynchronous=False)
        assert next(stream) == {0: 1.0, 1: 1.0, 2: 1.0}
        assert monitor.get_healthy_partitions(orders) == [0, 1, 2]
    finally:
        consumer.close()
        monitor.stop()
    assert list(stream) == []


def test_async_on_kafka(kafka: Broker, orders: str, group: str, collect: Any) -> None:
    """KSP-2, KSP-18, KSP-19: the same on an event loop."""
    fill(kafka, orders, 1, 500)

    async def work() -> None:
        async with AsyncPartitionHealthMonitor.embedded(
            collect(), [orders], max_lag_for_health=LIMIT, **NEVER
        ) as monitor:
            stream = monitor.health_stream(orders)
            assert await stream.__anext__() == {0: 1.0, 1: 0.0, 2: 1.0}
            commit(kafka, group, orders, {1: 500})
            assert await monitor.force_refresh()
            assert await stream.__anext__() == {0: 1.0, 1: 1.0, 2: 1.0}
            assert await monitor.get_healthy_partitions(orders) == [0, 1, 2]

    asyncio.run(work())


def test_broker_that_is_away(behind_proxy: tuple[Broker, Proxy], group: str) -> None:
    """KSP-5: what is known lapses after a few refreshes, the caller of force_refresh waits no longer than the time-out,
    and the first refresh that works brings everything back."""
    broker, proxy = behind_proxy
    known(broker, group)
    topic = broker.create_topic(f"orders-{os.urandom(4).hex()}")
    collector = KafkaAdminLagCollector(proxy.bootstrap, group)
    options = {**SOON, "timeout_seconds": 1.0}
    with PartitionHealthMonitor.embedded(collector, [topic], **options) as monitor:
        wait_for(lambda: monitor.get_healthy_partitions(topic) == [0], "the lag is known")
        proxy.drop()
        try:
            assert not monitor.force_refresh()
            wait_for(lambda: not monitor.get_healthy_partitions(topic), "what was known has lapsed")
            assert not monitor.get_health_summary()["collector_healthy"]
        finally:
            proxy.restore()
        wait_for(lambda: monitor.get_healthy_partitions(topic) == [0], "the lag is known again", timeout=60)
    collector.close()


@pytest.mark.usefixtures("curious")
def test_rights(secure_kafka: SecureBroker, group: str, caplog: pytest.LogCaptureFixture) -> None:
    """KSP-24, KSP-5: the credentials of a producer's configuration reach the collector; without rights on the group
    nothing is known, the reason is told, and no secret is."""
    topic = secure_kafka.create_topic(f"orders-{os.urandom(4).hex()}", partitions=2)
    known(secure_kafka, group)
    settings = {**secure_kafka.client_config("confluent"), "linger.ms": 50}
    config = SmartProducerConfig(settings, [topic], group)
    try:
        secure_kafka.grant("app", topic)
        with caplog.at_level(logging.DEBUG, "superclient"), PartitionHealthMonitor.of(config) as monitor:
            assert not monitor.force_refresh()
            assert monitor.get_healthy_partitions(topic) == []
            told = str(monitor.get_health_summary()["last_error"])
            assert "AUTHORIZATION" in told.upper()
            secure_kafka.grant("app", group, ("READ", "DESCRIBE"), group=True)
            wait_for(monitor.force_refresh, "the new right has arrived", timeout=60)
            assert monitor.get_healthy_partitions(topic) == [0, 1]
        plain = {name.replace(".", "_"): value for name, value in settings.items() if name != "bootstrap.servers"}
        collector = KafkaAdminLagCollector(secure_kafka.secure_bootstrap, group, **plain)
        assert collector.get_lag_data(topic) == {0: 0, 1: 0}
        collector.close()
        wrong = secure_kafka.client_config("confluent", password="wrong-secret")
        with pytest.raises(LagDataUnavailableError) as raised:
            KafkaAdminLagCollector(
                secure_kafka.secure_bootstrap, group, 20.0, **{**wrong, "bootstrap.servers": ""}
            ).get_lag_data(topic)
    finally:
        secure_kafka.revoke_all("app")
    said = caplog.text + told + str(raised.value) + repr(collector) + repr(config)
    assert "app-secret" not in said
    assert "wrong-secret" not in said


def _lags(collector: KafkaAdminLagCollector, topic: str) -> dict[int, int]:
    try:
        return collector.get_lag_data(topic)
    except LagDataUnavailableError:
        return {}


# --- published health -------------------------------------------------------------------------------------------------


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other things is no Redis that is slow."""
    monkeypatch.setattr(store, "TIMEOUT", 20.0)


def reader(kafka: Broker, redis: RedisServer, topics: list[str], group: str, **health: Any) -> SmartProducerConfig:
    """A producer that uses what is published."""
    options = {"max_lag_for_health": LIMIT, **health}
    return SmartProducerConfig({"bootstrap.servers": kafka.bootstrap}, topics, group, options, redis.config())


def publisher(kafka: Broker, redis: RedisServer, topics: list[str], group: str, **options: Any) -> dict[str, Any]:
    """A standalone monitor's arguments."""
    return {
        "consumer_group": group,
        "kafka_config": {"bootstrap.servers": kafka.bootstrap},
        "topics": topics,
        "redis_host": "127.0.0.1",
        "redis_port": redis.port,
        "max_lag_for_health": LIMIT,
        **SOON,
        **options,
    }


def source(monitor: PartitionHealthMonitor, topic: str) -> object:
    """Where what is known of a topic comes from."""
    return monitor.get_health_summary()["topics"][topic]["source"]


def asked_kafka(monitor: Any) -> bool:
    """Whether the monitor has ever connected to Kafka."""
    return monitor._looks.collector._reader is not None


@pytest.mark.usefixtures("patient")
def test_standalone_for_a_producer(kafka: Broker, redis_server: RedisServer, orders: str, group: str) -> None:
    """KSP-22: a standalone monitor publishes, unchanged health again and again; a producer's monitor goes by it and
    does not ask Kafka; when it ends, the producer's asks Kafka again, and no more when another one publishes."""
    fill(kafka, orders, 1, 500)
    standalone = PartitionHealthMonitor.standalone(**publisher(kafka, redis_server, [orders], group))
    try:
        assert standalone.is_running
        assert standalone.mode.value == "standalone"
        wait_for(lambda: _published(redis_server, orders), "health is published")
        with PartitionHealthMonitor.of(reader(kafka, redis_server, [orders], group, **SOON)) as monitor:
            wait_for(lambda: monitor.get_healthy_partitions(orders) == [0, 2], "the published health is used")
            before = _published(redis_server, orders)["time"]
            # Longer than it would last, had it been written but once.
            wait_for(lambda: _published(redis_server, orders)["time"] - before > 4.0, "it is refreshed", timeout=60)
            assert source(monitor, orders) == "published"
            assert not asked_kafka(monitor)
            commit(kafka, group, orders, {1: 500})
            wait_for(lambda: monitor.get_healthy_partitions(orders) == [0, 1, 2], "the change came through Redis")
            assert not asked_kafka(monitor)
            standalone.stop()
            assert not standalone.is_running
            wait_for(lambda: source(monitor, orders) == "collector", "Kafka is asked again", timeout=60)
            assert monitor.get_healthy_partitions(orders) == [0, 1, 2]
            standalone.start()
            wait_for(lambda: source(monitor, orders) == "published", "what is published is used again", timeout=60)
    finally:
        standalone.stop()


@pytest.mark.usefixtures("patient")
def test_async_standalone(
    kafka: Broker, redis_server: RedisServer, orders: str, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KSP-22: on an event loop it starts itself, awaited or not; Redis by the environment."""
    for name, value in {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_server.port), "REDIS_DB": "0"}.items():
        monkeypatch.setenv(name, value)
    arguments = publisher(kafka, redis_server, [orders], group)
    del arguments["redis_host"], arguments["redis_port"]
    fill(kafka, orders, 1, 500)

    async def work() -> None:
        standalone = AsyncPartitionHealthMonitor.standalone(**arguments)
        assert standalone.is_running
        assert await standalone is standalone
        async with AsyncPartitionHealthMonitor.of(reader(kafka, redis_server, [orders], group, **SOON)) as monitor:
            async for scores in monitor.health_stream(orders):
                assert scores == {0: 1.0, 1: 0.0, 2: 1.0}
                break
            while (await monitor.get_health_summary())["topics"][orders]["source"] != "published":
                assert await monitor.force_refresh()
            assert await monitor.get_healthy_partitions(orders) == [0, 2]
        await standalone.stop()

    asyncio.run(asyncio.wait_for(work(), 60))
    waiting = AsyncPartitionHealthMonitor.standalone(**arguments)
    assert not waiting.is_running  # there is no loop yet
    monkeypatch.setenv("REDIS_PORT", "many")
    with pytest.raises(ConfigurationError, match="REDIS_PORT"):
        AsyncPartitionHealthMonitor.standalone(**arguments)


@pytest.mark.usefixtures("patient")
def test_published_for_others(kafka: Broker, redis_server: RedisServer, orders: str, group: str) -> None:
    """KSP-22: what is published is of one cluster, one group and one topic; another group's health is not used, and
    each producer judges the published lags by its own options."""
    payments = kafka.create_topic(f"payments-{os.urandom(4).hex()}")
    fill(kafka, orders, 1, 90)
    standalone = PartitionHealthMonitor.standalone(**publisher(kafka, redis_server, [orders], group))
    try:
        wait_for(lambda: _published(redis_server, orders), "health is published")
        for changed, expected in (
            ({}, {orders: "published", payments: "collector"}),
            ({"group": group + ".other"}, {orders: "collector", payments: "collector"}),
        ):
            config = reader(kafka, redis_server, [orders, payments], **{"group": group, **changed})
            monitor = PartitionHealthMonitor.of(config)
            assert monitor.force_refresh()
            assert {topic: source(monitor, topic) for topic in expected} == expected
            assert monitor.get_healthy_partitions(orders) == [0, 2]
        strict = PartitionHealthMonitor.of(reader(kafka, redis_server, [orders], group, max_lag_for_health=10_000))
        assert strict.force_refresh()
        assert source(strict, orders) == "published"
        assert strict.get_healthy_partitions(orders) == [0, 1, 2]
    finally:
        standalone.stop()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("change", ["version", "shape", "text", "type", "endless", "future"])
def test_redis_with_other_values(
    kafka: Broker, redis_server: RedisServer, orders: str, group: str, change: str
) -> None:
    """KSP-22: another version's, another program's or a broken value is no health: Kafka is asked."""
    standalone = PartitionHealthMonitor.standalone(**publisher(kafka, redis_server, [orders], group))
    wait_for(lambda: _published(redis_server, orders), "health is published")
    standalone.stop()
    with redis_server.client() as client:
        (key,) = client.keys(f"*{orders}")
        document = json.loads(client.get(key))
        if change == "type":
            client.delete(key)
            client.lpush(key, "a list")
        elif change == "endless":
            client.set(key, json.dumps(document))
        else:
            value = document["value"]
            changed = {
                "version": {**document, "value": {**value, "version": 99}},
                "shape": {**document, "value": {**value, "lags": [1, 2, 3]}},
                "text": "no such thing",
                "future": {**document, "value": {**value, "time": value["time"] + 10**6}},
            }[change]
            client.set(key, json.dumps(changed), px=60_000)
        monitor = PartitionHealthMonitor.of(reader(kafka, redis_server, [orders], group))
        assert monitor.force_refresh()
        assert source(monitor, orders) == "collector"
        client.delete(key)


def test_redis_that_is_away(kafka: Broker, orders: str, group: str, fresh_redis: RedisServer) -> None:
    """KSP-22, KSP-5: without Redis a producer's monitor asks Kafka, a standalone one goes on and says what is wrong,
    and publishes when Redis is back."""
    fill(kafka, orders, 1, 500)
    fresh_redis.stop()
    with PartitionHealthMonitor.of(reader(kafka, fresh_redis, [orders], group)) as monitor:
        assert monitor.force_refresh()
        assert source(monitor, orders) == "collector"
        assert monitor.get_healthy_partitions(orders) == [0, 2]
    standalone = PartitionHealthMonitor.standalone(**publisher(kafka, fresh_redis, [orders], group))
    try:
        wait_for(lambda: "Redis" in str(standalone.get_health_summary()["last_error"]), "it says what is wrong")
        assert standalone.get_healthy_partitions(orders) == [0, 2]
        fresh_redis.start()
        wait_for(lambda: _published(fresh_redis, orders), "health is published", timeout=60)
        wait_for(lambda: standalone.get_health_summary()["last_error"] is None, "nothing is wrong any more")
    finally:
        standalone.stop()


def test_kafka_that_was_never_there(group: str) -> None:
    """KSP-5: a monitor of a cluster that cannot be reached starts, runs and stops like any other."""
    with refused_port() as port:
        config = SmartProducerConfig({"bootstrap.servers": f"127.0.0.1:{port}"}, ["orders"], group)
        with PartitionHealthMonitor.of(config) as monitor:
            assert not monitor.force_refresh()
            assert monitor.get_healthy_partitions("orders") == []
            assert monitor.get_health_summary()["last_error"]
        with pytest.raises(ConfigurationError, match=r"bootstrap\.servers"):
            PartitionHealthMonitor.of(SmartProducerConfig({}, ["orders"], group))


def _published(redis: RedisServer, topic: str) -> Any:
    with redis.client() as client:
        keys = client.keys(f"*{topic}")
        found = client.get(keys[0]) if keys else None
    return json.loads(found)["value"] if found else None
