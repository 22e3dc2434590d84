"""Records out of a Gofka broker (its double): what is read, what is committed, and what a failure does to it."""

from __future__ import annotations

import asyncio
import copy
import pickle
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

from superclient.gofka import keeping, reading
from superclient.gofka.consumer import AsyncConsumer
from superclient.gofka.envelope import Record, encode
from superclient.gofka.errors import ConnectionError, ConsumeError, GofkaError, MetadataError, OffsetError  # noqa: A004
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.message import Message, Value
from superclient.gofka.partitioning import by_key
from superclient.gofka.producer import AsyncProducer
from tests.servers import wait_for
from tests.servers.gofka import GofkaDouble

TOPIC = "orders"
IMPATIENT = RetryPolicy(max_retries=0)


@pytest.fixture
def broker() -> Iterator[GofkaDouble]:
    with GofkaDouble() as double:
        double.create_topic(TOPIC)
        yield double
        wait_for(lambda: not double.connections_open, "the connections to be closed")
        assert not double.crashed
        assert not double.strays


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses after a failure are for production."""
    monkeypatch.setattr(reading, "_AGAIN", 0.02)
    monkeypatch.setattr(keeping, "_PAUSES", (0.01, 0.05))
    monkeypatch.setattr(keeping, "_BEAT", (0.02, 0.05))


def run(work: Coroutine[Any, Any, None]) -> None:
    """In a loop of its own, which is the test's last task at its end, and whose mistakes are the test's."""
    mistakes: list[dict[str, Any]] = []

    async def alone() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))
        await work
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(alone())
    assert not mistakes


def consumer(broker: GofkaDouble, topics: str | list[str] = TOPIC, group: str = "g", **options: Any) -> AsyncConsumer:
    return AsyncConsumer(broker.address, group, topics, **{"retry_policy": IMPATIENT, **options})


def batch(*values: bytes, producer: int = 7, sequence: int = 0) -> bytes:
    return encode([Record(value, 1.0) for value in values], codec=None, producer_id=producer, sequence=sequence)


async def until(condition: Callable[[], bool], what: str) -> None:
    """`wait_for` in a loop that must go on meanwhile."""
    await asyncio.to_thread(wait_for, condition, what)


async def records(member: AsyncConsumer, count: int, failures: list[Exception] | None = None) -> list[Message]:
    """That many; whatever is raised meanwhile is noted, and asked again."""
    found: list[Message] = []
    while len(found) < count:
        try:
            found += await member.poll(count - len(found), None)
        except GofkaError as error:
            if failures is None:
                raise
            failures.append(error)
    return found


async def values(member: AsyncConsumer, count: int, failures: list[Exception] | None = None) -> list[bytes]:
    return [message.value for message in await records(member, count, failures)]


# --- reading ---------------------------------------------------------------------------------------------------------


def test_values_in_order_and_then_a_wait(broker: GofkaDouble) -> None:
    """GOF-4, GOF-39: `async for` yields bytes, waits at the end, and goes on with what comes."""
    broker.produce(TOPIC, b"a", b"b")

    async def work() -> None:
        async with consumer(broker) as member:
            assert broker.members("g") != {}
            first = await anext(member)
            assert isinstance(first, Value)
            assert (first, first.message.offset, first.message.timestamp) == (b"a", 0, None)
            assert await anext(member) == b"b"
            waiting = asyncio.ensure_future(anext(member))
            fetched = broker.requests["Fetch"]
            await until(lambda: broker.requests["Fetch"] > fetched + 2, "the end to be looked at")
            assert not waiting.done()
            broker.produce(TOPIC, b"c")
            assert await waiting == b"c"

    run(work())


def test_what_the_producer_said_is_read(broker: GofkaDouble) -> None:
    """GOF-2, GOF-16, GOF-18, GOF-38: key, its partition, headers, timestamp, and the place in the batch."""
    broker.create_topic("keyed", 5)

    async def work() -> None:
        before = time.time()
        async with AsyncProducer(broker.address) as producer:
            sent = await asyncio.gather(
                *(producer.send("keyed", b"v%d" % n, key=b"k%d" % n, headers={"n": str(n)}) for n in range(20))
            )
        async with consumer(broker, "keyed") as member:
            found = await records(member, 20)
        assert [m.value for m in found] == [b"v%d" % n for n in range(20)]
        assert [(m.offset, m.offset.index) for m in found] == [(at, at.index) for at in sent]
        assert [m.partition for m in found] == [by_key("keyed", b"k%d" % n, 5) for n in range(20)]
        assert [(m.key, m.headers) for m in found] == [(b"k%d" % n, (("n", b"%d" % n),)) for n in range(20)]
        assert all(before - 1 < (m.timestamp or 0) < time.time() + 1 for m in found)

    run(work())


def test_poll_takes_at_most_so_many(broker: GofkaDouble) -> None:
    """GOF-7: of what there is, across the batches."""
    broker.produce(TOPIC, *(batch(*[b"%d" % n] * 7, sequence=7 * n) for n in range(4)))

    async def work() -> None:
        async with consumer(broker, max_poll_records=12) as member:
            found: list[bytes] = []
            while len(found) < 28:
                part = await member.poll(max_messages=10)
                assert 0 < len(part) <= 10
                found += [message.value for message in part]
            assert found == [b"%d" % n for n in range(4) for _ in range(7)]
            with pytest.raises(ValueError, match="above 0"):
                await member.poll(0)

    run(work())


def test_poll_returns_in_time_whatever_the_broker_does(broker: GofkaDouble) -> None:
    """GOF-8: at the end of a log, before anything is known of the group, and while the broker says nothing."""

    async def work() -> None:
        member = consumer(broker)
        broker.pause()
        assert await member.poll(timeout=0.05) == []  # it returned although nothing was ever answered
        assert await member.poll(timeout=0) == []
        broker.resume()
        assert await member.poll(timeout=0.05) == []
        broker.pause()
        assert await member.poll(timeout=0.05) == []
        broker.resume()
        await member.close()
        assert await member.poll() == []
        with pytest.raises(StopAsyncIteration):
            await anext(member)

    run(work())


def test_polls_that_do_not_wait_find_something_all_the_same(broker: GofkaDouble) -> None:
    """GOF-8: with a time-out of nothing the consumer gets its steps of the loop between them."""
    broker.produce(TOPIC, b"a", b"b")

    async def work() -> None:
        member, found = consumer(broker), []
        deadline = time.monotonic() + 20
        while len(found) < 2 and time.monotonic() < deadline:
            found += [message.value for message in await member.poll(timeout=0)]
        assert found == [b"a", b"b"]
        await member.close()

    run(work())


def test_partitions_take_turns_and_memory_is_bounded(broker: GofkaDouble) -> None:
    """GOF-4: several topics; one that never ends does not keep the others from being read, nor is it read at once."""
    broker.create_topic("many")
    broker.produce("many", *[b"m"] * 1000)
    broker.produce(TOPIC, b"rare")

    async def work() -> None:
        async with consumer(broker, ["many", TOPIC], max_poll_records=10) as member:
            found = await values(member, 30)
            assert b"rare" in found
            beats = broker.requests["Heartbeat"]
            await until(lambda: broker.requests["Heartbeat"] > beats + 10, "time to pass")
            assert broker.requests["Fetch"] < 500  # 40 ahead of the reader, a round of requests, looks at the ends
            assert len(await values(member, 971)) == 971

    run(work())


def test_copies_are_left_out_and_counted(broker: GofkaDouble) -> None:
    """GOF-2: what a producer sent twice, not knowing that it was stored, is read once, also by the next owner."""
    broker.produce(TOPIC, batch(b"a", b"b"), batch(b"c", b"c", sequence=2), batch(b"a", b"b"))

    async def work() -> None:
        async with consumer(broker) as member:
            assert await values(member, 4) == [b"a", b"b", b"c", b"c"]
            broker.produce(TOPIC, batch(b"c", b"c", sequence=2), b"d", b"d")
            assert await values(member, 2) == [b"d", b"d"]  # without an envelope nobody can tell
            assert member.duplicates == 4
        assert member.duplicates == 4
        broker.produce(TOPIC, batch(b"c", b"c", sequence=2), b"e")
        async with consumer(broker) as successor:
            assert await values(successor, 1) == [b"e"]
            assert successor.duplicates == 2

    run(work())


# --- offsets ---------------------------------------------------------------------------------------------------------


def test_a_record_is_committed_when_the_next_is_asked_for(broker: GofkaDouble) -> None:
    """GOF-5: not before, and on close; what its reader failed at is read again."""
    broker.produce(TOPIC, b"a", b"b", b"c")

    async def failing() -> None:
        async with consumer(broker) as member:
            assert await anext(member) == b"e"
            raise ZeroDivisionError

    async def work() -> None:
        async with consumer(broker) as member:
            assert await anext(member) == b"a"
            (second,) = await member.poll(1)
            await member.commit(Value(second))
            assert broker.committed("g", TOPIC) == 2
            assert await anext(member) == b"c"
            assert broker.committed("g", TOPIC) == 2
            asking = asyncio.ensure_future(anext(member))
            await until(lambda: broker.committed("g", TOPIC) == 3, "the commit of the one before")
            asking.cancel()
            await asyncio.wait({asking})
            broker.produce(TOPIC, b"d")
            assert await anext(member) == b"d"
        assert broker.committed("g", TOPIC) == 4
        broker.produce(TOPIC, b"e")
        with pytest.raises(ZeroDivisionError):
            await failing()
        assert broker.committed("g", TOPIC) == 4

    run(work())


def test_commit_is_of_what_is_told(broker: GofkaDouble) -> None:
    """GOF-6: behind one record, or behind all that were handed out; nothing by itself without auto_commit."""
    broker.produce(TOPIC, *[b"%d" % n for n in range(9)])

    async def work() -> None:
        async with consumer(broker, auto_commit=False) as member:
            first = await records(member, 3)
            await member.commit(first[1])
            assert broker.committed("g", TOPIC) == 2
            await records(member, 4)
            await member.commit()
            assert broker.committed("g", TOPIC) == 7
            await records(member, 2)
            await member.poll(2, 0)
        assert broker.committed("g", TOPIC) == 7
        with pytest.raises(ConsumeError, match="closed"):
            await member.commit()
        with pytest.raises(ConsumeError, match="not subscribed"):
            await consumer(broker).commit()

    run(work())


def test_subscribing_again_changes_nothing(broker: GofkaDouble) -> None:
    """GOF-3, GOF-4: in a `with` block, after a poll, at the same time: it waits for what there is, and joins once."""
    broker.produce(TOPIC, b"a", b"b")

    async def work() -> None:
        async with consumer(broker) as member:
            await member.subscribe()
            await asyncio.gather(member.subscribe(TOPIC), member.subscribe([TOPIC]))
            assert await anext(member) == b"a"
        async with consumer(broker, ()) as member:
            await asyncio.gather(member.subscribe(TOPIC), member.subscribe())
            await member.poll(1, 0)
            await member.subscribe()
            assert member.assignment == [(TOPIC, 0)]
        assert broker.requests["JoinGroup"] == 2

    run(work())


def test_a_message_that_is_made_by_hand(broker: GofkaDouble) -> None:
    """GOF-6: its offset may be any int; what is no offset, or of no topic of ours, is an OffsetError, and not sent."""
    broker.produce(TOPIC, b"a", b"b", b"c")

    def made(offset: int, topic: str = TOPIC, partition: int = 0) -> Message:
        return Message(topic, partition, offset, None, b"")  # type: ignore[arg-type]

    async def work() -> None:
        async with consumer(broker, auto_commit=False) as member:
            await records(member, 3)
            await member.commit(made(1))
            assert broker.committed("g", TOPIC) == 2
            await member.commit(made(4, partition=1))
            assert broker.committed("g", TOPIC, 1) == 5
            before = broker.requests["OffsetCommit"]
            for wrong in (made(-2), made(2**63 - 1), made(2**70), made(0, "../other"), made(0, "billing")):
                with pytest.raises(OffsetError):
                    await member.commit(wrong)
            assert broker.requests["OffsetCommit"] == before
            await member.commit(made(2**63 - 2))
        async with consumer(broker) as member:  # past the end: as if there was none
            assert await anext(member) == b"a"

    run(work())


def test_a_value_goes_to_another_process(broker: GofkaDouble) -> None:
    """GOF-4: pickled or copied like any bytes, with its message."""
    broker.produce(TOPIC, batch(b"a", b"b"))

    async def work() -> None:
        async with consumer(broker) as member:
            await anext(member)
            value = await anext(member)
        for other in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
            assert type(other) is Value
            assert other == value == b"b"
            assert other.message == value.message
            assert (other.message.offset.index, other.message.offset.count) == (1, 2)

    run(work())


def test_the_middle_of_a_batch_commits_the_batch(broker: GofkaDouble) -> None:
    """GOF-2, GOF-6: so that its first records come again after a crash, and none is dropped by no one."""
    broker.produce(TOPIC, b"raw", batch(b"a", b"b", b"c"), b"last")

    async def work() -> None:
        async with consumer(broker, auto_commit=False) as member:
            found = await records(member, 3)
            assert [m.value for m in found] == [b"raw", b"a", b"b"]
            await member.commit(found[-1])
            assert broker.committed("g", TOPIC) == 1
            await member.commit()
            assert broker.committed("g", TOPIC) == 1
        async with consumer(broker) as member:
            assert await values(member, 4) == [b"a", b"b", b"c", b"last"]
        assert broker.committed("g", TOPIC) == 3

    run(work())


@pytest.mark.parametrize(
    ("reset", "committed", "expected"),
    [
        ("earliest", None, b"0"),
        ("latest", None, b"new"),
        ("latest", 0, b"0"),
        ("latest", 2, b"2"),
        ("earliest", 3, b"new"),
        ("earliest", 99, b"0"),
        ("latest", 99, b"new"),
        ("earliest", -5, b"0"),
    ],
)
def test_where_reading_begins(broker: GofkaDouble, reset: str, committed: int | None, expected: bytes) -> None:
    """GOF-9: a committed 0 is a commit; one past the end is none. The end that the broker tells is wrong here."""
    broker.produce(TOPIC, b"0", b"1", b"2")
    broker.hint(TOPIC, 0, 1)
    if committed is not None:
        broker.commit("g", TOPIC, committed)

    async def work() -> None:
        async with consumer(broker, auto_offset_reset=reset) as member:
            broker.produce(TOPIC, b"new")
            assert await anext(member) == expected

    run(work())


def test_latest_holds_although_nothing_was_read(broker: GofkaDouble) -> None:
    """GOF-9: where it began is committed, so that what comes while nobody reads is read."""

    async def work() -> None:
        async with consumer(broker, auto_offset_reset="latest"):
            await until(lambda: broker.committed("g", TOPIC) == 0, "the beginning to be committed")
        broker.produce(TOPIC, b"meanwhile")
        async with consumer(broker, auto_offset_reset="latest") as member:
            assert await anext(member) == b"meanwhile"

    run(work())


def test_what_another_member_has_done_meanwhile_is_not_done_again(broker: GofkaDouble) -> None:
    """GOF-30: whoever gets a partition back goes on where the group is, not with what it had fetched before."""
    broker.produce(TOPIC, *[b"%d" % n for n in range(10)])

    async def work() -> None:
        async with consumer(broker, auto_commit=False) as member:
            assert await anext(member) == b"0"
            joins = broker.requests["JoinGroup"]
            broker.commit("g", TOPIC, 5)
            broker.advance(100)  # expelled, as it was when the other one had it
            await until(lambda: broker.requests["JoinGroup"] > joins, "it to join again")
            beats = broker.requests["Heartbeat"]
            await until(lambda: broker.requests["Heartbeat"] > beats + 3, "it to be at rest")
            assert await values(member, 5) == [b"%d" % n for n in range(5, 10)]

    run(work())


def test_nothing_is_handed_out_while_the_group_shares(broker: GofkaDouble) -> None:
    """GOF-27: what is in memory may be another's by then."""
    broker.produce(TOPIC, *[b"%d" % n for n in range(10)])

    async def work() -> None:
        async with consumer(broker, auto_commit=False) as member:
            assert await anext(member) == b"0"
            described = broker.requests["DescribeGroups"]
            broker.swallow_reply(api="DescribeGroups")
            broker.advance(100)
            await until(lambda: broker.requests["DescribeGroups"] > described, "it to ask who is in the group")
            assert await member.poll(timeout=0.05) == []
            broker.cut()
            assert await values(member, 9, []) == [b"%d" % n for n in range(1, 10)]

    run(work())


