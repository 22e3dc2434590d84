"""Requests and replies for tests: clients written by hand, and a way to cancel at any step of the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from superclient.messaging import KafkaRPC, KafkaRPCServer
from tests.integration.messaging import consumer_factory, orders, unique, wait_until
from tests.servers import Broker

Answer = Callable[[Any, AIOKafkaProducer], Awaitable[None]]


def value(record: Any) -> bytes:
    return bytes(record.value)


def requester(broker: Broker, *topics: str, group: str | None = None, **more: Any) -> KafkaRPC:
    """One whose replies are bytes, and which has a group of its own unless the test names one."""
    settings = {"consumer_factory": consumer_factory(broker, group), **more}
    parsers = settings.pop("parsers", None) or orders(*topics, parser=value, kind=bytes)
    return KafkaRPC(parsers, **settings)


def server(broker: Broker, handler: Any, topic: str, *, group: str | None = None, **more: Any) -> KafkaRPCServer:
    made: dict[str, Any] = {"producer_factory": None, "topics": [topic], **more}
    return KafkaRPCServer(consumer_factory(broker, group), made.pop("producer_factory"), handler, **made)


async def echo(record: Any) -> bytes:
    """A handler."""
    return b"re:" + record.value


def reply_topics(record: Any) -> list[str]:
    return [value.decode() for name, value in record.headers if name == "x-reply-topic"]


async def echoed(record: Any, producer: AIOKafkaProducer) -> None:
    """What a server written by hand does: the headers and the key as they came."""
    headers = [pair for pair in record.headers if pair[0] != "x-reply-topic"]
    for topic in reply_topics(record):
        await producer.send_and_wait(topic, b"re:" + record.value, key=record.key, headers=headers)


@asynccontextmanager
async def bare_server(broker: Broker, topic: str, answer: Answer = echoed) -> AsyncIterator[list[Any]]:
    """A server of aiokafka's alone that is ready before the block is; yields the requests that it has had."""
    seen: list[Any] = []

    async def serve(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
        async for record in consumer:
            seen.append(record)
            try:
                await answer(record, producer)
            except Exception:
                logging.exception("the bare server failed")
                raise

    async with bare_reader(broker, topic) as consumer, bare_producer(broker) as producer:
        task = asyncio.create_task(serve(consumer, producer))
        try:
            yield seen
        finally:
            task.cancel()
            await asyncio.wait({task})
    assert task.cancelled(), task.exception()


@asynccontextmanager
async def bare_reader(broker: Broker, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads what is produced from now on."""
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, fetch_max_wait_ms=100) as consumer:
        partitions = (await asyncio.to_thread(broker.topics))[topic]
        consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        await consumer.seek_to_end()
        for number in range(partitions):
            await consumer.position(TopicPartition(topic, number))
        yield consumer


def bare_producer(broker: Broker) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=broker.bootstrap)


def topics(broker: Broker, *partitions: int) -> list[str]:
    """New topics with so many partitions."""
    return [broker.create_topic(unique("rpc"), number) for number in partitions]


@contextmanager
def steps(after: int, act: Callable[[], object]) -> Iterator[Callable[[], bool]]:
    """Inside the block, `act` comes at the n-th step of the running loop; yields whether it has come."""
    loop: Any = asyncio.get_running_loop()
    left = after

    def counted() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            act()
        type(loop)._run_once(loop)

    loop._run_once = counted
    try:
        yield lambda: left <= 0
    finally:
        del loop._run_once


async def cancelled_after(work: Coroutine[Any, Any, Any], after: int) -> bool:
    """Whether it was cancelled; False: it ended first. What it raises otherwise is raised."""
    task = asyncio.ensure_future(work)
    with steps(after, task.cancel):
        await asyncio.wait({task})
    if task.cancelled():
        return True
    task.result()
    return False


async def ours_left(before: set[asyncio.Task[Any]]) -> None:
    """No task but those, and what the clients of aiokafka's that still run begin and end."""

    def left() -> list[asyncio.Task[Any]]:
        tasks = asyncio.all_tasks() - before
        return [task for task in tasks if "/aiokafka/" not in task.get_coro().cr_code.co_filename]  # type: ignore[union-attr]

    await wait_until(lambda: not left(), "no task of ours is left", 5.0)
