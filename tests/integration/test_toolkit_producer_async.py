"""KafkaProducer for asyncio on a real Kafka: one thread, no blocked loop, nothing left behind by whoever leaves."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from itertools import chain
from typing import Any

import pytest

from superclient.toolkit import (
    KafkaProducer,
    KafkaProducerFatalError,
    KafkaProducerRetriableError,
    ProducerConfig,
    ProduceResult,
    metrics,
)
from tests.faults import refused_port
from tests.servers import Broker, wait_for


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """On a loop of its own; what was never retrieved is told, and fails the test."""
    told: list[Any] = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        return await asyncio.wait_for(main(), 60)

    answer = asyncio.run(watched())
    gc.collect()
    assert told == []
    return answer


def serving() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("superclient-toolkit-producer")]


def lonely(port: int, **more: Any) -> KafkaProducer:
    """One that reaches nobody."""
    return KafkaProducer(ProducerConfig(f"127.0.0.1:{port}", additional_config={"log_level": 0, **more}))


def test_aproduce_answers_where_the_record_is(kafka: Broker, topic: str) -> None:
    """KLI-2: as produce; each result is its own record's, however many are awaited together."""

    async def main() -> list[ProduceResult]:
        async with KafkaProducer(ProducerConfig(kafka.bootstrap)) as producer:
            first = await producer.aproduce(topic, "0", key="k", headers={"a": b"b"}, timestamp=1234)
            assert first == ProduceResult("delivered", topic, 0, 0, 1234)
            too_large, mistaken, *rest = await asyncio.gather(
                producer.aproduce(topic, b"x" * 2_000_000),
                producer.aproduce(topic, 5),  # type: ignore[arg-type]
                *(producer.aproduce(topic, b"%d" % number) for number in range(1, 3000)),
                return_exceptions=True,
            )
            assert isinstance(too_large, ProduceResult)
            assert isinstance(too_large.error, KafkaProducerFatalError)
            assert isinstance(mistaken, TypeError)
            return [first, *rest]  # type: ignore[list-item]

    results = run(main)
    assert [one.offset for one in results] == list(range(3000))
    assert [record.value for record in kafka.records(topic)] == [b"%d" % number for number in range(3000)]


def test_one_thread_serves_however_many_calls(kafka: Broker, topic: str) -> None:
    """KLI-2: from the first await until the close; other threads come only with calls that block, and then one."""

    async def main() -> None:
        producer = KafkaProducer(ProducerConfig(kafka.bootstrap))
        assert serving() == []
        before = threading.active_count()
        for _ in range(3):
            await asyncio.gather(*(producer.aproduce(topic, b"x") for _ in range(500)))
            assert serving() == ["superclient-toolkit-producer"]
        assert threading.active_count() == before + 1
        await asyncio.gather(*(producer.aflush() for _ in range(5)))
        assert threading.active_count() == before + 2
        await producer.aclose()
        assert serving() == []
        wait_for(lambda: threading.active_count() == before, "the end of the thread for calls that block")

    run(main)


def test_a_dropped_producer_ends_its_thread(kafka: Broker, topic: str) -> None:
    """KLI-2: nobody closed it; the thread does not keep it."""

    async def main() -> weakref.ref[KafkaProducer]:
        producer = KafkaProducer(ProducerConfig(kafka.bootstrap))
        await producer.aproduce(topic, b"x")
        return weakref.ref(producer)

    kept = run(main)
    wait_for(lambda: gc.collect() is not None and kept() is None and serving() == [], "the end of the thread")


def test_a_full_queue_does_not_block_the_loop_and_keeps_the_order(kafka: Broker, topic: str) -> None:
    """KLI-2: whoever waits for room lets others go on; nobody is overtaken."""
    config = ProducerConfig(kafka.bootstrap, additional_config={"queue.buffering.max.messages": 20})

    async def main() -> None:
        async with KafkaProducer(config) as producer:
            turns = 0

            async def others() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            other = asyncio.create_task(others())
            results = await asyncio.gather(*(producer.aproduce(topic, b"%d" % number) for number in range(500)))
            assert all(one.delivered for one in results)
            assert turns > 5
            batch = await producer.aproduce_batch(topic, [b"%d" % number for number in range(500, 800)])
            assert [one.offset for one in batch] == list(range(500, 800))
            for number in range(800, 1000):
                assert (await producer.aproduce(topic, b"%d" % number, flush=False)).status == "queued"
            assert await producer.aflush() == 0
            other.cancel()

    run(main)
    assert [record.value for record in kafka.records(topic)] == [b"%d" % number for number in range(1000)]


def test_who_is_cancelled_leaves_nothing_behind() -> None:
    """KLI-2: no task, no future, no exception that nobody retrieves; a record that was under way is accounted for."""

    async def main() -> None:
        with refused_port() as port:
            producer = lonely(port, **{"message.timeout.ms": 1000})
            tasks = [asyncio.create_task(producer.aproduce("orders", b"x")) for _ in range(50)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError) for one in done)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(producer.aproduce_batch("orders", [b"x"] * 10), 0.05)
            before = metrics.get("producer.delivery.failed")
            with pytest.raises(KafkaProducerRetriableError, match="59 more"):
                await producer.aflush()
            assert metrics.get("producer.delivery.failed") == before + 60
            await producer.aclose()
            assert len(asyncio.all_tasks()) == 2  # this one, and the one that waits for it

    run(main)