def test_a_commit_that_the_broker_refuses_is_an_error(broker: GofkaDouble) -> None:
    """GOF-33: OffsetError, without the paths of its files; the next one goes on."""
    broker.produce(TOPIC, b"a")

    async def work() -> None:
        async with consumer(broker, auto_commit=False) as member:
            (message,) = await member.poll(1, None)
            broker.refuse("mkdir /var/secret: no space", api="OffsetCommit")
            with pytest.raises(OffsetError, match="was not committed") as raised:
                await member.commit(message)
            assert "secret" not in str(raised.value)
            await member.commit(message)
        assert broker.committed("g", TOPIC) == 1

    run(work())


# --- what cannot be meant, what cannot be read -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"topics": "a/b"},
        {"topics": "t-1"},
        {"group": "previous_assignments"},
        {"auto_offset_reset": "none"},
        {"assignment_strategy": "sticky"},
        {"session_timeout": 0},
        {"session_timeout": 2**31},
        {"max_poll_records": 0},
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any]) -> None:
    """GOF-33: at once, and before anything is connected."""
    arguments: dict[str, Any] = {"brokers": "127.0.0.1:1", "group_id": wrong.pop("group", "g"), "topics": "t", **wrong}
    with pytest.raises(ValueError, match=r"name|is one of|is \"|whole number"):
        AsyncConsumer(**arguments)


