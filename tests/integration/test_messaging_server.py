"""KafkaRPCServer on a real Kafka: what it answers, where, when it commits, and what it makes of bad requests."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from superclient.errors import TopicMissing
from superclient.messaging import KafkaRPC, KafkaRPCServer, MessagingStoppedError, RPCError
from superclient.messaging import answers as module
from tests.faults import refused_port
from tests.integration.answering import (
    bare_producer,
    cancelled_after,
    echo,
    ours_left,
    requester,
    server,
    topics,
)
from tests.integration.messaging import (
    committed,
    consumer_factory,
    no_task_left,
    run,
    unique,
    until_committed,
    wait_until,
)
from tests.servers import Broker


async def ask(producer: AIOKafkaProducer, topic: str, reply_to: list[str], **more: Any) -> Any:
    """A request by hand; where it was written."""
    headers = [("x-reply-topic", name.encode()) for name in reply_to] + more.pop("headers", [])
    return await producer.send_and_wait(topic, **{"value": b"x", "headers": headers, **more})


# --- answers ---------------------------------------------------------------------------------------------------------


def test_a_client_written_by_hand_is_answered(kafka: Broker) -> None:
    """SDM-30: on each reply topic, with the key and every correlation header as they came."""
    asked, one, two = topics(kafka, 1, 1, 1)
    correlation = [("Request_ID", b"\xff1"), ("X-Correlation-Id", b"2"), ("correlation_id", b""), ("my-id", b"3")]

    async def main() -> None:
        serving = server(kafka, echo, asked, correlation_headers=["My-ID"])
        async with serving, bare_producer(kafka) as producer:
            headers = [*correlation, ("other", b"x"), ("x-superclient-request", b"t")]
            await ask(producer, asked, [one, two, one], key=b"\xfekey", headers=headers)
            await wait_until(lambda: serving.stats().replies == 2, "both are there")
        for topic in (one, two):
            (reply,) = await asyncio.to_thread(kafka.records, topic)
            assert (reply.value, reply.key) == (b"re:x", b"\xfekey")
            assert list(reply.headers) == [*correlation, ("x-superclient-request", b"t")]

    run(main())


def test_our_own_clients_and_what_a_handler_may_return(kafka: Broker) -> None:
    """SDM-30: bytes, nothing, or what the producer's serializer takes; a parser makes what the handler gets."""
    asked, replied = topics(kafka, 1, 1)

    async def handler(number: int) -> Any:
        return {"twice": 2 * number} if number else None

    def producer() -> AIOKafkaProducer:
        return AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, value_serializer=lambda found: str(found).encode())

    async def main() -> None:
        serving = server(kafka, handler, asked, parser=lambda record: int(record.value), producer_factory=producer)
        async with serving, requester(kafka, replied) as rpc:
            assert await rpc.request(asked, b"21") == b"{'twice': 42}"
            assert await rpc.request(asked, b"0", propagate_corr_to="header") == b"None"
        async with server(kafka, returning(None), asked) as serving, requester(kafka, parsers=RAW(replied)) as rpc:
            assert (await rpc.request(asked, b"x", propagate_corr_to="header")).value is None
            assert (await rpc.request(asked, b"x", req_key="k")).value is None

    run(main())


def RAW(topic: str) -> Any:  # noqa: N802
    return [{"topics": [topic], "type": object, "parser": lambda record: record}]


def returning(value: Any) -> Any:
    async def handler(record: Any) -> Any:
        return value

    return handler


