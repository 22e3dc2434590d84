"""Gofka consumers as a group against the broker's double: who owns what, and what that costs nobody."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from superclient.gofka import keeping, reading
from superclient.gofka.consumer import AsyncConsumer
from superclient.gofka.errors import GofkaError, MetadataError
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.producer import AsyncProducer
from tests.servers import wait_for
from tests.servers.gofka import GofkaDouble

TOPICS = {"a": 5, "b": 3}
CLOCK = 10.0  # of the broker's seconds in one of ours: a dead member is forgotten in two or three
SESSION_MS = 20_000


@pytest.fixture
def broker() -> Iterator[GofkaDouble]:
    with GofkaDouble(clock=CLOCK) as double:
        for topic, count in TOPICS.items():
            double.create_topic(topic, count)
        yield double
        wait_for(lambda: not double.connections_open, "the connections to be closed")
        assert not double.crashed
        assert not double.strays


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses are for production."""
    monkeypatch.setattr(reading, "_AGAIN", 0.02)
    monkeypatch.setattr(keeping, "_PAUSES", (0.01, 0.05))
    monkeypatch.setattr(keeping, "_BEAT", (0.02, 0.05))
    monkeypatch.setattr(keeping, "_LOOK", 0.1)


def run(work: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own, which is the test's last task at its end."""

    async def alone() -> None:
        await work
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(alone())


def consumer(broker: GofkaDouble, topics: str | list[str], **options: Any) -> AsyncConsumer:
    policy = RetryPolicy(max_retries=0)
    return AsyncConsumer(broker.address, "g", topics, session_timeout=SESSION_MS, retry_policy=policy, **options)


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_for, condition, what)


def shared(members: list[AsyncConsumer], **counts: int) -> bool:
    """Whether each partition has one owner, and nobody idles who need not."""
    owned = Counter(place for member in members for place in member.assignment)
    every = Counter((topic, n) for topic, count in (counts or TOPICS).items() for n in range(count))
    return owned == every and all(member.assignment for member in members)


async def die(member: AsyncConsumer) -> None:
    """As a process that is killed: it neither commits nor leaves."""
    subscription = member._subscription
    assert subscription is not None
    subscription._auto_commit = False
    subscription._keeper._joined = False
    await member.close()


def busy() -> None:
    """A program that works, and gives nobody else a turn."""
    time.sleep(0.001)


async def missed(member: AsyncConsumer) -> None:
    """Ask until its topic is missed."""
    while True:
        try:
            await member.poll(1, 1)
        except MetadataError:
            raise
        except GofkaError:
            continue


async def forgotten(broker: GofkaDouble) -> None:
    """Let a dead member's session pass: the living are heard of in between."""
    for _ in range(2):
        beats = broker.requests["Heartbeat"]
        await until(lambda beats=beats: broker.requests["Heartbeat"] > beats + 10, "heartbeats")
        broker.advance(0.7 * SESSION_MS / 1000)


@pytest.mark.parametrize("strategy", ["range", "roundrobin"])
def test_two_members_share_two_topics(broker: GofkaDouble, strategy: str) -> None:
    """GOF-26, GOF-27, GOF-29: each partition has one owner; one who closes leaves, and the other has them all."""

    async def work() -> None:
        topics = sorted(TOPICS)
        async with consumer(broker, topics, assignment_strategy=strategy) as first:
            assert shared([first])
            second = consumer(broker, topics, assignment_strategy=strategy)
            await second.subscribe()
            await until(lambda: shared([first, second]), "the partitions to be shared")
            sizes = {"range": [3, 5], "roundrobin": [4, 4]}
            assert sorted(len(member.assignment) for member in (first, second)) == sizes[strategy]
            assert len(broker.members("g")) == 2
            await second.close()
            assert len(broker.members("g")) == 1
            await until(lambda: shared([first]), "all to be one's again")
        assert broker.members("g") == {}

    run(work())


def test_each_reads_what_it_is_subscribed_to(broker: GofkaDouble) -> None:
    """GOF-26: members of one group with different topics."""
    broker.produce("a", b"a")
    broker.produce("b", b"b")

    async def work() -> None:
        async with consumer(broker, "a") as one, consumer(broker, "b") as other:
            assert await anext(one) == b"a"
            assert await anext(other) == b"b"
            assert {topic for topic, _ in one.assignment} == {"a"}
            assert shared([one, other])
        assert broker.committed("g", "a") == broker.committed("g", "b") == 1

    run(work())