def test_an_unknown_topic_is_an_error_and_joins_nothing(broker: GofkaDouble) -> None:
    """GOF-25: MetadataError; it may be asked again once the topic is there."""

    async def work() -> None:
        member = consumer(broker, "nowhere")
        with pytest.raises(MetadataError, match="nowhere"):
            await member.subscribe()
        assert broker.requests["JoinGroup"] == 0
        with pytest.raises(MetadataError):
            await anext(member)
        broker.create_topic("nowhere")
        broker.produce("nowhere", b"here")
        assert await values(member, 1, []) == [b"here"]
        with pytest.raises(ValueError, match="is subscribed"):
            await member.subscribe(TOPIC)
        await member.close()
        with pytest.raises(ConsumeError, match="closed"):
            await member.subscribe()

    run(work())


def test_a_poisoned_topic_is_an_error_not_a_wait(broker: GofkaDouble) -> None:
    """GOF-33: told, without paths, while the other topics go on."""
    broker.create_topic("good")
    broker.poison(TOPIC)

    async def work() -> None:
        async with consumer(broker, ["good", TOPIC]) as member:
            with pytest.raises(ConsumeError, match=f"{TOPIC}-0 cannot be read"):
                await member.poll(timeout=None)
            generation = broker.generation("g")
            broker.produce("good", b"x")
            assert await values(member, 1, []) == [b"x"]
            with pytest.raises(ConsumeError):
                await member.poll(timeout=None)
            assert broker.generation("g") == generation

    run(work())


