"""KafkaListener on real Kafka: typed streams, commits, back-pressure, and a clean end."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from superclient.errors import MessagingStoppedError
from superclient.messaging import KafkaListener
from tests.environments import run_program
from tests.integration.messaging import (
    Audit,
    Order,
    audit,
    committed,
    consumer_factory,
    numbers,
    orders,
    produce,
    rest,
    run,
    take,
    unique,
    until_committed,
    wait_until,
)
from tests.servers import Broker

LOGGER = "superclient.messaging"
ROOT = Path(__file__).resolve().parents[2]


def new_topic(kafka: Broker, partitions: int = 1) -> str:
    return kafka.create_topic(unique("heard"), partitions)


# --- what readers get -----------------------------------------------------------------------------------------------


class Invoice(BaseModel):
    total: int


@dataclass
class Event:
    key: bytes | None
    value: bytes | None


def test_each_reader_gets_its_type(kafka: Broker) -> None:
    """SDM-1: what the parser makes of the record, for a dataclass, a pydantic model and a plain type."""
    first, second, third = (new_topic(kafka) for _ in range(3))
    specs: Any = [
        {"topics": [first], "type": Order, "parser": lambda record: Order(int(record.value), 0, record.offset)},
        {"topics": [second], "type": Invoice, "parser": lambda record: Invoice.model_validate_json(record.value)},
        {"topics": {third}, "type": str, "parser": lambda record: record.value.decode()},
    ]

    async def main() -> None:
        async with KafkaListener(specs, consumer_factory=consumer_factory(kafka)) as listener:
            streams = [await listener.subscribe(kind) for kind in (Order, Invoice, str)]
            assert [stream.type for stream in streams] == [Order, Invoice, str]
            await produce(kafka, first, [7])
            await produce(kafka, second, [b'{"total": 12}'])
            await produce(kafka, third, [b"text"])
            assert [await take(stream, 1) for stream in streams] == [[Order(7, 0, 0)], [Invoice(total=12)], ["text"]]
            assert listener.stats().records == 3

    run(main())


def test_several_specs_of_a_topic_each_get_a_copy(kafka: Broker) -> None:
    """SDM-2, SDM-14: two types, two specs of one type, two readers of one type; no value is another's."""
    topic = new_topic(kafka)
    specs = [
        *orders(topic),
        *orders(topic, parser=audit, kind=Audit),
        *orders(topic, parser=lambda record: Order(-int(record.value), record.partition, record.offset)),
    ]

    async def main() -> None:
        async with KafkaListener(specs, consumer_factory=consumer_factory(kafka)) as listener:
            one, two = await listener.subscribe(Order), await listener.subscribe(Order)
            texts = await listener.subscribe(Audit)
            await produce(kafka, topic, [1, 2])
            ones, twos = await take(one, 4), await take(two, 4)
            assert numbers(ones) == numbers(twos) == [1, -1, 2, -2]
            ones[0].number = 99  # a reader may do with its value what it likes
            assert twos[0].number == 1
            assert await take(texts, 2) == [Audit(f"{topic} 1"), Audit(f"{topic} 2")]
            assert (one.qsize(), two.qsize(), texts.qsize()) == (0, 0, 0)

    run(main())


def test_tombstones_and_empty_values(kafka: Broker) -> None:
    """SDM-1: the parser sees every record as it is; a value of None that it returns is a value like any other."""
    topic = new_topic(kafka)
    specs = [
        *orders(topic, parser=lambda record: Event(record.key, record.value), kind=Event),
        *orders(topic, parser=lambda record: record.value, kind=bytes),
    ]

    async def main() -> None:
        async with KafkaListener(specs, consumer_factory=consumer_factory(kafka)) as listener:
            events, values = await listener.subscribe(Event), await listener.subscribe(bytes)
            await produce(kafka, topic, [None, b"", b"x"], key=b"k")
            assert await take(events, 3) == [Event(b"k", None), Event(b"k", b""), Event(b"k", b"x")]
            assert await take(values, 3) == [None, b"", b"x"]

    run(main())


