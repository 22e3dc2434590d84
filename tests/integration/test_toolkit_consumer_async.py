"""The asyncio face of KafkaConsumer: the same records, one thread, and nothing lost however often it is cancelled."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent import futures
from typing import Any

import pytest

from superclient.errors import KafkaConsumerFatalError, KafkaConsumerRebalanceError
from superclient.toolkit import KafkaConsumer, MessageResult
from tests.integration.consuming import committed, consumer, fill, filled, numbers
from tests.servers import Broker


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("superclient-consumer")]


async def aread(reader: KafkaConsumer, count: int) -> list[MessageResult]:
    found: list[MessageResult] = []
    while len(found) < count:
        found += await asyncio.wait_for(reader.aconsume_messages(count - len(found), 30), 40)
    return found


def test_every_way_to_read(kafka: Broker) -> None:
    """KLI-3, KLI-4, KLI-5: apoll, aconsume_messages and amessage_stream take turns; one thread, gone after aclose."""
    topic, ours = filled(kafka, 3000), f"group-{os.urandom(4).hex()}"

    async def main() -> list[MessageResult]:
        found: list[MessageResult] = []
        async with consumer(kafka, topic, ours) as reader:
            while len(found) < 3000:
                one = await reader.apoll(10)
                assert one is not None
                found += [one, *await reader.aconsume_messages(10, 10)]
                async for record in reader.amessage_stream():
                    found.append(record)
                    if len(found) % 200 == 0 or len(found) >= 3000:
                        break
                found += reader.consume_messages(3, 10) if len(found) < 2990 else []  # the sync face as well
            assert await reader.apoll(0) is None
            assert await reader.aconsume_messages(10, 0.05) == []
            (done,) = await reader.acommit()
            assert done.offset == 3000
            assert len(threads()) == 1
        await reader.aclose()
        return found

    assert numbers(asyncio.run(main())) == list(range(3000))
    assert threads() == []
    assert committed(kafka, topic, ours) == [3000]


@pytest.mark.parametrize("way", ["apoll", "aconsume_messages", "amessage_stream"])
def test_cancelled_at_any_step_nothing_is_lost(kafka: Broker, way: str) -> None:
    """KLI-5: cancelled after the n-th turn of the loop, for many n, beginning before there is an assignment."""
    topic = filled(kafka, 400)
    found: list[MessageResult] = []

    async def one_by_one(reader: KafkaConsumer) -> None:
        while True:
            record = await reader.apoll()
            found.extend([record] if record else [])

    async def in_lists(reader: KafkaConsumer) -> None:
        while True:
            found.extend(await reader.aconsume_messages(3, 0.1))

    async def streaming(reader: KafkaConsumer) -> None:
        async for record in reader.amessage_stream():
            found.append(record)
            await asyncio.sleep(0)

    ways: dict[str, Callable[[KafkaConsumer], Awaitable[None]]]
    ways = {"apoll": one_by_one, "aconsume_messages": in_lists, "amessage_stream": streaming}

    async def main() -> None:
        async with consumer(kafka, topic) as reader:
            for turns in range(60):
                task = asyncio.ensure_future(ways[way](reader))
                for _ in range(turns):
                    await asyncio.sleep(0.002 if turns % 3 == 0 else 0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            left = 400 - len(found)
            found.extend(await aread(reader, left) if left else [])

    asyncio.run(main())
    assert numbers(found) == list(range(400))
    assert threads() == []


def test_a_stream_that_never_waits_leaves_others_their_turn(kafka: Broker) -> None:
    """KLI-5: each next batch is there already, as the program is slower than the brokers."""
    topic, turns = filled(kafka, 3000), 0

    async def ticking() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> int:
        async with consumer(kafka, topic) as reader:
            count = before = 0
            async for _ in reader.amessage_stream():
                if reader._ahead._coming is not None:
                    futures.wait([reader._ahead._coming])  # the program's work, which blocks the loop
                if count == 0:
                    ticks = asyncio.ensure_future(ticking())
                    before = turns
                count += 1
                if count == 1500:  # there is more to read all the time
                    break
            ticks.cancel()
            return turns - before

    assert asyncio.run(main()) >= 2  # times that a batch ended


def test_a_stream_that_is_stopped_where_it_waits(kafka: Broker, topic: str) -> None:
    """KLI-5: from another thread, while there is nothing to read; the loop was free all the time."""
    fill(kafka, topic, range(10))
    turns = 0

    async def main() -> list[MessageResult]:
        async with consumer(kafka, topic) as reader:
            found = []

            async def ticking() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0.001)

            ticks = asyncio.ensure_future(ticking())
            async for record in reader.amessage_stream(timeout=60):
                found.append(record)
                if len(found) == 10:
                    threading.Timer(0.3, reader.stop).start()
            ticks.cancel()
            return found

    assert numbers(asyncio.run(main())) == list(range(10))
    assert turns > 10


def test_errors_and_callbacks_of_the_thread_reach_the_caller(kafka: Broker) -> None:
    """KLI-52: what a callback raises on the consumer's thread comes out of the await; a closed consumer says so."""
    topic = filled(kafka, 10)

    async def main() -> None:
        reader = consumer(kafka, topic)
        where: list[str] = []

        @reader.on_assign
        def fail(partitions: list[Any]) -> None:
            where.append(threading.current_thread().name)
            raise LookupError("no")

        async with reader:
            with pytest.raises(KafkaConsumerRebalanceError):
                await reader.aconsume_messages(10, 30)
            assert numbers(await aread(reader, 10)) == list(range(10))
            assert where[0].startswith("superclient-consumer")
        for call in (reader.apoll(), reader.acommit(), reader.aconsume_messages(1)):
            with pytest.raises(KafkaConsumerFatalError, match="the consumer is closed"):
                await call

    asyncio.run(main())
    assert threads() == []


def test_leaving_by_an_exception_stores_nothing_of_what_was_in_hand(kafka: Broker) -> None:
    """KLI-48: as in the sync face, though hundreds of records were fetched ahead."""
    topic, ours = filled(kafka, 2000), f"group-{os.urandom(4).hex()}"

    async def main() -> None:
        async with consumer(kafka, topic, ours) as reader:
            async for record in reader.amessage_stream():
                if record.offset == 700:
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())
    assert committed(kafka, topic, ours) == [700]
    assert threads() == []


def test_a_loop_that_ends_in_the_middle_of_a_fetch(kafka: Broker, topic: str) -> None:
    """KLI-5: the next loop goes on with the same consumer."""
    reader = consumer(kafka, topic)

    async def impatient() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.apoll(5), 0.05)

    async def patient() -> list[MessageResult]:
        async with reader:
            return await aread(reader, 5)

    asyncio.run(impatient())
    fill(kafka, topic, range(5))
    assert numbers(asyncio.run(patient())) == list(range(5))
    assert threads() == []