def test_errors_are_answered_as_errors(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-30: of the handler's choice; any other tells the requester its type alone, and the log where and what."""
    asked, replied = topics(kafka, 1, 1)

    async def handler(text: str) -> Any:
        match text:
            case "chosen":
                raise RPCError("no such order", "NOT_FOUND")
            case "secret":
                raise LookupError("password=hunter2")
            case "cancelled":
                raise asyncio.CancelledError
            case "large":
                return b"x" * 2_000_000
            case "dict":
                return {"no": "bytes"}
        return text.encode()

    async def main() -> None:
        serving = server(kafka, handler, asked, parser=lambda record: record.value.decode())
        async with serving, requester(kafka, replied) as rpc:
            for text, code, message in (
                (b"chosen", "NOT_FOUND", "no such order"),
                (b"secret", "INTERNAL", "LookupError"),
                (b"cancelled", "INTERNAL", "CancelledError"),
                (b"\xff", "BAD_REQUEST", "the request could not be read: UnicodeDecodeError"),
                (b"large", "REPLY_TOO_LARGE", "the reply is too large"),
                (b"dict", "INTERNAL", "TypeError"),
            ):
                with pytest.raises(RPCError) as raised:
                    await rpc.request(asked, text)
                assert (raised.value.code, str(raised.value)) == (code, message)
                assert await rpc.request(asked, b"fine") == b"fine", "the loop goes on"
        assert (serving.stats().errors, serving.stats().unanswered, serving.stats().replies) == (6, 0, 12)

    with caplog.at_level(logging.WARNING, "superclient.messaging"):
        run(main())
    failed = next(record for record in caplog.records if record.exc_info and "LookupError" in caplog.text)
    assert failed.getMessage() == f"the handler failed at {asked}-0, offset 2"
    assert "password=hunter2" in caplog.text
    assert f"the parser failed at {asked}-0, offset 6: UnicodeDecodeError" in caplog.text


def test_an_error_passes_serializers(kafka: Broker) -> None:
    """It has no value, and a serializer that takes texts alone gets an empty one."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        options = {"key_serializer": lambda key: key, "value_serializer": lambda text: text.encode()}
        factory = lambda: AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, **options)  # noqa: E731
        async with server(kafka, fail, asked, producer_factory=factory), requester(kafka, replied) as rpc:
            with pytest.raises(RPCError, match="KeyError"):
                await rpc.request(asked, b"x")
            with pytest.raises(RPCError, match="KeyError"):
                await rpc.request(asked, b"x", propagate_corr_to="header")

    run(main())


async def fail(record: Any) -> Any:
    raise KeyError(record.value)


def test_a_reply_that_the_broker_refuses(kafka: Broker) -> None:
    """SDM-30: larger than the reply topic allows: the requester is told."""
    (asked,) = topics(kafka, 1)
    small = kafka.create_topic(unique("small"), config={"max.message.bytes": "1000"})

    async def main() -> None:
        async with server(kafka, returning(b"x" * 5000), asked), requester(kafka, small) as rpc:
            with pytest.raises(RPCError) as raised:
                await rpc.request(asked, b"x")
            assert raised.value.code == "REPLY_TOO_LARGE"

    run(main())


def test_requests_that_want_no_reply_or_ask_for_it_in_the_wrong_place(
    kafka: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """SDM-30: handled; not answered there; told with topic, partition and offset, and counted."""
    asked, replied, other = topics(kafka, 1, 1, 1)
    group = unique()

    async def main() -> None:
        seen: list[bytes] = []

        async def handler(record: Any) -> bytes:
            seen.append(record.value)
            return b"yes"

        serving = server(kafka, handler, asked, group=group, reply_topics=[replied])
        async with serving, bare_producer(kafka) as producer:
            await ask(producer, asked, [])
            for wrong in (other, asked, "", "no topic", "x" * 300):
                await ask(producer, asked, [wrong])
            await ask(producer, asked, [other, replied])
            await producer.send_and_wait(asked, b"x", headers=[("x-reply-topic", b"\xff"), ("x-reply-topic", b"")])
            await wait_until(lambda: len(seen) == 8 and not serving.stats().running, "all of them are handled")
            stats = serving.stats()
        assert (stats.one_way, stats.unanswered, stats.replies) == (1, 8, 1)
        assert await committed(kafka, group, asked) == {0: 8}
        ends = [await asyncio.to_thread(kafka.end_offsets, topic) for topic in (asked, replied, other)]
        assert ends == [{0: 8}, {0: 1}, {0: 0}]

    with caplog.at_level(logging.WARNING, "superclient.messaging"):
        run(main())
    assert f"the request at {asked}-0, offset 1 is not answered on {other!r} (not among reply_topics)" in caplog.text
    assert f"the request at {asked}-0, offset 2 is not answered on {asked!r} (a topic of requests)" in caplog.text


def test_a_reply_topic_that_does_not_exist(
    reserved_kafka: Broker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SDM-30: bounded, told, counted and remembered; the others are answered meanwhile, and it too once it is there."""
    kafka = reserved_kafka
    asked, replied = topics(kafka, 1, 1)
    group, nowhere = unique(), unique("nowhere")
    monkeypatch.setattr(module, "_MISSING", 3)

    async def main() -> None:
        serving = server(kafka, echo, asked, group=group, reply_timeout=0.5, concurrency=2)
        async with serving, bare_producer(kafka) as producer, requester(kafka, replied) as rpc:
            for _ in range(50):
                await ask(producer, asked, [nowhere, replied])
            assert await rpc.request(asked, b"y") == b"re:y"
            await wait_until(lambda: serving.stats().unanswered == 50, "each is counted")
            assert len(caplog.records) < 50, "and not all of them are told"
            for number in range(5):
                await ask(producer, asked, [f"{nowhere}-{number}"])
            await wait_until(lambda: serving.stats().unanswered == 55, "these too")
            assert len(serving._answers._missing) == 3
            assert {nowhere, f"{nowhere}-0"}.isdisjoint(serving._link.producer.client._topics), "nor asked for again"
            await asyncio.to_thread(kafka.create_topic, f"{nowhere}-4")
            serving._answers._missing.clear()
            await ask(producer, asked, [f"{nowhere}-4"])
            await wait_until(lambda: serving.stats().replies == 52, "it is answered")
        assert await committed(kafka, group, asked) == {0: 57}

    with caplog.at_level(logging.WARNING, "superclient.messaging"):
        run(main())
    wanted = f"the request at {asked}-0, offset 0 is not answered on {nowhere}: TimeoutError: the topic was not there"
    assert wanted in caplog.text


def test_a_requester_whose_reply_topic_does_not_exist(reserved_kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-35: its start says so, and leaves nothing."""

    async def main() -> None:
        before = asyncio.all_tasks()
        rpc = requester(reserved_kafka, "nowhere", start_timeout=1.0)
        with pytest.raises((TopicMissing, KafkaError), match="nowhere"):
            await rpc.start()
        await no_task_left(before)

    with caplog.at_level(logging.CRITICAL):
        run(main())


# --- many ------------------------------------------------------------------------------------------------------------


def test_servers_that_share_a_group_share_the_requests(kafka: Broker) -> None:
    """SDM-29: each request is handled once."""
    asked, replied = topics(kafka, 4, 2)
    group = unique()
    seen: list[bytes] = []

    async def handler(record: Any) -> bytes:
        seen.append(record.value)
        return bytes(record.value)

    async def main() -> None:
        servers = [server(kafka, handler, asked, group=group) for _ in range(2)]
        async with servers[0], servers[1], requester(kafka, replied) as rpc:
            await wait_until(lambda: all(len(each._link.reader.lanes) == 2 for each in servers), "each has its half")
            await asyncio.sleep(0)
            found = await asyncio.gather(*(rpc.request(asked, b"%d" % number) for number in range(500)))
            assert found == [b"%d" % number for number in range(500)]
            assert rpc.stats().unmatched == 0
        assert all(each.stats().requests > 0 for each in servers)

    run(main())
    assert Counter(seen) == Counter(b"%d" % number for number in range(500))


def test_handlers_run_at_once_up_to_a_limit(kafka: Broker) -> None:
    """SDM-30: further requests wait, of all partitions in turn; none is lost."""
    asked, replied = topics(kafka, 3, 1)
    running: set[int] = set()
    most = 0
    gate = asyncio.Event()

    async def handler(record: Any) -> bytes:
        nonlocal most
        running.add(id(record))
        most = max(most, len(running))
        if record.value == b"held":
            await gate.wait()
        await asyncio.sleep(0)
        running.discard(id(record))
        return bytes(record.value)

    async def main() -> None:
        async with server(kafka, handler, asked, concurrency=7) as serving, requester(kafka, replied) as rpc:
            held = [asyncio.create_task(rpc.request(asked, b"held")) for _ in range(6)]
            await wait_until(lambda: serving.stats().running == 6, "six are held")
            found = await asyncio.gather(*(rpc.request(asked, b"%d" % number) for number in range(200)))
            assert found == [b"%d" % number for number in range(200)]
            more = [asyncio.create_task(rpc.request(asked, b"held")) for _ in range(20)]
            await wait_until(lambda: serving.stats().running == 7, "the last place is taken")
            await wait_until(lambda: any(lane.paused for lane in serving._link.reader.lanes.values()), "the rest waits")
            gate.set()
            assert await asyncio.gather(*held, *more) == [b"held"] * 26
            await wait_until(lambda: not serving._waiting, "nothing waits")
            assert not any(lane.paused for lane in serving._link.reader.lanes.values())

    run(main())
    assert most == 7


# --- commits and ends ------------------------------------------------------------------------------------------------


def test_a_request_is_committed_after_it_is_answered(kafka: Broker) -> None:
    """SDM-30: one that is not answered yet holds the commits of its partition back."""
    asked, replied = topics(kafka, 1, 1)
    group = unique()
    gate = asyncio.Event()

    async def handler(record: Any) -> bytes:
        if record.value == b"2":
            await gate.wait()
        return b"yes"

    async def main() -> None:
        serving = server(kafka, handler, asked, group=group, auto_commit={"every": 1})
        async with serving, requester(kafka, replied) as rpc:
            asking = [asyncio.create_task(rpc.request(asked, b"%d" % number)) for number in range(5)]
            await wait_until(lambda: sum(task.done() for task in asking) == 4, "all but one are answered")
            await until_committed(kafka, group, asked, {0: 2})
            gate.set()
            await asyncio.gather(*asking)
            await until_committed(kafka, group, asked, {0: 5})

    run(main())


def test_without_auto_commit_nothing_is_committed(kafka: Broker) -> None:
    """SDM-10 for servers."""
    asked, replied = topics(kafka, 1, 1)
    group = unique()

    async def main() -> None:
        async with server(kafka, echo, asked, group=group, auto_commit=None), requester(kafka, replied) as rpc:
            assert await rpc.request(asked, b"x") == b"re:x"
        assert await committed(kafka, group, asked) == {}

    run(main())


def test_stop_lets_running_handlers_answer(kafka: Broker) -> None:
    """SDM-11, SDM-30: they are answered and committed; what waits for its turn is not begun, nor committed."""
    asked, replied = topics(kafka, 1, 1)
    group = unique()
    gate = asyncio.Event()

    async def handler(record: Any) -> bytes:
        await gate.wait()
        return bytes(record.value)

    async def main() -> None:
        serving = server(kafka, handler, asked, group=group, concurrency=3, handover_timeout=30)
        await serving.start()
        async with requester(kafka, replied) as rpc:
            asking = [asyncio.create_task(rpc.request(asked, b"%d" % number)) for number in range(5)]
            await wait_until(lambda: serving.stats().running == 3 and serving._waiting, "two wait for their turn")
            stopping = asyncio.create_task(serving.stop())
            await wait_until(lambda: serving._holding, "it is being stopped")
            gate.set()
            await stopping
            assert [await task for task in asking[:3]] == [b"0", b"1", b"2"]
            assert (serving.stats().requests, serving.stats().cancelled) == (3, 0)
            assert await committed(kafka, group, asked) == {0: 3}
            async with server(kafka, handler, asked, group=group):
                assert await asyncio.gather(*asking[3:]) == [b"3", b"4"]
        with pytest.raises(MessagingStoppedError):
            await serving.start()

    run(main())


def test_handlers_that_do_not_end_are_cancelled(kafka: Broker) -> None:
    """SDM-30: their requests stay uncommitted, and another server answers them."""
    asked, replied = topics(kafka, 1, 1)
    group = unique()

    async def main() -> None:
        serving = server(kafka, forever, asked, group=group, handover_timeout=0.2)
        await serving.start()
        async with requester(kafka, replied) as rpc:
            asking = asyncio.create_task(rpc.request(asked, b"x"))
            await wait_until(lambda: serving.stats().running, "it runs")
            await serving.stop()
            assert (serving.stats().cancelled, serving.stats().running) == (1, 0)
            assert (await committed(kafka, group, asked)).get(0, 0) == 0
            async with server(kafka, echo, asked, group=group):
                assert await asking == b"re:x"

    run(main())


async def forever(record: Any) -> bytes:
    return await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8, 13, 21, 34])
def test_stop_cancelled_at_any_step(kafka: Broker, step: int) -> None:
    """No handler, task or client is left; what was not answered is not committed."""
    asked, replied = topics(kafka, 1, 1)
    group = unique()

    async def main() -> None:
        before = asyncio.all_tasks()
        factory = consumer_factory(kafka, group)
        serving = KafkaRPCServer(factory, None, forever, asked, handover_timeout=20)
        await serving.start()
        async with bare_producer(kafka) as producer:
            await ask(producer, asked, [replied])
        await wait_until(lambda: serving.stats().running, "it runs")
        await cancelled_after(serving.stop(), step)
        if step == 1:
            stopping = asyncio.create_task(serving.stop())  # the first one has not even begun
            await wait_until(lambda: serving._holding, "it waits for the handler")
            stopping.cancel()
            await asyncio.wait({stopping})
        assert serving.stats().running == 0
        assert not factory.unclosed
        await serving.stop()
        await no_task_left(before)
        assert (await committed(kafka, group, asked)).get(0, 0) == 0

    run(main())


def test_start_cancelled_at_any_step(kafka: Broker) -> None:
    """SDM-35: nothing is left, and it can be started again."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        before = asyncio.all_tasks()
        factory = consumer_factory(kafka)
        made: list[AIOKafkaProducer] = []

        async def producer() -> AIOKafkaProducer:
            await asyncio.sleep(0)
            made.append(bare_producer(kafka))
            return made[-1]

        serving = KafkaRPCServer(factory, producer, echo, asked)
        after = 1
        while await cancelled_after(serving.start(), after):
            await ours_left(before)
            assert not factory.unclosed
            assert all(each._closed for each in made)
            after = after * 5 // 4 + 1
        assert after > 10
        async with requester(kafka, replied) as rpc:
            assert await rpc.request(asked, b"x") == b"re:x"
        await serving.stop()
        await no_task_left(before)
        assert not factory.unclosed

    run(main())


def test_a_failed_start_leaves_nothing(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-35: whichever of the two clients it is."""
    (asked,) = topics(kafka, 1)

    async def main() -> None:
        before = asyncio.all_tasks()
        with refused_port() as port:
            away = f"127.0.0.1:{port}"
            for serving in (
                server(kafka, echo, asked, producer_factory=lambda: AIOKafkaProducer(bootstrap_servers=away)),
                KafkaRPCServer(
                    consumer_factory(kafka, bootstrap_servers=away), lambda: bare_producer(kafka), echo, asked
                ),
            ):
                for _ in range(2):
                    with pytest.raises(KafkaConnectionError):
                        await serving.start()
                    await no_task_left(before)
                await serving.stop()

    with caplog.at_level(logging.CRITICAL):
        run(main())


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"topics": []}, "topics"),
        ({"topics": [""]}, "topics"),
        ({"handler": 5}, "handler"),
        ({"parser": 5}, "parser"),
        ({"concurrency": 0}, "concurrency"),
        ({"auto_commit": {"every": 0}}, "auto_commit"),
    ],
)
def test_what_cannot_be_meant_is_a_value_error(wrong: dict[str, Any], match: str) -> None:
    arguments: dict[str, Any] = {"handler": echo, "topics": "a", **wrong}
    with pytest.raises(ValueError, match=match):
        KafkaRPCServer(lambda: None, lambda: None, **arguments)


@pytest.mark.timeout(150)
def test_requests_survive_a_broker_that_is_killed(fresh_kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-30, SDM-32: what was produced is answered in the end, by the same clients, and committed after that; also
    where no broker can be reached for longer than a reply may take, on a topic that was answered on before or not.
    """
    asked, replied, new = topics(fresh_kafka, 2, 1, 1)
    group = unique()
    answered = asyncio.Event()

    async def handler(record: Any) -> bytes:
        if record.value != b"before":
            await answered.wait()
        return bytes(record.value)

    def producer() -> AIOKafkaProducer:
        return AIOKafkaProducer(bootstrap_servers=fresh_kafka.bootstrap, request_timeout_ms=1000)

    def ask_on(rpc: KafkaRPC, topic: str, value: bytes) -> Any:
        return rpc.request(asked, value, res_timeout=100, req_headers_reply_to=topic)

    async def main() -> None:
        serving = server(fresh_kafka, handler, asked, group=group, producer_factory=producer, reply_timeout=0.5)
        async with serving, requester(fresh_kafka, replied, new) as rpc:
            assert await ask_on(rpc, replied, b"before") == b"before"
            asking = [
                asyncio.create_task(ask_on(rpc, new if number % 2 else replied, b"%d" % number)) for number in range(20)
            ]
            await wait_until(lambda: serving.stats().running == 20, "all of them are being handled")
            await asyncio.to_thread(fresh_kafka.kill)
            answered.set()
            with pytest.raises(TimeoutError, match=r"no broker has acknowledged it|could not even be sent"):
                await rpc.request(asked, b"given up", res_timeout=0.5)
            assert not any(task.done() for task in asking), "the replies have nowhere to go"
            await asyncio.to_thread(fresh_kafka.start)
            assert await asyncio.gather(*asking) == [b"%d" % number for number in range(20)]
            assert await rpc.request(asked, b"after") == b"after"
            await wait_until(lambda: not serving.stats().running, "all of them are done with")
        found = await committed(fresh_kafka, group, asked)
        assert found == fresh_kafka.end_offsets(asked)  # one may have been handled twice, on a machine that is slow
        assert serving.stats().requests >= 22
        assert serving.stats().unanswered == 0

    with caplog.at_level(logging.CRITICAL):
        run(main(), 140)