def test_a_parser_that_raises(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-3: logged with topic, partition and offset, counted, skipped, and committed past; others get their copy."""
    topic, group = new_topic(kafka, 3), unique()
    specs = [*orders(topic), *orders(topic, parser=audit, kind=Audit)]

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(specs, consumer_factory=factory, auto_commit={"every": 1}) as listener:
            found, texts = await listener.subscribe(Order), await listener.subscribe(Audit)
            await produce(kafka, topic, [b"1", b"secret-rubbish", b"3", b"rubbish"], partition=2)
            assert numbers(await take(found, 2)) == [1, 3]
            assert len(await take(texts, 4)) == 4
            await wait_until(lambda: listener.stats().parse_errors == 2, "both are counted")
            assert listener.stats().records == 4
        assert (await committed(kafka, group, topic))[2] == 4

    with caplog.at_level(logging.WARNING, LOGGER):
        run(main())
    said = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert len(said) == 2
    assert all(word in said[0] for word in (topic, "2", "offset 1", "ValueError"))
    assert "offset 3" in said[1]


def test_a_parser_that_always_raises(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-3: thousands of bad records are counted, not all logged; the loop goes on, and they are not read again."""
    topic, group, count = new_topic(kafka), unique(), 3000
    specs = [*orders(topic), *orders(topic, parser=audit, kind=Audit)]

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(specs, consumer_factory=factory, auto_commit={"interval_s": 0.1}) as listener:
            found = await listener.subscribe(Order, queue_maxsize=5)
            await produce(kafka, topic, [b"rubbish"] * count)
            await wait_until(lambda: listener.stats().parse_errors == count, "all are counted")
            await until_committed(kafka, group, topic, {0: count})
            await produce(kafka, topic, [7])
            assert numbers(await take(found, 1)) == [7]

    with caplog.at_level(logging.WARNING, LOGGER):
        run(main())
    said = [record for record in caplog.records if record.name == LOGGER]
    assert 1 <= len(said) < 100


@pytest.mark.parametrize("raised", [KeyError, UnicodeDecodeError, RecursionError, StopIteration, StopAsyncIteration])
def test_whatever_a_parser_raises(kafka: Broker, raised: type[Exception]) -> None:
    """SDM-3: also what means something to iterators."""
    topic = new_topic(kafka)

    def parser(record: Any) -> Order:
        if record.value == b"bad":
            raise (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad") if raised is UnicodeDecodeError else raised("bad"))
        return Order(int(record.value), 0, 0)

    async def main() -> None:
        specs = orders(topic, parser=parser)
        async with KafkaListener(specs, consumer_factory=consumer_factory(kafka)) as listener:
            found = await listener.subscribe(Order)
            await produce(kafka, topic, [b"bad", b"1"])
            assert numbers(await take(found, 1)) == [1]
            assert listener.stats().parse_errors == 1

    run(main())


# --- subscribing ----------------------------------------------------------------------------------------------------


def test_nothing_is_missed_after_subscribe(kafka: Broker) -> None:
    """SDM-8: 'latest', and a record produced right after subscribe() returned; many times, with several partitions."""
    topic = new_topic(kafka, 3)

    async def main() -> None:
        for turn in range(15):
            await produce(kafka, topic, [-1, -1, -1])  # older ones, which are not to be seen
            factory = consumer_factory(kafka, auto_offset_reset="latest")
            async with KafkaListener(orders(topic), consumer_factory=factory) as listener:
                found = await listener.subscribe(Order)
                await produce(kafka, topic, [3 * turn, 3 * turn + 1, 3 * turn + 2])
                assert sorted(numbers(await take(found, 3))) == [3 * turn, 3 * turn + 1, 3 * turn + 2]

    run(main())


def test_a_group_goes_on_where_it_was(kafka: Broker) -> None:
    """SDM-8, SDM-11: 'latest' is for a group without an offset alone."""
    topic, group = new_topic(kafka), unique()

    async def read(count: int) -> list[int]:
        factory = consumer_factory(kafka, group, auto_offset_reset="latest")
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit={}) as listener:
            found = await listener.subscribe(Order)
            await produce(kafka, topic, [100 + count])
            return numbers(await take(found, count))

    async def main() -> None:
        assert await read(1) == [101]
        await produce(kafka, topic, [1, 2])
        assert await read(3) == [1, 2, 103]

    run(main())


def test_topics_without_a_reader_wait(kafka: Broker) -> None:
    """SDM-8, SDM-12: what nobody reads is not lost: the first reader begins where the group is."""
    first, second, group = new_topic(kafka), new_topic(kafka), unique()
    specs = [*orders(first), *orders(second, parser=audit, kind=Audit)]

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(specs, consumer_factory=factory, auto_commit={"every": 1}) as listener:
            found = await listener.subscribe(Order)
            await produce(kafka, second, list(range(50)))
            await produce(kafka, first, [1])
            await take(found, 1)
            assert {one.topic for one in factory.made[0].paused()} == {second}
            texts = await listener.subscribe(Audit)
            assert [one.text for one in await take(texts, 50)] == [f"{second} {number}" for number in range(50)]

    run(main())


def test_misuse_of_subscribe(kafka: Broker, topic: str) -> None:
    """SDM-1: an unknown type and a negative size are ValueErrors, and harm nothing; after stop() it says so."""

    async def main() -> None:
        factory = consumer_factory(kafka)
        listener = KafkaListener(orders(topic), consumer_factory=factory)
        with pytest.raises(ValueError, match="no parser has the type Audit; they have Order"):
            await listener.subscribe(Audit)
        for bad in (-1, 1.5, "5", None):
            with pytest.raises(ValueError, match="queue_maxsize"):
                await listener.subscribe(Order, queue_maxsize=bad)  # type: ignore[arg-type]
        assert factory.made == []  # nothing was started for it
        stream = await listener.subscribe(Order)
        await produce(kafka, topic, [1])
        assert numbers(await take(stream, 1)) == [1]
        await listener.stop()
        with pytest.raises((MessagingStoppedError, RuntimeError), match="stopped"):
            await listener.subscribe(Order)
        with pytest.raises((MessagingStoppedError, RuntimeError), match="stopped"):
            await listener.start()
        assert (len(factory.made), factory.unclosed) == (1, [])

    run(main())


def test_start_and_stop_as_often_as_one_likes(kafka: Broker, topic: str) -> None:
    """SDM-35: one consumer, however many start it at once; stop() before start() and twice is nothing."""

    async def main() -> None:
        factory = consumer_factory(kafka)
        listener = KafkaListener(orders(topic), consumer_factory=factory)
        streams = await asyncio.gather(
            listener.start(), listener.subscribe(Order), listener.subscribe(Order), listener.start()
        )
        assert len(factory.made) == 1
        await produce(kafka, topic, [1])
        for stream in streams[1:3]:
            assert numbers(await take(stream, 1)) == [1]
        await asyncio.gather(listener.stop(), listener.stop())
        await listener.stop()
        assert factory.unclosed == []
        await KafkaListener(orders(topic), consumer_factory=factory).stop()
        assert len(factory.made) == 1

    run(main())


# --- commits --------------------------------------------------------------------------------------------------------


def test_commits_by_count(kafka: Broker) -> None:
    """SDM-9: after so many records that readers are done with, and none that is still in hand."""
    topic, group = new_topic(kafka), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit={"every": 5}) as listener:
            found = await listener.subscribe(Order)
            await produce(kafka, topic, range(20))
            await take(found, 5)  # four are done with
            assert await committed(kafka, group, topic) in ({}, {0: 0})
            await take(found, 1)
            await until_committed(kafka, group, topic, {0: 5})
            await take(found, 4)
            assert await committed(kafka, group, topic) == {0: 5}
            assert listener.stats().commits >= 1
        assert await committed(kafka, group, topic) == {0: 10}  # SDM-11: the one in hand was done with by then

    run(main())


