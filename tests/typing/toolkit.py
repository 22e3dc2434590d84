"""The toolkit as a program uses it; type-checked by tests/unit/test_toolkit_names.py, never run."""

from __future__ import annotations

from superclient.toolkit import (
    AdminConfig,
    ConsumerConfig,
    ExactlyOnceRelay,
    KafkaAdmin,
    KafkaConsumer,
    KafkaProducer,
    KafkaProducerFencedError,
    MessageResult,
    ProducerConfig,
    ProduceResult,
    RelayResult,
    TransactionResult,
    metrics,
    resolve_env_config,
)


def configurations() -> tuple[ProducerConfig, ConsumerConfig, AdminConfig]:
    """Every way of making one."""
    producer = ProducerConfig("a:1", acks="all", linger_ms=5, additional_config={"queue.buffering.max.kbytes": 1024})
    consumer = ConsumerConfig(["a:1", "b:2"], "group", topics=["orders"], isolation_level="read_uncommitted")
    ProducerConfig("a:1", retries="3")  # type: ignore[arg-type]  # not Any: a mistake is found
    print(ConsumerConfig.from_env_config("prod", group_id="x").topics)
    return producer, consumer, AdminConfig.from_mapping(resolve_env_config("prod"))


def produce(config: ProducerConfig) -> None:
    """The sync face."""
    with KafkaProducer(config) as producer:
        result: ProduceResult = producer.produce("orders", b"1", key="k", headers={"a": b"b"})
        place: tuple[int | None, int | None] = (result.partition, result.offset)
        results: list[ProduceResult] = producer.produce_batch("orders", [b"1", "2"])
        with producer.transaction() as transaction:
            producer.produce_with_retry("orders", "1", max_attempts=3, base_backoff=0.1)
        ended: TransactionResult | None = transaction.result
        begun: TransactionResult = producer.begin()
        producer.produce("orders", 1)  # type: ignore[arg-type]
        print(place, results, ended, begun, producer.in_transaction, producer.flush(1.0))


async def aproduce(config: ProducerConfig) -> None:
    """The asyncio face."""
    async with KafkaProducer.from_env_config("prod") as producer:
        result: ProduceResult = await producer.aproduce("orders", "1")
        async with producer.atransaction() as transaction:
            await producer.aproduce("orders", "1", flush=False)
        print(result, transaction.id, await producer.aflush())


async def consume(config: ConsumerConfig) -> None:
    """Both faces of the consumer."""
    with KafkaConsumer(config) as consumer:
        one: MessageResult | None = consumer.poll(1.0)
        several: list[MessageResult] = consumer.consume_messages(10, timeout=1.0)
        value: bytes | None = several[0].value
        for record in consumer.message_stream():
            headers: list[tuple[str, bytes | None]] = record.headers
            print(one, value, headers)
    async with KafkaConsumer.from_env_config("prod", topics=["orders"]) as other:
        other.seek_to_offset("orders", 0)
        async for each in other.amessage_stream():
            key: bytes | None = each.key
            print(key)


async def relay(consumer: KafkaConsumer, producer: KafkaProducer) -> RelayResult:
    """Both faces of the relay, and the counters."""
    try:
        ExactlyOnceRelay(consumer, producer, transform=lambda record: record.value, batch_size=10).run("a", "b")
    except KafkaProducerFencedError as error:
        code: str | None = error.code
        print(code, metrics.get("relay.batch.commit"), metrics.snapshot()["producer.retry"])
    with KafkaAdmin(AdminConfig("a:1")) as admin:
        exists: bool = admin.topic_exists("a")
        print(exists)
    result: RelayResult = await ExactlyOnceRelay(consumer, producer).arun("a", "b", max_in_flight=4)
    return result
