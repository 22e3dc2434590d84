"""AsyncSmartProducer on a real Kafka: awaited deliveries, one thread, a loop never blocked, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from confluent_kafka import KafkaException, Message

from superclient import AsyncPartitionHealthMonitor, AsyncSmartProducer, KafkaAdminLagCollector, SmartProducerConfig
from tests.faults import refused_port
from tests.integration.groups import lagging
from tests.servers import Broker, wait_for

HEALTH = {"max_lag_for_health": 8000, "refresh_interval": 0.2, "timeout_seconds": 10.0}


def plain(kafka: Broker, topic: str, **settings: Any) -> SmartProducerConfig:
    names = {name.replace("_", "."): value for name, value in settings.items()}
    return SmartProducerConfig({"bootstrap.servers": kafka.bootstrap, **names}, [topic])


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "superclient-producer"]


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """On a loop of its own: what was never retrieved is told, and fails the test."""
    told: list[Any] = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        return await main()

    answer = asyncio.run(asyncio.wait_for(watched(), 60))
    gc.collect()
    assert told == []
    return answer


def test_produce_awaits_the_delivery(kafka: Broker) -> None:
    """KSP-16, KSP-2: the message that comes back knows where it is, which is where the group keeps up."""
    topic, group = lagging(kafka, [0, 0, 5000, 5000])
    config = SmartProducerConfig({"bootstrap.servers": kafka.bootstrap}, [topic], group, HEALTH)

    async def main() -> list[Message]:
        async with AsyncSmartProducer(config) as producer:
            views = producer._producer._helpers._monitor.views
            while topic not in views:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
            sends = [producer.produce(topic, b"%d" % n, headers={"a": b"b"}, timestamp=5) for n in range(100)]
            return await asyncio.gather(*sends)

    messages = run(main)
    assert sorted(int(message.value()) for message in messages) == list(range(100))
    assert {message.partition() for message in messages} <= {0, 1}
    assert len({(message.partition(), message.offset()) for message in messages}) == 100
    assert threads() == []


def test_thousands_at_once_are_one_stream(kafka: Broker, topic: str) -> None:
    """KSP-16: one thread, few batches, in the order of the calls, and the loop goes on meanwhile."""
    most = [0]

    async def main() -> None:
        done = asyncio.Event()

        async def watch() -> None:
            while not done.is_set():
                most[0] = max(most[0], len(set(threading.enumerate()) - before))
                await asyncio.sleep(0)

        watcher = asyncio.create_task(watch())
        async with AsyncSmartProducer(plain(kafka, topic, linger_ms=20)) as producer:
            await asyncio.gather(*(producer.produce(topic, b"%d" % number, b"key") for number in range(5000)))
            assert len(producer) == 0
            done.set()
        await watcher

    before = set(threading.enumerate())
    run(main)
    assert most[0] == 1
    assert [int(record.value) for record in kafka.records(topic)] == list(range(5000))
    assert len(kafka.log_bytes(topic).batches) < 200


def test_a_full_queue_is_waited_for(kafka: Broker, topic: str) -> None:
    """KSP-16: a hundred times what fits; nobody gets a BufferError, nobody is overtaken, the loop goes on."""
    turns = [0]

    async def main() -> None:
        async def count() -> None:
            while True:
                turns[0] += 1
                await asyncio.sleep(0)

        counter = asyncio.create_task(count())
        async with AsyncSmartProducer(plain(kafka, topic, queue_buffering_max_messages=20)) as producer:
            await asyncio.gather(*(producer.produce(topic, b"%d" % number, b"key") for number in range(2000)))
        counter.cancel()

    run(main)
    assert [int(record.value) for record in kafka.records(topic)] == list(range(2000))
    assert turns[0] > 100


def test_a_cancelled_produce_leaves_nothing(kafka: Broker, topic: str) -> None:
    """KSP-16: while it waits for its delivery, or for room; others go on, and nothing is told to the loop."""

    async def main() -> None:
        config = plain(kafka, topic, linger_ms=300, queue_buffering_max_messages=10)
        async with AsyncSmartProducer(config) as producer:
            tasks = [asyncio.create_task(producer.produce(topic, b"%d" % number)) for number in range(30)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes[::2]] == [asyncio.CancelledError] * 15
            assert all(isinstance(outcome, Message) for outcome in outcomes[1::2])
            landing = producer._landing
            assert landing is not None
            await producer.flush()
            assert (landing.pending, landing.waiting, len(landing._watchers)) == (0, 0, 0)

    run(main)
    values = [int(record.value) for record in kafka.records(topic)]
    assert set(range(1, 30, 2)) <= set(values)
    assert set(values) & set(range(10, 30, 2)) == set(), "who waited for room had sent nothing"


def test_what_fails_raises(kafka: Broker, topic: str) -> None:
    """KSP-16: KafkaException for what is not delivered, the library's own errors for what is no record."""

    async def main() -> None:
        with refused_port() as port:
            settings = {"bootstrap.servers": f"127.0.0.1:{port}", "message.timeout.ms": 300, "log_level": 0}
            async with AsyncSmartProducer(SmartProducerConfig(settings, [topic])) as producer:
                outcomes = await asyncio.gather(
                    *(producer.produce(topic, b"") for _ in range(5)), return_exceptions=True
                )
                assert [outcome.args[0].name() for outcome in outcomes] == ["_MSG_TIMED_OUT"] * 5
                with pytest.raises(TypeError):
                    await producer.produce(topic, 5)  # type: ignore[arg-type]
            with pytest.raises(RuntimeError):
                await producer.produce(topic, b"")

        async with AsyncSmartProducer(plain(kafka, topic)) as producer:
            with pytest.raises(KafkaException):
                await producer.produce(topic, b"x" * 2_000_000)

    run(main)