def test_commits_by_interval(kafka: Broker) -> None:
    """SDM-9: by a timer: the reader has asked for the next record, and none comes."""
    topic, group = new_topic(kafka, 2), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        settings: Any = {"interval_s": 0.2}
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit=settings) as listener:
            found = await listener.subscribe(Order)
            await produce(kafka, topic, range(6))
            await take(found, 6)
            waiting = asyncio.ensure_future(anext_of(found))
            await until_committed(kafka, group, topic, {0: 3, 1: 3})
            await produce(kafka, topic, [6])
            assert numbers([await waiting]) == [6]

    run(main())


async def anext_of(stream: Any) -> Any:
    return await stream.__anext__()


def test_never_before_the_reader_is_done(kafka: Broker) -> None:
    """SDM-9: the slower of two readers holds the commit back, however quick the other one is."""
    topic, group = new_topic(kafka), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        settings: Any = {"every": 1, "interval_s": 0.05}
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit=settings) as listener:
            quick, slow = await listener.subscribe(Order), await listener.subscribe(Order)
            await produce(kafka, topic, range(30))
            await take(quick, 30)
            await take(slow, 3)
            await until_committed(kafka, group, topic, {0: 2})
            before = listener.stats().commits
            await asyncio.sleep(0.3)  # several intervals: nothing more may be committed
            assert await committed(kafka, group, topic) == {0: 2}
            assert listener.stats().commits == before
            await slow.aclose()
            await until_committed(kafka, group, topic, {0: 29})  # the quick one still has the last in its hands

    run(main())