def test_a_broker_that_is_not_there(broker: GofkaDouble) -> None:
    """GOF-33: ConnectionError, and asking again goes on once it is."""
    broker.stop()

    async def work() -> None:
        member = consumer(broker)
        with pytest.raises(ConnectionError):
            await member.subscribe()
        with pytest.raises(ConnectionError):
            await member.poll(timeout=None)
        broker.start()
        broker.produce(TOPIC, b"x")
        assert await values(member, 1, []) == [b"x"]
        await member.close()

    run(work())


# --- what breaks in between ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["half", "none", "wrong", "cut", "restart", "silent"])
def test_a_connection_that_fails_is_told_and_replaced(broker: GofkaDouble, kind: str) -> None:
    """GOF-33: a specific error, the connection discarded, and asking again goes on where it was, in order."""
    broker.produce(TOPIC, *[b"%d" % n for n in range(30)])

    async def work() -> None:
        failures: list[Exception] = []
        async with consumer(broker, max_poll_records=5, timeout=0.3 if kind == "silent" else 30) as member:
            found = await values(member, 10)
            asking = asyncio.ensure_future(values(member, 40, failures))
            if kind in ("half", "none"):
                broker.close_after(3, reply=kind, api="Fetch")
            elif kind == "wrong":
                broker.answer_wrong_correlation(3, api="Fetch")
            elif kind == "silent":
                broker.swallow_reply(3, api="Fetch")
            elif kind == "restart":
                broker.restart(keep_messages=True, poison=False, keep_groups=True)
            else:
                broker.cut()
            await until(lambda: bool(failures), "the error")
            broker.produce(TOPIC, *[b"%d" % n for n in range(30, 50)])
            found += await asking
        assert list(dict.fromkeys(found)) == [b"%d" % n for n in range(50)]
        assert all(isinstance(error, ConnectionError) for error in failures)

    run(work())


