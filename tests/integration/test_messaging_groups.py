"""Listeners of one group: shared out, scaled out and in under load, and not a record lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from superclient.messaging import AutoCommit, KafkaListener
from tests.integration.messaging import (
    Consumers,
    Order,
    committed,
    consumer_factory,
    numbers,
    orders,
    produce,
    rest,
    run,
    take,
    unique,
    wait_until,
)
from tests.servers import Broker

OFTEN: AutoCommit = {"every": 50, "interval_s": 0.2}


class Member:
    """A listener and its reader, which takes down what it is given."""

    def __init__(self, kafka: Broker, topic: str, factory: Consumers, pause: float = 0, **more: Any) -> None:
        self.factory = factory
        self.got: list[Order] = []
        self._kafka = kafka
        self._pause = pause
        self.listener = KafkaListener(orders(topic), consumer_factory=factory, **{"auto_commit": OFTEN, **more})
        self._reader: asyncio.Task[None]

    async def join(self, **more: Any) -> None:
        stream = await self.listener.subscribe(Order, **more)
        self._reader = asyncio.create_task(self._read(stream))

    async def _read(self, stream: Any) -> None:
        async for one in stream:
            self.got.append(one)
            await asyncio.sleep(self._pause)

    @property
    def partitions(self) -> set[int]:
        return {one.partition for one in self.factory.made[-1].assignment()}

    async def leave(self) -> None:
        await self.listener.stop()
        await self._reader
        assert self.factory.unclosed == []

    def in_order(self) -> bool:
        """By partition, apart from what was read a second time."""
        seen: dict[int, int] = {}
        fresh = [one for one in self.got if one.offset > seen.get(one.partition, -1) or seen.get(one.partition) is None]
        for one in fresh:
            if one.offset < seen.get(one.partition, -1):
                return False
            seen[one.partition] = one.offset
        return True


@asynccontextmanager
async def steady(kafka: Broker, topic: str, partitions: int) -> AsyncIterator[list[int]]:
    """Records 0, 1, 2, … a few hundred a second until the end of the block; the list has those that were delivered."""
    sent: list[int] = []
    over = asyncio.Event()

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
            while not over.is_set():
                number = len(sent)
                await producer.send_and_wait(topic, b"%d" % number, partition=number % partitions)
                sent.append(number)
                await asyncio.sleep(0.002)

    sending = asyncio.create_task(send())
    try:
        yield sent
    finally:
        over.set()
        await sending


def test_each_record_once_in_a_group(kafka: Broker) -> None:
    """SDM-4: two listeners in one process share the partitions; together they have each record once."""
    topic, group = kafka.create_topic(unique("shared"), 4), unique()

    async def main() -> None:
        members = [Member(kafka, topic, consumer_factory(kafka, group)) for _ in range(2)]
        await asyncio.gather(*(member.join() for member in members))
        await wait_until(lambda: [len(member.partitions) for member in members] == [2, 2], "each has two partitions")
        await produce(kafka, topic, range(400))
        await wait_until(lambda: sum(len(member.got) for member in members) >= 400, "all are read")
        await asyncio.gather(*(member.leave() for member in members))
        assert sorted(numbers(members[0].got + members[1].got)) == list(range(400))
        assert await committed(kafka, group, topic) == dict.fromkeys(range(4), 100)

    run(main())


def test_every_group_gets_everything(kafka: Broker) -> None:
    """SDM-5: two groups, and one listener after the other in a third."""
    topic = kafka.create_topic(unique("shared"), 2)

    async def main() -> None:
        members = [Member(kafka, topic, consumer_factory(kafka)) for _ in range(2)]
        await asyncio.gather(*(member.join() for member in members))
        await produce(kafka, topic, range(100))
        for member in members:
            await wait_until(lambda member=member: len(member.got) == 100, "all are read")
            await member.leave()
            assert sorted(numbers(member.got)) == list(range(100))

    run(main())


def test_from_one_to_four_and_back(kafka: Broker) -> None:
    """SDM-6: under steady load each record is read, once, and in the order of its partition; then all is committed."""
    topic, group = kafka.create_topic(unique("scaled"), 8), unique()

    def member() -> Member:
        return Member(kafka, topic, consumer_factory(kafka, group))

    async def main() -> list[Member]:
        members = [member()]
        async with steady(kafka, topic, 8) as sent:
            await members[0].join()
            await wait_until(lambda: len(members[0].got) > 50, "the first reads")
            for _ in range(3):
                members.append(member())
                await members[-1].join()
                await wait_until(lambda: sum(len(one.partitions) for one in members) == 8, "it is shared out")
                before = len(members[-1].got)
                await wait_until(lambda before=before: len(members[-1].got) > before + 20, "the new one reads")
            assert [len(one.partitions) for one in members] == [2, 2, 2, 2]
            for leaving in members[1:]:
                await leaving.leave()
            await wait_until(lambda: len(members[0].partitions) == 8, "the first has everything again")
        await wait_until(lambda: read(members) == set(sent), f"all of {len(sent)} are read")
        await members[0].leave()
        ends = await asyncio.to_thread(kafka.end_offsets, topic)
        assert await committed(kafka, group, topic) == ends
        return members

    members = run(main())
    assert all(one.in_order() for one in members)
    assert twice(members) == []


def read(members: list[Member]) -> set[int]:
    return {number for member in members for number in numbers(member.got)}


def twice(members: list[Member]) -> list[int]:
    """What more than one reader has been given, or one of them twice."""
    counted = Counter(number for member in members for number in numbers(member.got))
    return [number for number, times in counted.items() if times > 1]


def test_a_partition_that_moves_before_its_first_record(kafka: Broker) -> None:
    """SDM-6: 'latest', and nothing committed yet: its new owner begins where the old one was, not at the end."""
    topic, group = kafka.create_topic(unique("moved"), 6), unique()

    async def main() -> list[Member]:
        factories = [consumer_factory(kafka, group, auto_offset_reset="latest") for _ in range(3)]
        members = [Member(kafka, topic, factory) for factory in factories]
        await members[0].join()
        assert await committed(kafka, group, topic) == dict.fromkeys(range(6), 0)
        async with steady(kafka, topic, 6) as sent:  # from here on everything counts
            for one in members[1:]:
                await one.join()
            for one in members[1:]:
                await wait_until(lambda one=one: one.got, "each of them reads")
            await members[0].leave()
            await wait_until(lambda: len(members[1].partitions | members[2].partitions) == 6, "they have all of it")
            await members[1].leave()
            await wait_until(lambda: len(members[2].partitions) == 6, "the last one has everything")
        await wait_until(lambda: read(members) == set(sent), "all are read")
        await members[2].leave()
        return members

    members = run(main())
    assert all(one.in_order() for one in members)
    assert twice(members) == []


def test_slow_readers_and_full_queues_in_a_rebalance(kafka: Broker) -> None:
    """SDM-6, SDM-12: partitions that are paused, with full queues, move; nothing is lost, the order is kept."""
    topic, group, count = kafka.create_topic(unique("slow"), 4), unique(), 1200

    async def main() -> list[Member]:
        await produce(kafka, topic, range(count))
        members = [Member(kafka, topic, consumer_factory(kafka, group), pause=0.002) for _ in range(3)]
        await members[0].join(queue_maxsize=5)
        await wait_until(lambda: len(members[0].got) > 30, "the first reads")
        await asyncio.gather(*(one.join(queue_maxsize=5) for one in members[1:]))
        await wait_until(lambda: members[1].got and members[2].got, "the others read")
        await members[1].leave()
        await members[0].leave()
        await wait_until(lambda: read(members) == set(range(count)), "all are read")
        await members[2].leave()
        assert await committed(kafka, group, topic) == dict.fromkeys(range(4), count // 4)
        return members

    members = run(main())
    assert all(one.in_order() for one in members)
    assert twice(members) == []


def test_a_reader_that_is_away_in_a_rebalance(kafka: Broker) -> None:
    """SDM-6: the group waits for it no longer than handover_timeout; what it has in hand is read again by another."""
    topic, group = kafka.create_topic(unique("away"), 2), unique()

    async def main() -> None:
        await produce(kafka, topic, range(20))
        factory = consumer_factory(kafka, group)
        settings: Any = {"auto_commit": {"every": 1}, "handover_timeout": 0.3}
        async with KafkaListener(orders(topic), consumer_factory=factory, **settings) as listener:
            stream = await listener.subscribe(Order)
            await wait_until(lambda: stream.qsize() == 20, "all are queued")
            got = await take(stream, 5)  # four are done with
            other = Member(kafka, topic, consumer_factory(kafka, group), **settings)
            await other.join()
            await wait_until(lambda: len(other.partitions) == len(factory.made[0].assignment()) == 1, "it is shared")
            (mine,) = (one.partition for one in factory.made[0].assignment())
            theirs = [number for number in range(20) if number % 2 != mine]
            done = {one.number for one in got[:4]}
            await wait_until(lambda: set(theirs) - done <= read([other]), "the other reads what was not done with")
            # What waits of the partition that has gone is the other's now; ours goes on where it was.
            last = await take(stream, 10 - sum(one.partition == mine for one in got))
            assert {one.partition for one in last} == {mine}
            assert sorted(numbers([one for one in got + last if one.partition == mine])) == sorted(
                set(range(20)) - set(theirs)
            )
            await other.leave()
        assert await committed(kafka, group, topic) == {0: 10, 1: 10}

    run(main())


def test_more_members_than_partitions(kafka: Broker) -> None:
    """SDM-4, SDM-8: one without a partition starts all the same, and takes over when the other leaves."""
    topic, group = kafka.create_topic(unique("spare")), unique()

    async def main() -> None:
        members = [Member(kafka, topic, consumer_factory(kafka, group)) for _ in range(2)]
        await members[0].join()
        await members[1].join()
        await wait_until(lambda: sum(len(one.partitions) for one in members) == 1, "one has the partition")
        owner, spare = sorted(members, key=lambda one: -len(one.partitions))
        await produce(kafka, topic, range(10))
        await wait_until(lambda: len(owner.got) == 10, "the owner reads")
        assert spare.got == []
        await owner.leave()
        await produce(kafka, topic, range(10, 20))
        await wait_until(lambda: len(spare.got) == 10, "the spare one has taken over")
        await spare.leave()
        assert numbers(spare.got) == list(range(10, 20))

    run(main())


def test_new_partitions(kafka: Broker) -> None:
    """SDM-6: a topic that grows: what is in its new partitions is read, from their beginning."""
    from confluent_kafka.admin import NewPartitions

    topic, group = kafka.create_topic(unique("grown")), unique()

    async def main() -> None:
        member = Member(kafka, topic, consumer_factory(kafka, group, metadata_max_age_ms=300))
        await member.join()
        await produce(kafka, topic, range(5))

        def grow() -> None:
            admin = kafka.admin()
            admin.create_partitions([NewPartitions(topic, 3)])[topic].result(15)

        await asyncio.to_thread(grow)
        await wait_until(lambda: kafka.topics()[topic] == 3, "it has grown")
        await produce(kafka, topic, range(5, 35), partition=2)
        await wait_until(lambda: len(member.got) == 35, "all are read")
        await member.leave()
        assert sorted(numbers(member.got)) == list(range(35))
        assert member.listener.stats().rebalances >= 2

    run(main())


def test_without_commits_a_rebalance_loses_nothing(kafka: Broker) -> None:
    """SDM-6, SDM-10: auto_commit None: partitions that stay go on where they were, though nothing is committed."""
    topic, group = kafka.create_topic(unique("uncommitted"), 4), unique()

    async def main() -> None:
        settings: Any = {"auto_commit": None}
        first, second = (Member(kafka, topic, consumer_factory(kafka, group), **settings) for _ in range(2))
        await first.join()
        await produce(kafka, topic, range(40))
        await wait_until(lambda: len(first.got) == 40, "the first reads")
        await second.join()
        await wait_until(lambda: len(first.partitions) == len(second.partitions) == 2, "they share")
        await produce(kafka, topic, range(40, 80))
        await wait_until(lambda: read([first, second]) == set(range(80)), "all are read")
        mine = first.partitions
        await second.leave()
        await first.leave()
        of_mine = [one.number for one in first.got if one.partition in mine]
        assert len(of_mine) == len(set(of_mine)) == 40  # those of its own it has once
        assert await committed(kafka, group, topic) == {}

    run(main())


def test_stop_in_the_middle_of_a_rebalance(kafka: Broker) -> None:
    """SDM-6, SDM-11: members that come and go at once, at many moments; nothing is lost, nothing is left."""
    topic, group = kafka.create_topic(unique("hasty"), 4), unique()

    async def main() -> list[Member]:
        first, others = Member(kafka, topic, consumer_factory(kafka, group)), []
        async with steady(kafka, topic, 4) as sent:
            await first.join()
            for turn in range(8):
                other = Member(kafka, topic, consumer_factory(kafka, group))
                others.append(other)
                joining = asyncio.create_task(other.join())
                await asyncio.sleep(0.05 * turn)  # stopped while it joins, while it is told its share, while it reads
                if joining.done():
                    await other.leave()
                else:
                    await other.listener.stop()
                    await asyncio.wait({joining})
                    assert joining.exception() is not None
                assert other.factory.unclosed == []
        await wait_until(lambda: read([first, *others]) == set(sent), "all are read")
        leaving = asyncio.create_task(first.leave())
        last = Member(kafka, topic, consumer_factory(kafka, group))
        await last.join()
        await leaving
        await last.leave()
        assert await committed(kafka, group, topic) == await asyncio.to_thread(kafka.end_offsets, topic)
        return [first, *others]

    members = run(main())
    assert all(one.in_order() for one in members)


def test_one_stream_after_the_other_in_a_rebalance(kafka: Broker) -> None:
    """SDM-6, SDM-13: fresh streams and leaving readers while partitions move; what was read is committed at the end."""
    topic, group = kafka.create_topic(unique("turns"), 4), unique()

    async def main() -> None:
        got: list[Order] = []
        factory = consumer_factory(kafka, group)
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit=OFTEN) as listener:
            stream = await listener.subscribe(Order)
            other = Member(kafka, topic, consumer_factory(kafka, group))
            async with steady(kafka, topic, 4) as sent:
                joining = asyncio.create_task(other.join())
                for _ in range(10):
                    got += await take(stream, 5)
                    old, stream = stream, await listener.subscribe(Order, fresh=True)
                    got += await rest(old)
                await joining
                await other.leave()
            while read([other]) | set(numbers(got)) != set(sent):
                got += await take(stream, 1)
        assert await committed(kafka, group, topic) == await asyncio.to_thread(kafka.end_offsets, topic)

    run(main())


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_many_rebalances(kafka: Broker) -> None:
    """SDM-6: members come and go for a minute, some slow, with queues of all sizes; nothing is lost."""
    topic, group = kafka.create_topic(unique("soak"), 12), unique()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        everyone: list[Member] = []
        here: list[Member] = []
        async with steady(kafka, topic, 12) as sent:
            until = loop.time() + 60
            turn = 0
            while loop.time() < until:
                turn += 1
                if len(here) < 4 and (turn % 3 or not here):
                    here.append(Member(kafka, topic, consumer_factory(kafka, group), pause=0.001 * (turn % 4)))
                    everyone.append(here[-1])
                    await here[-1].join(queue_maxsize=(0, 1, 10, 100)[turn % 4])
                elif len(here) > 1:
                    await here.pop(turn % len(here)).leave()
                await asyncio.sleep(0.3 * (turn % 5))
        await wait_until(lambda: read(everyone) >= set(sent), "all are read", 120)
        for one in here:
            await one.leave()
        assert await committed(kafka, group, topic) == await asyncio.to_thread(kafka.end_offsets, topic)
        print(f"{len(sent)} records, {len(everyone)} members, {len(twice(everyone))} read twice")

    run(main(), timeout=500)