def test_flush_does_not_linger(kafka: Broker, topic: str) -> None:
    """KSP-16: and gives the loop its turns; with a time-out it says what is left."""

    async def main() -> None:
        async with AsyncSmartProducer(plain(kafka, topic, linger_ms=60_000)) as producer:
            tasks = [asyncio.create_task(producer.produce(topic, b"x")) for _ in range(10)]
            await asyncio.sleep(0)
            assert await producer.flush(0) == 10
            assert await producer.flush() == 0
            await asyncio.gather(*tasks)
            assert list((await producer.list_topics(topic, 20)).topics) == [topic]

    start = time.monotonic()
    run(main)
    assert time.monotonic() - start < 50, "it would have lingered for a minute"


def test_one_loop_after_the_other(kafka: Broker, topic: str) -> None:
    """KSP-16: a producer that is made outside of any loop, and used on three."""
    producer = AsyncSmartProducer(plain(kafka, topic))

    async def main() -> None:
        await asyncio.gather(*(producer.produce(topic, b"x") for _ in range(100)))

    for _ in range(3):
        run(main)
    assert threads() == ["superclient-producer"]
    run(producer.stop)
    run(producer.stop)
    assert threads() == []
    assert len(kafka.records(topic)) == 300


def test_one_that_is_dropped_ends(kafka: Broker, topic: str) -> None:
    """KSP-16, KSP-20: its thread, its handle."""

    async def main() -> None:
        producer = AsyncSmartProducer(plain(kafka, topic))
        await producer.produce(topic, b"x")

    run(main)
    gc.collect()
    wait_for(lambda: threads() == [], "the end of the polling thread")


def test_transactions(kafka: Broker, topic: str) -> None:
    """KSP-16, KSP-11: what waits for the cluster does so on a thread."""

    async def main() -> None:
        config = plain(kafka, topic, transactional_id=f"tx-{os.urandom(4).hex()}")
        async with AsyncSmartProducer(config) as producer:
            await producer.init_transactions(30)
            await producer.begin_transaction()
            await producer.produce(topic, b"kept")
            await producer.commit_transaction(30)
            await producer.begin_transaction()
            await producer.produce(topic, b"not kept")
            await producer.abort_transaction(30)

    run(main)


def test_it_goes_by_an_asynchronous_monitor(kafka: Broker) -> None:
    """KSP-21: one that was passed in, on the same loop; neither started nor stopped."""
    topic, group = lagging(kafka, [5000, 0])

    async def main() -> set[int]:
        monitor = AsyncPartitionHealthMonitor.embedded(
            KafkaAdminLagCollector(kafka.bootstrap, group), [topic], refresh_interval=0.2
        )
        async with AsyncSmartProducer(plain(kafka, topic), health_manager=monitor) as producer:
            assert not monitor.is_running
            await monitor.start()
            assert await monitor.force_refresh()
            messages = await asyncio.gather(*(producer.produce(topic, b"x") for _ in range(100)))
        assert monitor.is_running
        await monitor.stop()
        return {message.partition() for message in messages}

    assert run(main) == {1}