def test_random_joins_leaves_and_deaths(broker: GofkaDouble) -> None:
    """GOF-27: each partition owned exactly once, none idle, after each; most of it in a group of more than 60 s."""
    chosen = random.Random(8)

    async def work() -> None:
        members: list[AsyncConsumer] = []
        joined = asyncio.Semaphore(3)

        async def join() -> None:
            async with joined:
                member = consumer(broker, sorted(TOPICS), auto_commit=False)
                await member.subscribe()
                members.append(member)

        await join()
        for event in ("join", "join", "swap", "leave", "swap", "die", "join", "swap", "leave", "join", "die", "leave"):
            if event in ("leave", "die", "swap"):
                member = members.pop(chosen.randrange(len(members)))
                await (die(member) if event == "die" else member.close())
            if event == "die":
                await forgotten(broker)
            if event in ("join", "swap"):
                await asyncio.gather(join(), *([join()] if len(members) < 2 else []))
            await until(lambda: shared(members), f"the partitions to be shared after {event}")
        for member in members:
            await member.close()

    run(work())


def test_nothing_is_lost_while_members_come_and_go(broker: GofkaDouble) -> None:
    """GOF-5, GOF-27: at least once, under a steady load, with deaths that commit nothing."""
    count = 1500

    async def work() -> None:
        read: Counter[bytes] = Counter()
        ends: list[asyncio.Event] = []

        async def load() -> None:
            async with AsyncProducer(broker.address, batch_size=300) as producer:
                sent = []
                for n in range(count):
                    sent.append(asyncio.ensure_future(producer.send("a", b"%d" % n)))
                    if n % 50 == 0:
                        await asyncio.sleep(0.01)
                await asyncio.gather(*sent)

        async def member(dies: bool) -> None:
            end = asyncio.Event()
            ends.append(end)
            reader = consumer(broker, "a", max_poll_records=20)
            await reader.subscribe()
            while not end.is_set():
                found = await reader.poll(timeout=0.02)
                await asyncio.sleep(0)
                read.update(message.value for message in found)
            await (die(reader) if dies else reader.close())

        members = [asyncio.ensure_future(member(False))]
        loading = asyncio.ensure_future(load())
        for turn in range(6):
            seen = len(read)
            members.append(asyncio.ensure_future(member(dies=turn in (1, 4))))
            await until(lambda seen=seen: len(read) > seen + 50 or loading.done(), "records to be read")
            ends[turn].set()
        await loading
        await until(lambda: len(read) == count, "every record to be read")
        for end in ends:
            end.set()
        await asyncio.gather(*members)
        assert set(read) == {b"%d" % n for n in range(count)}

    run(work())


def test_an_expelled_member_comes_back_by_itself(broker: GofkaDouble) -> None:
    """GOF-28: after more silence than its session allows; with its id, and its partitions."""

    async def work() -> None:
        async with consumer(broker, sorted(TOPICS)) as member:
            (name,) = broker.members("g")
            joins = broker.requests["JoinGroup"]
            broker.advance(100)
            await until(lambda: broker.requests["JoinGroup"] > joins and name in broker.members("g"), "it to join")
            await until(lambda: shared([member]), "its partitions")
            broker.produce("a", b"x")
            assert await anext(member) == b"x"

    run(work())


def test_heartbeats_go_on_under_a_busy_program(broker: GofkaDouble) -> None:
    """GOF-28: one that always finds a record in memory, and never waits for anything else."""
    broker.produce("b", *[b"x"] * 4000)

    async def work() -> None:
        async with consumer(broker, "b", max_poll_records=1000) as member:
            await until(lambda: broker.requests["Fetch"] > 3990, "the records to be fetched")
            before = broker.requests["Heartbeat"]
            for _ in range(3900):
                await anext(member)
                if broker.requests["Heartbeat"] > before + 3:
                    break
                busy()
            else:
                pytest.fail("no heartbeat while there were records")

    run(work())


