"""KafkaListener when something is wrong: one clear error, nothing lost, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from asyncio.sslproto import SSLProtocol
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    NoOffsetForPartitionError,
    TopicAuthorizationFailedError,
)
from confluent_kafka import Consumer, TopicPartition

from superclient.errors import MessagingStoppedError, TopicMissing, Unreachable
from superclient.messaging import KafkaListener
from tests.faults import refused_port, silent_port
from tests.integration.messaging import (
    Consumers,
    Order,
    committed,
    consumer_factory,
    interrupted,
    no_task_left,
    numbers,
    orders,
    produce,
    run,
    take,
    unique,
    until_committed,
    wait_until,
)
from tests.servers import Broker, SecureBroker, wait_for
from tests.servers.fixtures import _running

LOGGER = "superclient.messaging"
EARLY_AND_LATE = pytest.mark.parametrize("late", [False, True], ids=["early", "late"])


class Strict(Broker):
    """Makes no topics by itself, and takes members for dead soon."""

    def properties(self) -> dict[str, str]:
        more = {"auto.create.topics.enable": "false", "group.min.session.timeout.ms": "500"}
        return {**super().properties(), **more}


@pytest.fixture(scope="module")
def strict_kafka(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    yield from _running(Strict(tmp_path_factory.mktemp("strict-kafka"), "strict-kafka"))


# --- brokers that go away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auto_commit", [{"every": 10}, pytest.param(None, marks=pytest.mark.soak)], ids=str)
def test_a_broker_that_crashes_and_comes_back(strict_kafka: Broker, auto_commit: Any) -> None:
    """SDM-32: SIGKILL in the middle; the loop goes on when it is back, and every record comes, in order."""
    topic, group = strict_kafka.create_topic(unique("crash")), unique()

    async def main() -> None:
        factory = consumer_factory(strict_kafka, group)
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit=auto_commit) as listener:
            found = await listener.subscribe(Order, queue_maxsize=20)
            await produce(strict_kafka, topic, range(200))
            got = await take(found, 100)
            strict_kafka.kill()
            got += await take(found, found.qsize())  # what is here is read all the same
            await asyncio.to_thread(strict_kafka.start)
            await produce(strict_kafka, topic, range(200, 300))
            while not got or got[-1].number < 299:
                got += await take(found, 1, timeout=60)
            first_times = list(dict.fromkeys(numbers(got)))
            assert first_times == list(range(300))
        assert await committed(strict_kafka, group, topic) == ({} if auto_commit is None else {0: 300})
        assert factory.unclosed == []

    run(main())


def test_a_broker_that_hangs_for_longer_than_the_session(strict_kafka: Broker) -> None:
    """SDM-32: we are put out of the group, come back, and miss nothing."""
    topic, group = strict_kafka.create_topic(unique("hang"), 2), unique()

    async def main() -> None:
        factory = consumer_factory(strict_kafka, group, session_timeout_ms=1500, request_timeout_ms=2000)
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit={"interval_s": 0.1}) as listener:
            found = await listener.subscribe(Order)
            await produce(strict_kafka, topic, range(100))
            got = await take(found, 50)
            strict_kafka.pause()
            try:
                await asyncio.sleep(3)
            finally:
                strict_kafka.resume()
            await produce(strict_kafka, topic, range(100, 200))
            while set(numbers(got)) != set(range(200)):
                got += await take(found, 1, timeout=60)
            waiting = asyncio.ensure_future(take(found, 1))
            await until_committed(strict_kafka, group, topic, {0: 100, 1: 100})
            waiting.cancel()

    run(main())


def test_stop_while_the_broker_is_away(strict_kafka: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """SDM-15, SDM-32: it does not wait for an answer for ever, and leaves nothing behind."""
    monkeypatch.setattr("superclient.messaging.connection._CLOSING", 0.5)
    topic, group = strict_kafka.create_topic(unique("away")), unique()

    async def main() -> None:
        factory = consumer_factory(strict_kafka, group)
        async with KafkaListener(
            orders(topic), consumer_factory=factory, auto_commit={"every": 1}, handover_timeout=0.5
        ) as listener:
            found = await listener.subscribe(Order)
            await produce(strict_kafka, topic, range(5))
            await take(found, 5)
            strict_kafka.pause()
        assert factory.unclosed == []
        await no_task_left(outer())

    try:
        run(main())
    finally:
        strict_kafka.resume()
    wait_for(lambda: topic in strict_kafka.topics(), "it answers again")


def test_a_consumer_that_dies(kafka: Broker) -> None:
    """SDM-32: a task of aiokafka's has ended, which would leave it deaf: it is replaced; nothing is lost or doubled."""
    topic, group = kafka.create_topic(unique("dies"), 2), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit={"every": 10}) as listener:
            found = await listener.subscribe(Order)
            got: list[Order] = []
            for turn, task in enumerate(("_coordinator._coordination_task", "_fetcher._fetch_task")):
                await produce(kafka, topic, range(100 * turn, 100 * turn + 100))
                got += await take(found, 70)
                part, name = task.split(".")
                getattr(getattr(factory.made[-1], part), name).cancel()
                await wait_until(lambda turn=turn: listener.stats().restarts == turn + 1, "it is replaced")
                got += await take(found, 30)
            await produce(kafka, topic, [200, 201])
            got += await take(found, 2)
            assert sorted(numbers(got)) == list(range(202))
            assert len(factory.made) == 3
        assert factory.unclosed == []
        assert await committed(kafka, group, topic) == {0: 101, 1: 101}

    run(main())


