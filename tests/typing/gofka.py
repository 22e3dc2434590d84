"""The Gofka client as a program uses it; type-checked by tests/unit/test_gofka_names.py, never run."""

from __future__ import annotations

import ssl

from superclient.gofka import (
    AdminClient,
    AsyncAdminClient,
    AsyncConsumer,
    AsyncProducer,
    BrokerFailoverManager,
    ConnectionError,  # noqa: A004  the name that the built-in one has
    ConnectionPool,
    Consumer,
    GofkaError,
    Message,
    ProduceError,
    Producer,
    RetryPolicy,
    StoredAt,
    Topic,
    Value,
)


async def produce() -> None:
    """The asyncio producer."""
    async with AsyncProducer("a:1,b:2", compression="gzip", linger_ms=5, max_in_flight=1) as producer:
        stored: StoredAt = await producer.send("orders", b"1", key=b"k", headers={"a": b"b"})
        offset: int = stored
        many: list[StoredAt] = await producer.send_batch("orders", [b"1", b"2"])
        await producer.send_string("orders", "text", key="k")
        await producer.send("orders", "text")  # type: ignore[arg-type]  # a mistake is found
        await producer.flush()
        print(offset, stored.index, many)


def produce_sync() -> None:
    """The sync producer, whose arguments are those of the asyncio one."""
    with Producer(["a:1"], use_ssl=True, ssl_context=ssl.create_default_context(), retry_policy=RetryPolicy(5)) as one:
        stored: StoredAt = one.send("orders", b"1", partition=2)
        many: list[StoredAt] = one.send_batch("orders", (b"1", b"2"), headers=[("a", "b")])
        one.send_string("orders", "text")
        one.flush()
        print(stored, many)
    Producer("a:1", linger="5")  # type: ignore[call-arg]  # there is no such argument


async def consume() -> None:
    """The asyncio consumer."""
    async with AsyncConsumer("a:1", "billing", ["orders"], auto_commit=False, max_poll_records=10) as consumer:
        async for value in consumer:
            raw: bytes = value
            message: Message = value.message
            await consumer.commit(value)
            print(raw, message.key, message.headers, message.timestamp, consumer.assignment)
        several: list[Message] = await consumer.poll(10, timeout=0.5)
        await consumer.commit(several[-1])


def consume_sync() -> None:
    """The sync consumer."""
    with Consumer("a:1", "billing", "orders", assignment_strategy="roundrobin") as consumer:
        several: list[Message] = consumer.poll(10, timeout=0.5)
        consumer.commit()
        value: Value
        for value in consumer:
            print(several, value.message.offset.index, consumer.assignment, consumer.duplicates)


async def admin() -> None:
    """Both admin clients."""
    async with AsyncAdminClient("a:1") as asynchronous:
        await asynchronous.create_topic("orders", partitions=3)
        topic: Topic = await asynchronous.describe_topic("orders")
        print(topic.partitions[0].leader)
    with AdminClient("a:1") as sync:
        names: list[str] = sync.list_topics()
        leaders: dict[int, str] = sync.get_topic_leaders("orders")
        print(names, leaders, sync.list_brokers()[0].address, sync.get_cluster_metadata(["orders"]).topics)


async def connections() -> None:
    """Brokers and connections of one's own."""

    async def ask(host: str, port: int) -> int:
        async with ConnectionPool(max_connections=2) as pool, pool.get_connection(host, port) as connection:
            return connection.under_way

    try:
        found: int = await BrokerFailoverManager(["a:1", "b:2"], RetryPolicy(jitter=False)).execute_with_failover(ask)
    except ProduceError as error:
        stored: bool | None = error.stored
        print(stored)
    except (ConnectionError, GofkaError) as problem:
        print(problem)
    else:
        print(found)
