"""What the tests of `superclient.messaging` share: consumers that are watched, and a loop that shows leftovers."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import types
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from superclient.messaging import ParserSpec
from tests.servers import Broker

T = TypeVar("T")

# A rebalance is heard of by a heartbeat, and 6 s is the shortest session that a broker allows.
QUICK = {
    "auto_offset_reset": "earliest",
    "enable_auto_commit": False,
    "heartbeat_interval_ms": 200,
    "session_timeout_ms": 6000,
    "fetch_max_wait_ms": 100,
}


@dataclass
class Order:
    """What the records of most tests are; the value of a record is its number."""

    number: int
    partition: int
    offset: int


@dataclass
class Audit:
    """Another type, of the same records."""

    text: str


def order(record: Any) -> Order:
    return Order(int(record.value), record.partition, record.offset)


def audit(record: Any) -> Audit:
    return Audit(f"{record.topic} {record.value.decode()}")


def orders(*topics: str, parser: Callable[[Any], Any] = order, kind: type[Any] = Order) -> list[ParserSpec]:
    return [{"topics": topics, "type": kind, "parser": parser}]


def numbers(found: Iterable[Order]) -> list[int]:
    return [one.number for one in found]


def unique(name: str = "group") -> str:
    return f"{name}-{os.urandom(4).hex()}"


class Consumers:
    """A consumer_factory that remembers what it made."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.made: list[AIOKafkaConsumer] = []

    def __call__(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self.settings)
        self.made.append(consumer)
        return consumer

    @property
    def unclosed(self) -> list[AIOKafkaConsumer]:
        return [consumer for consumer in self.made if not consumer._closed]


def consumer_factory(broker: Broker, group: str | None = None, **settings: Any) -> Consumers:
    """Of quick consumers in `group`, which is a new one unless it is named; they read from the beginning."""
    ours = {"bootstrap_servers": broker.bootstrap, "group_id": unique() if group is None else group}
    return Consumers({**QUICK, **ours, **settings})


def run(main: Coroutine[Any, Any, T], timeout: float = 90.0) -> T:
    """What `main` returns; it leaves no task, no unclosed client, and no exception that nobody has seen."""
    said: list[dict[str, Any]] = []

    async def whole() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        result = await asyncio.wait_for(main, timeout)
        await no_task_left()
        return result

    try:
        return asyncio.run(whole())
    finally:
        gc.collect()
        assert not said, said


async def no_task_left(but: Iterable[asyncio.Task[Any]] = (), timeout: float = 5.0) -> None:
    """Nothing but the caller runs, and `but`; what a closed connection still has to do may take a moment."""
    expected = {asyncio.current_task(), *but}
    until = time.monotonic() + timeout
    while left := asyncio.all_tasks() - expected:
        assert time.monotonic() < until, f"tasks are left: {left}"
        await asyncio.sleep(0.01)


async def interrupted(work: Coroutine[Any, Any, T], step: int, *, late: bool) -> tuple[asyncio.Task[T], bool]:
    """Its task, at its end, cancelled when it waits for the `step`-th time; whether it came to that.

    `late`: in the very moment in which what it waits for comes, before it has heard of it.
    """
    reached = False

    @types.coroutine
    def stepping() -> Generator[Any, Any, T]:
        nonlocal reached
        steps, go_on, value = 0, work.send, None
        while True:
            try:
                awaited = go_on(value)
            except StopIteration as end:
                return end.value
            steps += 1
            if steps == step:
                reached = True
                if late and awaited is not None:
                    awaited.add_done_callback(lambda _: task.cancel())
                else:
                    asyncio.get_running_loop().call_soon(task.cancel)
            try:
                go_on, value = work.send, (yield awaited)
            except BaseException as error:
                go_on, value = work.throw, error

    async def whole() -> T:
        return await stepping()

    task = asyncio.create_task(whole())
    await asyncio.wait({task})
    return task, reached


async def wait_until(condition: Callable[[], Any], what: str, timeout: float = 30.0) -> None:
    """Let the loop go on until something is so."""
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        await asyncio.sleep(0.01)


async def take(stream: Any, count: int, timeout: float = 30.0) -> list[Any]:
    """The next `count` values of a stream. The last of them is not done with until something else is asked for."""
    return [await asyncio.wait_for(stream.__anext__(), timeout) for _ in range(count)]


async def rest(stream: Any, timeout: float = 30.0) -> list[Any]:
    """What a stream yields until it ends."""

    async def every() -> list[Any]:
        return [value async for value in stream]

    return await asyncio.wait_for(every(), timeout)


async def produce(
    broker: Broker, topic: str, values: Sequence[Any], partition: int | None = None, key: bytes | None = None
) -> None:
    """Delivers them in order: numbers as texts, None as tombstones; by default "0" to partition 0, "1" to 1, …"""
    partitions = (await asyncio.to_thread(broker.topics))[topic]

    def whole() -> None:
        producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 2, "log_level": 0})
        for place, value in enumerate(values):
            chosen = partition if partition is not None else (value if isinstance(value, int) else place) % partitions
            producer.produce(topic, b"%d" % value if isinstance(value, int) else value, partition=chosen, key=key)
            producer.poll(0)
        assert producer.flush(30) == 0

    await asyncio.to_thread(whole)


async def committed(broker: Broker, group: str, topic: str) -> dict[int, int]:
    """What the broker has of the group: partition → offset, for those that have one."""

    def ask() -> dict[int, int]:
        client = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, "log_level": 0})
        wanted = [TopicPartition(topic, partition) for partition in range(broker.topics()[topic])]
        until = time.monotonic() + 20
        try:
            while True:
                try:
                    found = client.committed(wanted, timeout=20)
                    return {one.partition: one.offset for one in found if one.offset >= 0}
                except KafkaException:  # the coordinator of a young broker, or of one that has restarted, moves
                    if time.monotonic() > until:
                        raise
        finally:
            client.close()

    return await asyncio.to_thread(ask)


async def until_committed(broker: Broker, group: str, topic: str, wanted: dict[int, int], timeout: float = 30) -> None:
    """Wait until the group has committed exactly this."""
    until = time.monotonic() + timeout
    while (found := await committed(broker, group, topic)) != wanted:
        assert time.monotonic() < until, f"the group has committed {found}, never {wanted}"