@pytest.mark.parametrize(
    "api", ["Heartbeat", "OffsetCommit", "JoinGroup", "SyncGroup", "DescribeGroups", "OffsetFetch", "Metadata"]
)
@pytest.mark.parametrize("kind", ["half", "unhandled", "wrong"])
def test_a_reply_that_never_comes(broker: GofkaDouble, api: str, kind: str) -> None:
    """GOF-33: whichever it is, the error is of the tree, and everything is read in order behind it."""
    broker.produce(TOPIC, *[b"%d" % n for n in range(30)])

    async def work() -> None:
        failures: list[Exception] = []
        if kind == "wrong":
            broker.answer_wrong_correlation(api=api)
        else:
            broker.close_after(reply=kind, api=api)
        member = consumer(broker)
        found = await values(member, 15, failures)
        found += await values(member, 15, failures)
        while not failures:  # a heartbeat, or the commit of the last ones
            try:
                await member.poll(1, 0.05)
            except GofkaError as error:
                failures.append(error)
        await member.close()
        assert list(dict.fromkeys(found)) == [b"%d" % n for n in range(30)]
        assert all(isinstance(error, ConnectionError) for error in failures)
        assert broker.members("g") == {}

    run(work())


def test_a_log_that_begins_again_is_read_from_its_beginning(broker: GofkaDouble) -> None:
    """GOF-9: after a restart that lost the messages, not when as many have come as were read before."""
    broker.produce(TOPIC, *[b"old"] * 20)

    async def work() -> None:
        async with consumer(broker) as member:
            assert await values(member, 20) == [b"old"] * 20
            broker.restart(poison=False)
            failures: list[Exception] = []
            asking = asyncio.ensure_future(values(member, 5, failures))
            await until(lambda: bool(failures), "the restart to be noticed")
            broker.create_topic(TOPIC)
            broker.produce(TOPIC, *[b"new"] * 5)
            assert await asking == [b"new"] * 5
        assert broker.committed("g", TOPIC) == 5

    run(work())