def test_records_that_cannot_be_deserialized(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-3: what the consumer's own deserializer raises is as a parser's: logged, counted, skipped, committed past."""
    topic, group = kafka.create_topic(unique("undecodable")), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group, value_deserializer=int)
        async with KafkaListener(orders(topic), consumer_factory=factory, auto_commit={"every": 1}) as listener:
            found = await listener.subscribe(Order)
            await produce(kafka, topic, [b"1", b"x", b"3", b"y"])
            assert numbers(await take(found, 2)) == [1, 3]
            await wait_until(lambda: listener.stats().parse_errors == 2, "both are counted")
        assert await committed(kafka, group, topic) == {0: 4}

    with caplog.at_level(logging.WARNING, LOGGER):
        run(main())
    said = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert len(said) == 2
    assert f"{topic}-0, offset 1" in said[0]
    assert f"{topic}-0, offset 3" in said[1]


# --- a start that fails ---------------------------------------------------------------------------------------------


async def fails(error: type[BaseException], match: str, factory: Any, topic: str = "t", **more: Any) -> KafkaListener:
    """Every way to start raises this, and leaves nothing."""
    listener = KafkaListener(orders(topic), consumer_factory=factory, **more)
    for attempt in (listener.start, lambda: listener.subscribe(Order), listener.__aenter__):
        with pytest.raises(error, match=match):
            await attempt()
        if isinstance(factory, Consumers):
            assert factory.unclosed == []
    await no_task_left(outer())
    return listener


def test_start_against_nobody() -> None:
    """SDM-35: a refused port says so at once; one that never answers ends with start_timeout."""
    with refused_port() as refused, silent_port() as silent:

        async def main() -> None:
            factory = Consumers({"bootstrap_servers": f"127.0.0.1:{refused}", "group_id": "g"})
            listener = await fails(KafkaConnectionError, str(refused), factory)
            await listener.stop()
            factory = Consumers({"bootstrap_servers": f"127.0.0.1:{silent}", "group_id": "g"})
            with pytest.raises(Unreachable, match=r"0\.2 s"):
                await KafkaListener(orders("t"), consumer_factory=factory, start_timeout=0.2).start()
            assert factory.unclosed == []

        run(main())


def test_a_topic_that_is_not_there(strict_kafka: Broker) -> None:
    """SDM-35: named in the error; the same listener starts once the topic is there."""
    topic = unique("absent")

    async def main() -> None:
        factory = consumer_factory(strict_kafka)
        listener = await fails(TopicMissing, topic, factory, topic, start_timeout=0.5)
        await asyncio.to_thread(strict_kafka.create_topic, topic)
        found = await listener.subscribe(Order)
        await produce(strict_kafka, topic, [1])
        assert numbers(await take(found, 1)) == [1]
        await listener.stop()
        assert factory.unclosed == []

    run(main())


@pytest.mark.parametrize(("reset", "auto_commit"), [("none", None), ("earlist", {})], ids=str)
def test_no_offset_to_start_from(kafka: Broker, reset: str, auto_commit: Any) -> None:
    """SDM-35: `auto_offset_reset` "none" (what aiokafka makes of a typo, too) says so long before its time is over."""
    topic, group = kafka.create_topic(unique("offsets"), 2), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group, auto_offset_reset=reset)
        said = f"{group}.*{topic}-[01].*{reset}"
        listener = await fails(NoOffsetForPartitionError, said, factory, topic, auto_commit=auto_commit)
        await produce(kafka, topic, range(4))
        await asyncio.to_thread(commit, kafka, group, topic, {0: 1, 1: 0})
        found = await listener.subscribe(Order)
        assert sorted(numbers(await take(found, 3))) == [1, 2, 3]
        await listener.stop()
        assert factory.unclosed == []

    run(main(), timeout=50)  # start_timeout is 60


def commit(broker: Broker, group: str, topic: str, offsets: dict[int, int]) -> None:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, "log_level": 0})
    try:
        consumer.commit(offsets=[TopicPartition(topic, *each) for each in offsets.items()], asynchronous=False)
    finally:
        consumer.close()


def test_a_factory_that_fails(kafka: Broker, topic: str) -> None:
    """SDM-35: what it raises comes out; what it returns instead of a new consumer is named."""
    factory = consumer_factory(kafka)

    def raises() -> Any:
        raise ZeroDivisionError("no credentials today")

    async def raises_later() -> Any:
        await asyncio.sleep(0)
        raises()

    async def main() -> None:
        await fails(ZeroDivisionError, "no credentials today", raises)
        await fails(ZeroDivisionError, "no credentials today", raises_later)
        await fails(RuntimeError, "AIOKafkaConsumer.*NoneType", lambda: None)
        await fails(RuntimeError, "AIOKafkaConsumer.*str", lambda: "consumer")
        started = factory()
        await started.start()
        with pytest.raises(RuntimeError, match="new consumer"):
            await KafkaListener(orders(topic), consumer_factory=lambda: started).start()
        assert not started._closed  # the program's own business
        await started.stop()
        await fails(RuntimeError, "new consumer", lambda: started)
        assert factory.unclosed == []

    run(main())


def open_tls() -> list[SSLProtocol]:
    """The running loop's connections with TLS that are not closed to their end."""
    loop, found = asyncio.get_running_loop(), [each for each in gc.get_objects() if type(each) is SSLProtocol]
    return [each for each in found if each._loop is loop and each._transport is not None]


class TestRights:
    """A cluster that asks who one is, and what one may."""

    @pytest.fixture
    def guarded(self, secure_kafka: SecureBroker) -> Iterator[str]:
        topic = secure_kafka.create_topic(unique("guarded"), 2)
        secure_kafka.revoke_all("app")
        yield topic
        secure_kafka.revoke_all("app")

    def factory(self, secure_kafka: SecureBroker, group: str, **more: Any) -> Consumers:
        settings = secure_kafka.client_config("aiokafka", **more)
        return consumer_factory(secure_kafka, group, **settings)

    def test_a_wrong_password(self, secure_kafka: SecureBroker, guarded: str) -> None:
        """SDM-35: an error without the password in it."""

        async def main() -> None:
            factory = self.factory(secure_kafka, "g", password="wrong-one")
            listener = KafkaListener(orders(guarded), consumer_factory=factory)
            with pytest.raises(KafkaError) as raised:
                await listener.start()
            assert "wrong-one" not in repr(raised.value)
            assert factory.unclosed == []
            # The broker keeps who has failed waiting before it hangs up, which aiokafka does not wait for.
            await wait_until(lambda: not open_tls(), "both have hung up")

        run(main())

    def test_no_right_to_group_or_topic(self, secure_kafka: SecureBroker, guarded: str) -> None:
        """SDM-35: the error names what is missing; the same listener starts once the rights are given."""

        async def main() -> None:
            group = unique()
            factory = self.factory(secure_kafka, group)
            await asyncio.to_thread(secure_kafka.grant, "app", guarded, ["DESCRIBE", "READ"])
            listener = await fails(GroupAuthorizationFailedError, group, factory, guarded)
            await asyncio.to_thread(secure_kafka.revoke_all, "app")
            await asyncio.to_thread(secure_kafka.grant, "app", group, ["READ"], group=True)
            await fails(TopicAuthorizationFailedError, guarded, factory, guarded)
            await asyncio.to_thread(secure_kafka.grant, "app", guarded, ["DESCRIBE", "READ"])
            found = await listener.subscribe(Order)
            await produce(secure_kafka, guarded, [1])
            assert numbers(await take(found, 1)) == [1]
            await listener.stop()

        run(main())

    @pytest.mark.parametrize("withdrawn", ["group", "topic"])
    def test_rights_that_are_withdrawn_for_a_while(
        self, secure_kafka: SecureBroker, guarded: str, withdrawn: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """SDM-32: logged and counted, in few lines; once they are given back it goes on, and nothing is lost."""

        async def main() -> None:
            group = unique()
            topic_rights = ("app", guarded, ["DESCRIBE", "READ"])

            def grant(what: str) -> None:
                if what == "topic":
                    secure_kafka.grant(*topic_rights)
                else:
                    secure_kafka.grant("app", group, ["READ"], group=True)

            def leave_only(what: str) -> None:
                secure_kafka.revoke_all("app")
                grant(what)

            await asyncio.to_thread(leave_only, "group")
            await asyncio.to_thread(grant, "topic")
            factory = self.factory(secure_kafka, group)
            async with KafkaListener(orders(guarded), consumer_factory=factory, auto_commit={"every": 5}) as listener:
                found = await listener.subscribe(Order)
                await produce(secure_kafka, guarded, range(20))
                got = await take(found, 20)
                await asyncio.to_thread(leave_only, "topic" if withdrawn == "group" else "group")
                await produce(secure_kafka, guarded, range(20, 40))
                await wait_until(lambda: listener.stats().read_errors, "it is noticed")
                await asyncio.to_thread(grant, withdrawn)
                while set(numbers(got)) != set(range(40)):
                    got += await take(found, 1, timeout=60)
            assert factory.unclosed == []

        with caplog.at_level(logging.WARNING, LOGGER):
            run(main())
        said = [record.getMessage() for record in caplog.records if record.name == LOGGER]
        assert any("AuthorizationFailed" in line for line in said)
        assert len(said) < 50


# --- cancellation ---------------------------------------------------------------------------------------------------


@EARLY_AND_LATE
@pytest.mark.parametrize("way", ["start", "subscribe"])
def test_a_start_that_is_cancelled_at_any_step(kafka: Broker, topic: str, way: str, late: bool) -> None:
    """SDM-35: at the n-th wait, for every n until it is through; nothing is left, and it can be started again."""

    async def main() -> int:
        step, reached = 0, True
        while reached:
            step += 1
            factory = consumer_factory(kafka)
            listener = KafkaListener(orders(topic), consumer_factory=factory)
            work = listener.start() if way == "start" else listener.subscribe(Order)
            task, reached = await interrupted(work, step, late=late)  # type: ignore[arg-type]
            if task.cancelled():
                assert factory.unclosed == []
                await no_task_left(outer())
                await listener.start()
            await listener.stop()
            assert factory.unclosed == []
        assert not task.cancelled()
        return step

    assert run(main()) > 1


def outer() -> set[asyncio.Task[Any]]:
    """The task of `run`."""
    return {task for task in asyncio.all_tasks() if "whole" in repr(task.get_coro())}


@EARLY_AND_LATE
def test_a_start_whose_loop_is_cancelled_at_any_turn(kafka: Broker, topic: str, late: bool) -> None:
    """SDM-35: cancelled after so many turns of the loop, in the middle of what aiokafka does."""

    async def main() -> None:
        turns = 0
        while True:
            factory = consumer_factory(kafka)
            listener = KafkaListener(orders(topic), consumer_factory=factory)
            starting = asyncio.ensure_future(listener.start())
            for _ in range(turns):
                await asyncio.sleep(0.0005 if late else 0)
            if starting.done():
                await listener.stop()
                return
            starting.cancel()
            await asyncio.wait({starting})
            assert starting.cancelled()
            assert factory.unclosed == []
            await no_task_left(outer())
            turns = turns + 1 if turns < 8 else turns * 4 // 3

    run(main())


@EARLY_AND_LATE
def test_a_stop_that_is_cancelled_at_any_step(kafka: Broker, late: bool) -> None:
    """SDM-15, SDM-35: it stops none the less, at once; nothing is left, and nothing is committed that was not read."""
    topic = kafka.create_topic(unique("stopped"))

    async def main() -> None:
        await produce(kafka, topic, range(10))
        step, reached = 0, True
        while reached:
            step += 1
            factory = consumer_factory(kafka)
            listener = KafkaListener(orders(topic), consumer_factory=factory, auto_commit={}, handover_timeout=5)
            found = await listener.subscribe(Order)
            assert numbers(await take(found, 3)) == [0, 1, 2]
            task, reached = await interrupted(listener.stop(), step, late=late)
            assert task.cancelled() or task.result() is None
            assert factory.unclosed == []
            await no_task_left(outer())
            await listener.stop()
            with pytest.raises(MessagingStoppedError):
                await listener.subscribe(Order)
            assert (await committed(kafka, factory.settings["group_id"], topic))[0] <= 3

    run(main())


@EARLY_AND_LATE
def test_a_program_that_is_cancelled_at_any_step(kafka: Broker, late: bool) -> None:
    """SDM-9, SDM-35: `async with` and `async for` in one task: nothing is left, nothing unread is committed."""
    topic = kafka.create_topic(unique("program"))

    async def program(factory: Consumers, got: list[int]) -> None:
        async with (
            KafkaListener(orders(topic), consumer_factory=factory, auto_commit={"every": 1}) as listener,
            await listener.subscribe(Order, queue_maxsize=2) as stream,
        ):
            async for one in stream:
                got.append(one.number)
                await asyncio.sleep(0)
                if len(got) == 5:
                    break

    async def main() -> None:
        await produce(kafka, topic, range(10))
        step, reached = 0, True
        while reached:
            step += 1
            got: list[int] = []
            factory = consumer_factory(kafka)
            task, reached = await interrupted(program(factory, got), step, late=late)
            assert task.cancelled() or task.result() is None
            assert factory.unclosed == []
            await no_task_left(outer())
            assert got == list(range(len(got)))
            offset = (await committed(kafka, factory.settings["group_id"], topic)).get(0, 0)
            assert offset <= len(got)
            assert reached or offset == 5

    run(main())


@EARLY_AND_LATE
def test_a_record_is_not_lost_for_a_cancelled_wait(kafka: Broker, late: bool) -> None:
    """SDM-14: `anext` that is cancelled takes nothing: the next one yields it; also by wait_for, all the time."""
    topic = kafka.create_topic(unique("waits"))

    async def main() -> None:
        factory, count = consumer_factory(kafka), 300
        async with KafkaListener(orders(topic), consumer_factory=factory) as listener:
            found = await listener.subscribe(Order, queue_maxsize=4)
            got: list[Order] = []
            cancelled = 0
            producing = asyncio.create_task(produce(kafka, topic, range(count)))
            while len(got) < count:
                task, _ = await interrupted(found.__anext__(), 1, late=late)
                if task.cancelled():
                    cancelled += 1
                    with contextlib.suppress(asyncio.TimeoutError):
                        got.append(await asyncio.wait_for(found.__anext__(), 0.0005))
                else:
                    got.append(task.result())
            await producing
            assert numbers(got) == list(range(count))
            assert cancelled

    run(main())


def test_one_of_two_waiting_readers_is_cancelled(kafka: Broker, topic: str) -> None:
    """SDM-14: in the moment in which the record comes: the other one gets it."""

    async def main() -> None:
        async with KafkaListener(orders(topic), consumer_factory=consumer_factory(kafka)) as listener:
            found = await listener.subscribe(Order)
            for turn in range(20):
                waiting = [asyncio.create_task(interrupted(found.__anext__(), 1, late=True)) for _ in range(2)]
                waiting.append(asyncio.create_task(take(found, 1)))
                await produce(kafka, topic, [turn])
                ((only,)) = numbers(await waiting.pop())
                assert only == turn
                for task, _ in await asyncio.gather(*waiting):
                    assert task.cancelled()

    run(main())


def test_a_reader_task_that_is_cancelled(kafka: Broker) -> None:
    """SDM-9: what it had in hand is not committed; another reader goes on, and the listener stops without delay."""
    topic, group = kafka.create_topic(unique("task")), unique()

    async def main() -> None:
        factory = consumer_factory(kafka, group)
        async with KafkaListener(
            orders(topic), consumer_factory=factory, auto_commit={"every": 1}, handover_timeout=60
        ) as listener:
            found, seen = await listener.subscribe(Order), asyncio.Event()

            async def read() -> None:
                async for one in found:
                    if one.number == 2:
                        seen.set()
                        await asyncio.Event().wait()

            reader = asyncio.create_task(read())
            await produce(kafka, topic, range(5))
            await seen.wait()
            reader.cancel()
            await asyncio.wait({reader})
        assert await committed(kafka, group, topic) == {0: 2}

    run(main(), timeout=40)


def test_a_stream_that_is_forgotten(kafka: Broker) -> None:
    """SDM-12, SDM-14: one that is dropped without aclose() holds nobody back."""
    topic = kafka.create_topic(unique("forgotten"))

    async def main() -> None:
        async with KafkaListener(orders(topic), consumer_factory=consumer_factory(kafka)) as listener:
            await listener.subscribe(Order, queue_maxsize=1)
            found = await listener.subscribe(Order)
            await produce(kafka, topic, range(50))
            assert numbers(await take(found, 50)) == list(range(50))

    run(main())