def test_who_is_cancelled_before_there_was_room_has_sent_nothing() -> None:
    """KLI-2: the queue is full; the call leaves the line, and whoever stands behind it is served."""

    async def main() -> None:
        with refused_port() as port:
            producer = lonely(port, **{"queue.buffering.max.messages": 2, "message.timeout.ms": 1000})
            queued = [await producer.aproduce("orders", b"x", flush=False) for _ in range(2)]
            assert [one.status for one in queued] == ["queued"] * 2
            leaving, staying = (asyncio.create_task(producer.aproduce("orders", b"x")) for _ in range(2))
            await asyncio.sleep(0.01)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            result = await staying
            assert isinstance(result.error, KafkaProducerRetriableError)
            assert result.error.code == "_MSG_TIMED_OUT"
            with pytest.raises(KafkaProducerRetriableError, match=r"\(1 more were"):
                await producer.aclose()

    before = metrics.get("producer.delivery.failed")
    run(main)
    assert metrics.get("producer.delivery.failed") == before + 3


def test_loops_on_several_threads_share_a_producer(kafka: Broker, topic: str) -> None:
    """KLI-2: each result comes home to its own loop."""
    producer = KafkaProducer(ProducerConfig(kafka.bootstrap))
    answers: list[tuple[bytes, ProduceResult]] = []

    async def work(name: int) -> None:
        values = [b"%d:%d" % (name, number) for number in range(300)]
        results = await asyncio.gather(*(producer.aproduce(topic, value) for value in values))
        answers.extend(zip(values, results, strict=True))

    threads = [threading.Thread(target=lambda name=name: asyncio.run(work(name))) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    producer.close()
    written = kafka.records(topic)
    assert len(answers) == len(written) == 1200
    assert [value for value, one in answers if written[one.offset or 0].value != value] == []


def test_a_loop_that_ended_before_the_delivery(fresh_kafka: Broker) -> None:
    """KLI-2: its records arrive all the same; the next loop is served as ever."""
    topic = fresh_kafka.create_topic("orders")
    quick = {"reconnect.backoff.max.ms": 200, "log_level": 0}
    producer = KafkaProducer(ProducerConfig(fresh_kafka.bootstrap, retries=100, additional_config=quick))

    async def leave() -> None:
        assert (await producer.aproduce(topic, b"first")).delivered
        fresh_kafka.pause()
        for number in range(10):
            asyncio.ensure_future(producer.aproduce(topic, b"%d" % number))  # noqa: RUF006
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    fresh_kafka.resume()
    assert asyncio.run(producer.aproduce(topic, b"last")).delivered
    producer.close()
    assert len(fresh_kafka.records(topic)) == 12
    gc.collect()


def test_async_batches(kafka: Broker, topic: str) -> None:
    """KLI-2: as produce_batch; a mistake sends none, and what is refused has its place."""

    async def main() -> None:
        async with KafkaProducer(ProducerConfig(kafka.bootstrap)) as producer:
            results = await producer.aproduce_batch(topic, [b"a", {"value": "b", "key": "k"}, b"x" * 2_000_000, "c"])
            assert [one.status for one in results] == ["delivered", "delivered", "error", "delivered"]
            with pytest.raises(TypeError, match="record 1"):
                await producer.aproduce_batch(topic, [b"x", 1])  # type: ignore[list-item]
            assert await producer.aproduce_batch(topic, []) == []
            queued = await producer.aproduce_batch(topic, [b"d", b"x" * 2_000_000], flush=False)
            assert [one.status for one in queued] == ["queued", "error"]

    run(main)
    assert [record.value for record in kafka.records(topic)] == [b"a", b"b", b"c", b"d"]


def test_aclose(kafka: Broker, topic: str) -> None:
    """KLI-2, KLI-39: delivers first; afterwards each call says that it is closed; once more is nothing."""

    async def main() -> None:
        producer = KafkaProducer(ProducerConfig(kafka.bootstrap, linger_ms=60_000))
        await producer.aproduce(topic, b"queued", flush=False)
        waiting = asyncio.create_task(producer.aproduce(topic, b"awaited"))
        await asyncio.sleep(0)
        await producer.aclose()
        assert (await waiting).delivered
        await producer.aclose()
        for call in (producer.aproduce, producer.aproduce_with_retry):
            with pytest.raises(KafkaProducerFatalError, match="closed"):
                await call(topic, b"x")
        with pytest.raises(KafkaProducerFatalError, match="closed"):
            await producer.aproduce_batch(topic, [b"x"])
        with pytest.raises((KafkaProducerFatalError, RuntimeError)):
            await producer.aflush()

    run(main)
    assert [record.value for record in kafka.records(topic)] == [b"queued", b"awaited"]


def test_a_close_that_is_cancelled_gives_up_the_rest() -> None:
    """KLI-39: who waits for a record gets its error; nothing hangs."""

    async def main() -> None:
        with refused_port() as port:
            producer = lonely(port)
            waiting = asyncio.create_task(producer.aproduce("orders", b"x"))
            await asyncio.sleep(0)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(producer.aclose(), 0.2)
            result = await waiting
            assert result.status == "error"
            assert result.error is not None
            assert result.error.code == "_PURGE_QUEUE"

    run(main)


def test_both_faces_at_the_same_time(kafka: Broker) -> None:
    """KLI-1, KLI-2: threads that call, and a loop that awaits; every answer is right."""
    topic = kafka.create_topic(f"toolkit-both-{os.urandom(4).hex()}", 3)
    producer = KafkaProducer(ProducerConfig(kafka.bootstrap))

    async def main() -> list[ProduceResult]:
        called = asyncio.gather(*(asyncio.to_thread(producer.produce_batch, topic, [b"t"] * 100) for _ in range(4)))
        awaited = asyncio.gather(*(producer.aproduce(topic, b"a") for _ in range(1000)))
        single = [await asyncio.to_thread(producer.produce, topic, b"s") for _ in range(20)]
        return [*chain(*await called), *await awaited, *single]

    results = run(main)
    producer.close()
    assert len({(one.partition, one.offset) for one in results}) == 1420