def test_a_reader_that_fails_commits_nothing(kafka: Broker) -> None:
    """SDM-9: what it had in hand when it raised is read again by the next one."""
    topic, group = new_topic(kafka), unique()

    async def reading() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit={"every": 1}) as listener:
            async for one in await listener.subscribe(Order):
                if one.number == 3:
                    raise ZeroDivisionError

    async def main() -> list[int]:
        with pytest.raises(ZeroDivisionError):
            await reading()
        async with KafkaListener(orders(topic), consumer_factory=consumer_factory(kafka, group)) as listener:
            return numbers(await take(await listener.subscribe(Order), 2))

    asyncio.run(produce(kafka, topic, range(5)))
    assert run(main()) == [3, 4]


def test_aiokafkas_own_commits_are_turned_off(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-9, SDM-10: it is on by default there; one warning, and nothing is ever committed without auto_commit."""
    topic, group = new_topic(kafka), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group, enable_auto_commit=True, auto_commit_interval_ms=50)
        async with KafkaListener(orders(topic), consumer_factory=factory) as listener:
            found = await listener.subscribe(Order)
            await produce(kafka, topic, range(5))
            await take(found, 5)
            await produce(kafka, topic, [5])
            await take(found, 1)
            await asyncio.sleep(0.3)  # several of its intervals
            assert await committed(kafka, group, topic) == {}
        assert await committed(kafka, group, topic) == {}
        assert listener.stats().commits == 0

    with caplog.at_level(logging.WARNING, LOGGER):
        run(main())
    said = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert len(said) == 1
    assert "enable_auto_commit" in said[0]


@pytest.mark.parametrize("auto_commit", [None, {}])
def test_without_numbers(kafka: Broker, auto_commit: Any) -> None:
    """SDM-10, SDM-11: None commits never, also not at the end; {} commits at the end alone."""
    topic, group = new_topic(kafka), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit=auto_commit) as listener:
            found = await listener.subscribe(Order)
            await produce(kafka, topic, range(50))
            await take(found, 50)
            assert await committed(kafka, group, topic) in ({}, {0: 0})
        assert await committed(kafka, group, topic) == ({} if auto_commit is None else {0: 50})

    run(main())


# --- back-pressure --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 10])
def test_a_slow_reader_holds_its_partitions_back(kafka: Broker, size: int) -> None:
    """SDM-12: no queue beyond its size, the partition paused, others go on; nothing dropped, and the order kept."""
    slow, quick, parsed = new_topic(kafka, 2), new_topic(kafka), [0]

    def counting(record: Any) -> Order:
        parsed[0] += 1
        return Order(int(record.value), record.partition, record.offset)

    specs = [*orders(slow, parser=counting), *orders(quick, parser=audit, kind=Audit)]

    async def main() -> None:
        factory = consumer_factory(kafka, max_partition_fetch_bytes=2000)
        async with KafkaListener(specs, consumer_factory=factory) as listener:
            found = await listener.subscribe(Order, queue_maxsize=size)
            texts = await listener.subscribe(Audit)
            await produce(kafka, slow, range(2000))
            await wait_until(lambda: len(factory.made[0].paused()) == 2, "both partitions are paused")
            await produce(kafka, quick, range(500))
            assert len(await take(texts, 500)) == 500  # another topic goes on while they are
            assert found.qsize() == size
            assert parsed[0] <= size + 1
            got: list[Order] = []
            for _ in range(2000):
                got += await take(found, 1)
                assert found.qsize() <= size
                assert parsed[0] - len(got) <= size + 1
            for partition in (0, 1):
                mine = [one.number for one in got if one.partition == partition]
                assert mine == list(range(partition, 2000, 2))
            await wait_until(lambda: not factory.made[0].paused(), "it reads on")
            await produce(kafka, slow, [2000])
            assert numbers(await take(found, 1)) == [2000]

    run(main())


def test_several_values_of_each_record_in_a_short_queue(kafka: Broker) -> None:
    """SDM-2, SDM-12: two specs of one type: a queue is longer than its size by the rest of one record at most."""
    topic = new_topic(kafka)

    async def main() -> None:
        specs = orders(topic) + orders(topic)
        async with KafkaListener(specs, consumer_factory=consumer_factory(kafka)) as listener:
            found = await listener.subscribe(Order, queue_maxsize=3)
            await produce(kafka, topic, range(100))
            got = []
            for _ in range(200):
                got += await take(found, 1)
                assert found.qsize() <= 4
            assert numbers(got) == [number for number in range(100) for _ in range(2)]

    run(main())


def test_two_readers_of_one_type_at_their_own_pace(kafka: Broker) -> None:
    """SDM-12, SDM-14: the slow one holds both back, as they share the partition; each gets all, in order."""
    topic = new_topic(kafka)

    async def main() -> None:
        async with KafkaListener(orders(topic), consumer_factory=consumer_factory(kafka)) as listener:
            slow, quick = await listener.subscribe(Order, queue_maxsize=3), await listener.subscribe(Order)
            await produce(kafka, topic, range(300))
            first = await take(quick, 3)
            assert slow.qsize() == 3
            both = await asyncio.gather(take(slow, 300), take(quick, 297))
            assert numbers(both[0]) == numbers(first + both[1]) == list(range(300))

    run(main())


# --- streams that end -----------------------------------------------------------------------------------------------


def test_fresh_ends_the_old_ones(kafka: Broker) -> None:
    """SDM-13: they yield what is queued, then end; the new one gets what comes from now on."""
    topic, group = new_topic(kafka), unique()
    specs = [*orders(topic), *orders(topic, parser=audit, kind=Audit)]

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(specs, consumer_factory=factory, auto_commit={"interval_s": 0.1}) as listener:
            one, two = await listener.subscribe(Order), await listener.subscribe(Order)
            texts = await listener.subscribe(Audit)
            await produce(kafka, topic, range(3))
            await wait_until(lambda: one.qsize() == two.qsize() == 3, "three are queued")
            waiting = asyncio.ensure_future(rest(two))
            new = await listener.subscribe(Order, fresh=True)
            await produce(kafka, topic, range(3, 6))
            assert numbers(await take(new, 3)) == [3, 4, 5]
            assert numbers(await rest(one)) == numbers(await waiting) == [0, 1, 2]
            assert await rest(one) == []  # it stays at its end
            assert len(await take(texts, 6)) == 6  # another type is another matter
            await new.aclose()
            await texts.aclose()
            await until_committed(kafka, group, topic, {0: 6})

    run(main())


def test_a_reader_that_waits_is_ended_by_fresh_and_by_stop(kafka: Broker, topic: str) -> None:
    """SDM-13, SDM-15: `async for` just ends."""

    async def main() -> None:
        async with KafkaListener(orders(topic), consumer_factory=consumer_factory(kafka)) as listener:
            old = asyncio.ensure_future(rest(await listener.subscribe(Order)))
            await asyncio.sleep(0)
            new = asyncio.ensure_future(rest(await listener.subscribe(Order, fresh=True)))
            assert await old == []
        assert await new == []

    run(main())


def test_a_closed_stream(kafka: Broker, topic: str) -> None:
    """SDM-14: it ends at once, for whoever waits as well; the other reader goes on, however full the closed one was."""

    async def main() -> None:
        async with KafkaListener(orders(topic), consumer_factory=consumer_factory(kafka)) as listener:
            left, kept = await listener.subscribe(Order, queue_maxsize=2), await listener.subscribe(Order)
            waiting = asyncio.ensure_future(anext_of(left))
            await asyncio.sleep(0)
            await left.aclose()
            with pytest.raises(StopAsyncIteration):
                await waiting
            async with await listener.subscribe(Order, queue_maxsize=2) as full:
                await produce(kafka, topic, range(50))
                await wait_until(lambda: full.qsize() == 2, "it is full")
            assert await rest(full) == await rest(left) == []
            assert numbers(await take(kept, 50)) == list(range(50))
            await full.aclose()

    run(main())


def test_stop_lets_readers_finish(kafka: Broker) -> None:
    """SDM-15: a stream yields what is queued, then ends; what nobody was done with is there for the next listener."""
    topic, group = new_topic(kafka), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        listener = KafkaListener(orders(topic), consumer_factory=factory, auto_commit={"every": 1})
        found = await listener.subscribe(Order)
        await produce(kafka, topic, range(20))
        first = await take(found, 5)
        await wait_until(lambda: found.qsize() == 15, "the rest is queued")
        stopping = asyncio.ensure_future(listener.stop())
        got = numbers(first + await rest(found))
        await stopping
        assert got == list(range(20))
        assert factory.unclosed == []
        (offset,) = (await committed(kafka, group, topic)).values()
        assert 5 <= offset <= 20

    run(main())


def test_stop_while_nobody_reads_on(kafka: Broker) -> None:
    """SDM-11, SDM-15: stop() returns though the reader is away; it finds what was queued, and the rest is not lost."""
    topic, group = new_topic(kafka), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        listener = KafkaListener(orders(topic), consumer_factory=factory, auto_commit={}, handover_timeout=0.2)
        found = await listener.subscribe(Order, queue_maxsize=3)
        await produce(kafka, topic, range(20))
        await wait_until(lambda: found.qsize() == 3, "three are queued")
        await take(found, 1)
        await asyncio.wait_for(listener.stop(), 20)
        got = [0, *numbers(await rest(found))]
        assert got == list(range(len(got)))
        assert len(got) >= 3
        found_next = consumer_factory(kafka, group)
        async with KafkaListener(orders(topic), consumer_factory=found_next) as another:
            (again, *_) = numbers(await take(await another.subscribe(Order), 1))
        assert again <= len(got)  # nothing lies between what the first one had and what the second one gets

    run(main())


def test_stop_from_the_readers_own_body(kafka: Broker) -> None:
    """SDM-15: it waits for nobody's hands but its caller's; the loop yields what is queued, then ends by itself."""
    topic, group = new_topic(kafka), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        listener = KafkaListener(orders(topic), consumer_factory=factory, auto_commit={}, handover_timeout=30)
        found, got = await listener.subscribe(Order), []
        await produce(kafka, topic, range(6))
        await wait_until(lambda: found.qsize() == 6, "all are queued")
        async for one in found:
            got.append(one.number)
            if one.number == 2:
                await listener.stop()
        assert got == list(range(6))
        assert (await committed(kafka, group, topic))[0] >= 3
        assert factory.unclosed == []

    run(main(), timeout=60)


def test_a_program_that_ends_without_stop(kafka: Broker, topic: str) -> None:
    """SDM-15: asyncio.run cancels everything: no traceback, no "Task was destroyed", no unclosed consumer."""
    program = """
    import asyncio, sys
    from aiokafka import AIOKafkaConsumer
    from superclient.messaging import KafkaListener

    bootstrap, topic, way = sys.argv[1:]

    def factory():
        return AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=topic + way, auto_offset_reset="earliest",
                                enable_auto_commit=False)

    async def read(stream, event):
        async for value in stream:
            print(value, flush=True)
            event.set()

    async def main():
        specs = [{"topics": [topic], "type": str, "parser": lambda record: record.value.decode()}]
        listener = KafkaListener(specs, consumer_factory=factory, auto_commit={"interval_s": 0.1})
        stream = await listener.subscribe(str)
        if way == "reader":
            event = asyncio.Event()
            task = asyncio.create_task(read(stream, event))
            await event.wait()
        else:
            print(await stream.__anext__())
        if way == "raises":
            raise SystemExit(3)

    asyncio.run(main())
    """
    asyncio.run(produce(kafka, topic, [b"hello"]))
    asyncio.run(committed(kafka, unique(), topic))  # a broker's very first group makes aiokafka log an error
    for way, code in (("leaves", 0), ("raises", 3), ("reader", 0)):
        env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"}
        ran = run_program(Path(sys.executable), program, kafka.bootstrap, topic, way, env=env, options=["-X", "dev"])
        assert (ran.returncode, ran.stdout) == (code, "hello\n"), ran.stderr
        assert ran.stderr == ""


def test_beside_the_agent(kafka: Broker) -> None:
    """SDM-1: an agent in the process changes nothing of what a listener does and says on stdout."""
    program = """
    import asyncio, sys
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from superclient.messaging import KafkaListener

    bootstrap, topic, group = sys.argv[1:]

    def factory():
        return AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest",
                                enable_auto_commit=False)

    async def main():
        specs = [{"topics": [topic], "type": str, "parser": lambda record: record.value.decode()}]
        async with KafkaListener(specs, consumer_factory=factory, auto_commit={"every": 10}) as listener:
            stream = await listener.subscribe(str)
            async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
                for number in range(50):
                    await producer.send(topic, str(number).encode())
            print([await stream.__anext__() for _ in range(50)], listener.stats())

    asyncio.run(main())
    """
    said = []
    for disabled in ("true", "false"):
        topic, group = new_topic(kafka), unique()
        env = {"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": disabled}
        ran = run_program(Path(sys.executable), program, kafka.bootstrap, topic, group, env=env)
        assert ran.returncode == 0, ran.stderr
        said.append(ran.stdout.partition("] ")[0])
        assert asyncio.run(committed(kafka, group, topic)) == {0: 50}
        assert os.linesep.join(said).count("'49'") == len(said)
    assert said[0] == said[1]


# --- consumers that will not do -------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [None, ""])
def test_an_empty_group(kafka: Broker, topic: str, group: str | None) -> None:
    """SDM-7: a RuntimeError that says what to do; nothing stays open."""

    async def main() -> None:
        factory = consumer_factory(kafka, group_id=group)
        listener = KafkaListener(orders(topic), consumer_factory=factory)
        for attempt in (listener.start(), listener.subscribe(Order)):
            with pytest.raises(RuntimeError, match="group_id"):
                await attempt
        assert factory.unclosed == []

    run(main())


@pytest.mark.parametrize("way", ["constructor", "subscribe", "pattern", "assign"])
def test_a_consumer_that_has_topics_already(kafka: Broker, topic: str, way: str) -> None:
    """SDM-7: subscribed or assigned by hand: a RuntimeError that says what to do; nothing stays open."""
    from aiokafka import AIOKafkaConsumer, TopicPartition

    factory = consumer_factory(kafka)

    def made() -> AIOKafkaConsumer:
        topics = [topic] if way == "constructor" else []
        consumer = AIOKafkaConsumer(*topics, **factory.settings)
        factory.made.append(consumer)
        if way == "subscribe":
            consumer.subscribe([topic])
        elif way == "pattern":
            consumer.subscribe(pattern="orders.*")
        elif way == "assign":
            consumer.assign([TopicPartition(topic, 0)])
        return consumer

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"subscribe|assign"):
            await KafkaListener(orders(topic), consumer_factory=made).start()
        assert factory.unclosed == []

    run(main())


def test_factories_may_be_async(kafka: Broker, topic: str) -> None:
    """SDM-1: one that fetches its credentials first, say."""
    factory = consumer_factory(kafka)

    async def made() -> Any:
        await asyncio.sleep(0)
        return factory()

    async def main() -> None:
        async with KafkaListener(orders(topic), consumer_factory=made) as listener:
            found = await listener.subscribe(Order)
            await produce(kafka, topic, [1])
            assert numbers(await take(found, 1)) == [1]

    run(main())


# --- readers that come one after the other, or go without a word --------------------------------------------------


def test_readers_that_subscribe_one_after_the_other(kafka: Broker) -> None:
    """SDM-2: what waits when a program subscribes to one type and then to another is handed to both."""
    topic = new_topic(kafka)
    specs = [*orders(topic), *orders(topic, parser=audit, kind=Audit)]

    async def main() -> None:
        await produce(kafka, topic, [1, 2, 3])
        factory = consumer_factory(kafka, auto_offset_reset="earliest")
        async with KafkaListener(specs, consumer_factory=factory) as listener:
            await wait_until(lambda: listener.stats().records == 3, "the records wait")
            found, texts = await listener.subscribe(Order), await listener.subscribe(Audit)
            assert numbers(await take(found, 3)) == [1, 2, 3]
            assert len(await take(texts, 3)) == 3

    run(main())


def test_a_reader_that_crashes_beside_another(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-9: what it had not finished is not committed, though another reader of the topic goes on; one warning."""
    topic, group = new_topic(kafka), unique()
    specs = [*orders(topic), *orders(topic, parser=audit, kind=Audit)]
    commit: Any = {"interval_s": 0.05}

    async def crash(found: Any) -> None:
        async with found:
            async for order in found:
                assert order.number < 3 or 1 / 0

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(specs, consumer_factory=factory, auto_commit=commit) as listener:
            found, texts = await listener.subscribe(Order), await listener.subscribe(Audit)
            await produce(kafka, topic, [1, 2, 3, 4])
            with pytest.raises(ZeroDivisionError):
                await crash(found)
            assert len(await take(texts, 4)) == 4
            await produce(kafka, topic, [5])
            assert len(await take(texts, 1)) == 1
        assert (await committed(kafka, group, topic))[0] == 2
        async with KafkaListener(specs, consumer_factory=factory, auto_commit=commit) as listener:
            assert numbers(await take(await listener.subscribe(Order), 3)) == [3, 4, 5]

    with caplog.at_level(logging.WARNING, LOGGER):
        run(main())
    said = [record.getMessage() for record in caplog.records if "without closing" in record.getMessage()]
    assert len(said) == 1
    assert f"{topic}-0 above 2" in said[0]