def test_a_group_at_rest_is_not_described(broker: GofkaDouble) -> None:
    """GOF-27: DescribeGroups can crash the broker: once per change of generation, never in a loop."""

    async def work() -> None:
        async with consumer(broker, "a") as first, consumer(broker, "a") as second:
            await until(lambda: shared([first, second], a=5), "the partitions to be shared")
            described, beats = broker.requests["DescribeGroups"], broker.requests["Heartbeat"]
            await until(lambda: broker.requests["Heartbeat"] > beats + 20, "heartbeats")
            assert broker.requests["DescribeGroups"] == described
            broker.cut()  # a connection that is lost changes no membership
            await until(lambda: broker.requests["Heartbeat"] > beats + 40, "heartbeats")
            assert broker.requests["DescribeGroups"] == described

    run(work())


def test_a_topic_that_grows_is_noticed(broker: GofkaDouble) -> None:
    """GOF-27: although no generation tells; and one that vanishes is an error, until it is there again."""

    async def work() -> None:
        async with consumer(broker, "a") as first, consumer(broker, "a") as second:
            await until(lambda: shared([first, second], a=5), "the partitions to be shared")
            broker.create_topic("a", 9)
            await until(lambda: shared([first, second], a=9), "the new partitions to be shared")
            broker.restart(poison=False)
            with pytest.raises(MetadataError):
                await missed(first)
            broker.create_topic("a", 2)
            broker.produce("a", b"x")
            await until(lambda: shared([first, second], a=2), "what there is now to be shared")

    run(work())


def test_a_second_reader_goes_on_where_the_first_was(broker: GofkaDouble) -> None:
    """GOF-5, GOF-30: what was committed before a change is not read again, and each topic has its own offset."""
    broker.produce("a", *[b"a%d" % n for n in range(10)])
    broker.produce("b", *[b"b%d" % n for n in range(10)])

    async def work() -> None:
        async with consumer(broker, sorted(TOPICS), max_poll_records=3) as first:
            found = [await anext(first) for _ in range(7)]
        offsets = {topic: broker.committed("g", topic) for topic in TOPICS}
        assert sum(max(offset, 0) for offset in offsets.values()) == 7
        async with consumer(broker, sorted(TOPICS)) as second:
            found += [await anext(second) for _ in range(13)]
        assert sorted(found) == sorted(b"%s%d" % (topic, n) for topic in (b"a", b"b") for n in range(10))

    run(work())


@pytest.mark.parametrize(("reset", "auto_commit"), [("earliest", True), ("latest", True), ("latest", False)])
def test_another_broker_takes_the_group_over(broker: GofkaDouble, reset: str, auto_commit: bool) -> None:
    """GOF-19, GOF-27: it has neither group nor offsets; nothing is lost by that, and nothing read again."""
    with GofkaDouble(clock=CLOCK, cluster=broker) as other:
        other.create_topic("b", 3)

        async def work() -> None:
            brokers = f"{broker.address},{other.address}"
            options: dict[str, Any] = {"session_timeout": SESSION_MS, "auto_offset_reset": reset}
            async with AsyncConsumer(brokers, "g", "b", auto_commit=auto_commit, **options) as one:
                broker.produce("b", *[b"%d" % n for n in range(10)])
                found = [await anext(one) for _ in range(4)]
                await one.commit()
                broker.stop()
                await until(lambda: len(other.members("g")) == 1, "the group to be there")
                other.produce("b", b"10")
                while len(found) < 11:
                    try:
                        found.append(await anext(one))
                    except GofkaError:
                        continue
                assert found == [b"%d" % n for n in range(11)]
            assert other.committed("g", "b") == (11 if auto_commit else -1)

        run(work())


def test_who_has_a_partition_next_finds_its_offset(broker: GofkaDouble) -> None:
    """GOF-19, GOF-30: also where the group has come to another broker, which had none."""
    with GofkaDouble(clock=CLOCK, cluster=broker) as other:
        other.create_topic("b", 3)

        async def work() -> None:
            options: dict[str, Any] = {"session_timeout": SESSION_MS, "auto_offset_reset": "latest"}
            first = AsyncConsumer(f"{broker.address},{other.address}", "g", "b", **options)
            await first.subscribe()
            broker.produce("b", b"0", b"1")
            assert [await anext(first) for _ in range(2)] == [b"0", b"1"]
            assert await first.poll(1, 0) == []
            await until(lambda: broker.committed("g", "b") == 2, "the commit")
            broker.stop()
            await until(lambda: len(other.members("g")) == 1, "the group to be there")
            await first.close()
            other.produce("b", b"2")
            async with AsyncConsumer(other.address, "g", "b", **options) as second:
                assert await anext(second) == b"2"

        run(work())