def test_the_old_framing_is_refused(broker: GofkaDouble) -> None:
    """GOF-33: by an error that says so."""
    broker.options.old_framing = True

    async def work() -> None:
        with pytest.raises(ConnectionError, match="before 2026"):
            await consumer(broker).subscribe()

    run(work())


# --- cancellation ----------------------------------------------------------------------------------------------------


async def cancelled_after(steps: int, work: Awaitable[Any]) -> bool:
    """Cancel it so many steps of the loop later; whether it had ended by then."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0 if steps % 2 else 0.0002)
    ended = task.done()
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        assert isinstance(error, GofkaError)
    return ended


def test_subscribe_cancelled_at_every_step(broker: GofkaDouble) -> None:
    """GOF-3: it leaves the group and no connection behind, and may be tried again."""

    async def work() -> None:
        for steps in range(60):
            member = consumer(broker)
            if await cancelled_after(steps, member.subscribe()):
                break
            assert asyncio.all_tasks() == {asyncio.current_task()}
        await member.close()
        await until(lambda: not broker.members("g"), "the group to be left")
        await member.close()

    run(work())


def test_polls_cancelled_at_every_step_lose_nothing(broker: GofkaDouble) -> None:
    """GOF-4: neither `async for` nor `poll`, whatever they wait for."""
    count = 40
    broker.produce(TOPIC, *[batch(b"%d" % n, b"%d!" % n, sequence=2 * n) for n in range(count)])
    expected = [value for n in range(count) for value in (b"%d" % n, b"%d!" % n)]

    async def work() -> None:
        found: list[bytes] = []
        async with consumer(broker, max_poll_records=3) as member:

            async def one() -> None:
                found.extend([await anext(member)])

            async def some() -> None:
                found.extend([message.value for message in await member.poll()])

            steps = 0
            while len(found) < len(expected):
                await cancelled_after(steps % 8, one() if steps % 3 else some())
                steps += 1
        assert found == expected

    run(work())


def test_close_cancelled_at_every_step(broker: GofkaDouble) -> None:
    """GOF-3: nothing is left behind, and what was not committed is read again."""
    broker.produce(TOPIC, *[b"%d" % n for n in range(200)])

    async def work() -> None:
        found: list[bytes] = []
        for steps in range(1, 30):
            member = consumer(broker, group=f"g{steps}")
            found = await values(member, 2)
            ended = await cancelled_after(steps, member.close())
            assert asyncio.all_tasks() == {asyncio.current_task()}
            await until(lambda: not broker.connections_open, "the connections to be closed")
            assert broker.committed(f"g{steps}", TOPIC) in (-1, 2)
            if ended:
                break
        assert found == [b"0", b"1"]

    run(work())


def test_a_close_ends_whoever_waits(broker: GofkaDouble) -> None:
    """GOF-3: `async for` ends, also where the broker says nothing any more."""

    async def work() -> None:
        async with consumer(broker, timeout=0.2) as member:
            waiting = asyncio.ensure_future(anext(member, None))
            await asyncio.sleep(0)
            broker.pause()
            await member.close()
            assert await waiting is None
            broker.resume()

    run(work())
