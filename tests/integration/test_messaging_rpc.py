"""KafkaRPC on a real Kafka, mostly against servers of aiokafka's alone: each request gets its reply, or says why."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from superclient.errors import Unreachable
from superclient.messaging import KafkaRPC, MessagingStoppedError, RPCError
from tests.faults import refused_port, silent_port
from tests.integration.answering import (
    bare_producer,
    bare_server,
    cancelled_after,
    echo,
    echoed,
    ours_left,
    reply_topics,
    requester,
    server,
    topics,
)
from tests.integration.messaging import (
    Audit,
    Order,
    audit,
    consumer_factory,
    no_task_left,
    order,
    orders,
    run,
    unique,
    wait_until,
)
from tests.servers import Broker


async def silent(record: Any, producer: AIOKafkaProducer) -> None:
    """A server that never answers."""


def idle(rpc: KafkaRPC) -> bool:
    """Nobody waits, in any of its tables."""
    waiters = rpc._waiters
    return not (waiters._by_id or waiters._by_token or waiters._by_base or waiters._customs)


# --- one request, one reply ------------------------------------------------------------------------------------------


def test_a_request_returns_its_parsed_reply(kafka: Broker) -> None:
    """SDM-16, SDM-22: whose correlation id it carries; what else is on the reply topic does not disturb."""
    asked, replied = topics(kafka, 1, 1)

    async def answer(record: Any, producer: AIOKafkaProducer) -> None:
        for headers in ([], [("request_id", b"foreign")], [("request_id", b"\xff")], [("request_id", None)]):
            await producer.send_and_wait(replied, b"666", headers=headers)
        await producer.send_and_wait(replied, b"666", key=b"foreign")
        await producer.send_and_wait(replied, b"7", key=b"foreign", headers=list(record.headers))

    async def main() -> None:
        parsers = orders(replied)
        async with bare_server(kafka, asked, answer), requester(kafka, parsers=parsers) as rpc:
            assert (await rpc.request(asked, b"x")).number == 7
            assert (await rpc.request(asked, None, req_key="k")).number == 7
            stats = rpc.stats()
        assert (stats.requests, stats.replies, stats.pending) == (2, 2, 0)
        assert (stats.uncorrelated, stats.unmatched, stats.parse_errors) == (4, 6, 0)

    run(main())


def test_the_reply_to_the_very_first_request_may_come_at_once(kafka: Broker) -> None:
    """SDM-18: the client is started by its first request, and the server was ready before."""
    asked, replied = topics(kafka, 1, 4)

    async def main() -> None:
        async with bare_server(kafka, asked):
            for _ in range(3):
                settings = consumer_factory(kafka, auto_offset_reset="latest")
                rpc = requester(kafka, replied, consumer_factory=settings)
                try:
                    assert await rpc.request(asked, b"first", res_timeout=20) == b"re:first"
                finally:
                    await rpc.stop()

    run(main())


def test_a_thousand_requests_at_once_get_their_own_replies(kafka: Broker) -> None:
    """SDM-17: answered in shuffled order, and some of them twice."""
    asked, replied = topics(kafka, 2, 3)
    waiting: list[Any] = []

    async def answer(record: Any, producer: AIOKafkaProducer) -> None:
        waiting.append(record)
        if len(waiting) == 1000:
            random.shuffle(waiting)
            sent = [
                await producer.send(replied, b"re:" + each.value, headers=list(each.headers))
                for each in [*waiting, *waiting[:100]]
            ]
            await asyncio.gather(*sent)

    async def main() -> None:
        async with bare_server(kafka, asked, answer), requester(kafka, replied) as rpc:
            asking = [rpc.request(asked, b"%d" % number, req_key=f"k{number % 50}") for number in range(1000)]
            assert await asyncio.gather(*asking) == [b"re:%d" % number for number in range(1000)]
            await wait_until(lambda: rpc.stats().unmatched == 100, "the second replies are told from the first ones")
            assert idle(rpc)

    run(main())


def test_the_reply_topics_are_named(kafka: Broker) -> None:
    """SDM-19: a header each: all that have a parser, or those that are asked for, each once."""
    asked, one, two = topics(kafka, 1, 1, 1)

    async def main() -> None:
        async with bare_server(kafka, asked) as seen, requester(kafka, one, two) as rpc:
            await rpc.request(asked, b"both")
            await rpc.request(asked, b"second", req_headers_reply_to=two)
            await rpc.request(asked, b"each once", req_headers_reply_to=[two, two, one])
            assert [reply_topics(record) for record in seen] == [[one, two], [two], [two, one]]
            for wrong in ("elsewhere", [one, "elsewhere"], []):
                with pytest.raises(ValueError, match="replies come on topics that have a parser"):
                    await rpc.request(asked, b"", req_headers_reply_to=wrong)
            assert idle(rpc)
            await wait_until(lambda: rpc.stats().unmatched == 2, "the second topic's replies are late")

    run(main())


def test_headers_of_the_program_travel_along(kafka: Broker) -> None:
    """SDM-26: with an explicit id, a key and other correlation headers in between."""
    asked, replied = topics(kafka, 1, 1)
    headers = [("a", b"1"), ("correlation_id", b"theirs"), ("a", b"2"), ("request_id", b"not mine")]

    async def main() -> None:
        async with bare_server(kafka, asked) as seen, requester(kafka, replied) as rpc:
            request = rpc.request(asked, b"x", req_key="k", req_headers=headers, correlation_id="mine")
            assert await request == b"re:x"
            sent = seen[0]
        assert sent.key == b"k"
        assert [pair for pair in sent.headers if pair[0] == "a"] == [("a", b"1"), ("a", b"2")]
        assert [pair[1] for pair in sent.headers if pair[0] == "request_id"] == [b"mine"]
        assert ("correlation_id", b"theirs") in sent.headers

    run(main())


@pytest.mark.parametrize("way", ["key", "header", "both"])
def test_where_the_id_travels(kafka: Broker, way: Any) -> None:
    """SDM-22, SDM-24: servers that copy the key alone, or make a header of their own choice of it."""
    asked, replied = topics(kafka, 1, 1)

    async def answer(record: Any, producer: AIOKafkaProducer) -> None:
        correlation = dict(record.headers).get("request_id")
        assert (record.key is None) == (way == "header")
        assert (correlation is None) == (way == "key")
        if record.value == b"key":
            await producer.send_and_wait(replied, b"by key", key=record.key or correlation)
        else:
            headers = [("X-Correlation-ID", correlation or record.key)]
            await producer.send_and_wait(replied, b"by header", headers=headers)

    async def main() -> None:
        async with bare_server(kafka, asked, answer), requester(kafka, replied) as rpc:
            assert await rpc.request(asked, b"key", propagate_corr_to=way) == b"by key"
            assert await rpc.request(asked, b"header", propagate_corr_to=way) == b"by header"
            with pytest.raises(ValueError, match="propagate_corr_to"):
                await rpc.request(asked, b"", propagate_corr_to="none")  # type: ignore[call-overload]
            assert idle(rpc)

    run(main())


def test_a_custom_header_is_recognised(kafka: Broker) -> None:
    """SDM-27: in any case, on a reply that has no other."""
    asked, replied = topics(kafka, 1, 1)

    async def answer(record: Any, producer: AIOKafkaProducer) -> None:
        await producer.send_and_wait(replied, b"yes", headers=[("MY-ID", dict(record.headers)["My-Id"])])

    async def main() -> None:
        async with bare_server(kafka, asked, answer), requester(kafka, replied) as rpc:
            request = rpc.request(asked, b"", correlation_header_key="My-Id", propagate_corr_to="header")
            assert await request == b"yes"
            assert idle(rpc)

    run(main())


def test_a_custom_header_that_our_server_was_not_told_of(kafka: Broker) -> None:
    """SDM-27, SDM-30: a requester and a server of ours find together whatever header the requester chooses."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        async with server(kafka, echo, asked), requester(kafka, replied) as rpc:
            for number, way in enumerate(("header", "key", "both")):
                request = rpc.request(asked, b"%d" % number, correlation_header_key="My-Id", propagate_corr_to=way)
                assert await request == b"re:%d" % number
            assert idle(rpc)

    run(main())


def test_requests_of_one_key_do_not_collide(kafka: Broker) -> None:
    """SDM-23, SDM-25: at the same time, after one another, and where the first was given up."""
    asked, replied = topics(kafka, 1, 1)

    async def answer(record: Any, producer: AIOKafkaProducer) -> None:
        if record.value != b"late":
            await echoed(record, producer)

    async def main() -> None:
        async with bare_server(kafka, asked, answer) as seen, requester(kafka, replied) as rpc:
            both = await asyncio.gather(*(rpc.request(asked, each, req_key="k") for each in (b"1", b"2")))
            assert both == [b"re:1", b"re:2"]
            with pytest.raises(TimeoutError):
                await rpc.request(asked, b"late", req_key="k", res_timeout=0.3)
            async with bare_producer(kafka) as producer:
                asking = asyncio.create_task(rpc.request(asked, b"3", req_key="k"))
                await echoed(next(record for record in seen if record.value == b"late"), producer)
            assert await asking == b"re:3"
            ids = [dict(record.headers)["request_id"] for record in seen]
            assert ids[0] == b"k"
            assert len(set(ids)) == 4
            assert {record.key for record in seen} == {b"k"}
            first = asyncio.create_task(rpc.request(asked, b"late", correlation_id="mine"))
            await wait_until(lambda: len(seen) == 5, "the request is there")
            with pytest.raises(ValueError, match="waiting already"):
                await rpc.request(asked, b"late", correlation_id="mine")
            first.cancel()
            await asyncio.wait({first})
            assert await rpc.request(asked, b"again", correlation_id="mine") == b"re:again"
            assert idle(rpc)

    run(main())


def test_requesters_share_a_reply_topic(kafka: Broker) -> None:
    """SDM-28: each gets its own replies, also where they use the same keys and ids."""
    asked, replied = topics(kafka, 2, 2)

    async def main() -> None:
        async with bare_server(kafka, asked), requester(kafka, replied) as one, requester(kafka, replied) as two:
            asking = [
                rpc.request(asked, name + b"%d" % number, req_key=f"k{number}")
                for number in range(50)
                for rpc, name in ((one, b"a"), (two, b"b"))
            ]
            found = await asyncio.gather(*asking)
            assert found == [b"re:" + name + b"%d" % number for number in range(50) for name in (b"a", b"b")]
            await wait_until(lambda: one.stats().unmatched + two.stats().unmatched == 100, "the others' are left alone")

    run(main())


def test_several_servers_answer_and_the_first_wins(kafka: Broker) -> None:
    """SDM-31: what comes after it is counted, and nobody's."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        groups = [server(kafka, lambda record, n=n: second(n), asked, group=unique()) for n in range(3)]

        async def second(number: int) -> bytes:
            await gates[number].wait()
            return b"%d" % number

        gates = [asyncio.Event() for _ in groups]
        async with groups[0], groups[1], groups[2], requester(kafka, replied) as rpc:
            gates[1].set()
            assert await rpc.request(asked, b"x", req_key="k") == b"1"
            for gate in gates:
                gate.set()
            await wait_until(lambda: rpc.stats().unmatched == 2, "the others answer too")
            assert rpc.stats().replies == 1

    run(main())


# --- replies that are not what was hoped for -------------------------------------------------------------------------


def test_no_reply_in_time(kafka: Broker) -> None:
    """SDM-20: TimeoutError, the waiter is gone, and what comes late is ignored."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        async with bare_server(kafka, asked, silent) as seen, requester(kafka, replied) as rpc:
            with pytest.raises(TimeoutError, match=rf"no reply to the request mine on {asked} within 0\.3 s$"):
                await rpc.request(asked, b"x", res_timeout=0.3, correlation_id="mine")
            assert idle(rpc)
            await wait_until(lambda: seen, "the request is there")
            async with bare_producer(kafka) as producer:
                await echoed(seen[0], producer)
            await wait_until(lambda: rpc.stats().unmatched == 1, "the late reply")
            assert (rpc.stats().timeouts, rpc.stats().replies) == (1, 0)
            for wrong in (0, -1, float("nan"), None, "5"):
                with pytest.raises(ValueError, match="res_timeout"):
                    await rpc.request(asked, b"x", res_timeout=wrong)  # type: ignore[call-overload]

    run(main())


def test_only_replies_of_the_expected_type_count(kafka: Broker) -> None:
    """SDM-21: the others are passed over, and the request goes on waiting."""
    asked, one, two = topics(kafka, 1, 1, 1)

    class Small(Order):
        """Derived from what is asked for."""

    async def answer(record: Any, producer: AIOKafkaProducer) -> None:
        for topic, text in ((two, b"not this"), (one, b"no number"), (one, b"5")):
            await producer.send_and_wait(topic, text, headers=list(record.headers))
        if record.value == b"both":
            await producer.send_and_wait(two, b"in the end", headers=list(record.headers))

    def small(record: Any) -> Small:
        return Small(int(record.value), 0, 0)

    async def main() -> None:
        parsers = [*orders(one, parser=small, kind=Small), *orders(two, parser=audit, kind=Audit)]
        async with bare_server(kafka, asked, answer), requester(kafka, parsers=parsers) as rpc:
            found: Order = await rpc.request(asked, b"", res_expect_type=Order)
            assert found == Small(5, 0, 0)
            with pytest.raises(TimeoutError, match="3 of its replies fitted no parser"):
                await rpc.request(asked, b"", res_expect_type=int, res_timeout=0.5)
            first = await rpc.request(asked, b"", res_expect_type=Audit)
            assert first.text.endswith("not this")
            assert isinstance(await rpc.request(asked, b""), Audit | Small)
            assert rpc.stats().parse_errors >= 1

    run(main())


def test_a_value_may_be_of_a_type_derived_from_its_specs(kafka: Broker) -> None:
    """SDM-21: one parser for several kinds; the value decides."""
    asked, replied = topics(kafka, 1, 1)

    def either(record: Any) -> Order | Audit:
        return order(record) if record.value.isdigit() else audit(record)

    async def answer(record: Any, producer: AIOKafkaProducer) -> None:
        for text in (b"text", b"5"):
            await producer.send_and_wait(replied, text, headers=list(record.headers))

    async def main() -> None:
        parsers = orders(replied, parser=either, kind=object)
        async with bare_server(kafka, asked, answer), requester(kafka, parsers=parsers) as rpc:
            assert (await rpc.request(asked, b"", res_expect_type=Order)).number == 5
            assert isinstance(await rpc.request(asked, b""), Audit)

    run(main())


def test_a_parser_that_raises_gives_way_to_the_next(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-3 for replies: logged with topic, partition and offset, counted, and the next spec of the topic is tried."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        parsers = [*orders(replied), *orders(replied, parser=audit, kind=Audit)]
        async with bare_server(kafka, asked), requester(kafka, parsers=parsers) as rpc:
            assert await rpc.request(asked, b"x") == Audit(f"{replied} re:x")
            assert rpc.stats().parse_errors == 1

    with caplog.at_level(logging.WARNING, "superclient.messaging"):
        run(main())
    assert f"the parser of Order failed at {replied}-0, offset 0: ValueError" in caplog.text


def test_an_error_of_the_server_is_raised(kafka: Broker) -> None:
    """SDM-30: from any server that says so in the headers."""
    asked, replied = topics(kafka, 1, 1)

    async def answer(record: Any, producer: AIOKafkaProducer) -> None:
        error = [("X-Error-Code", b"EMPTY"), ("x-error-message", "nothing für you".encode())]
        await producer.send_and_wait(replied, None, key=record.key, headers=[*record.headers, *error])

    async def main() -> None:
        async with bare_server(kafka, asked, answer), requester(kafka, replied) as rpc:
            with pytest.raises(RPCError, match="nothing für you") as raised:
                await rpc.request(asked, b"x", res_expect_type=bytes)
            assert raised.value.code == "EMPTY"
            assert (rpc.stats().errors, rpc.stats().replies) == (1, 0)
            assert idle(rpc)

    run(main())


def test_a_request_that_cannot_be_sent(kafka: Broker) -> None:
    """It fails by what the producer says, and nothing waits."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        async with requester(kafka, replied) as rpc:
            with pytest.raises(MessageSizeTooLargeError):
                await rpc.request(asked, b"x" * 2_000_000)
            with pytest.raises(TypeError):
                await rpc.request(asked, {"no": "bytes"})
            with pytest.raises(ValueError, match="needs a key"):
                await rpc.request(asked, None, propagate_corr_to="header")
            assert idle(rpc)
            assert rpc.stats().failed == 2
            async with bare_server(kafka, asked):
                assert await rpc.request(asked, b"y") == b"re:y"

    run(main())


def test_the_brokers_refusal_fails_the_request(kafka: Broker) -> None:
    """A delivery that fails while the reply is waited for: at once, not at the time-out."""
    (replied,) = topics(kafka, 1)
    small = kafka.create_topic(unique("small"), config={"max.message.bytes": "1000"})

    async def main() -> None:
        async with requester(kafka, replied) as rpc:
            with pytest.raises(MessageSizeTooLargeError):
                await rpc.request(small, b"x" * 5000)
            assert idle(rpc)

    run(main())


# --- started, stopped, cancelled -------------------------------------------------------------------------------------


def test_stop_fails_what_is_pending_at_once(kafka: Broker) -> None:
    """SDM-33: requests that wait for their reply, requests that are being sent, and those that come after it."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        rpc = requester(kafka, replied)
        await rpc.start()
        waiting = [asyncio.create_task(rpc.request(asked, b"x")) for _ in range(20)]
        await wait_until(lambda: rpc.stats().requests == 20, "all of them wait")
        unsent = asyncio.create_task(rpc.request(unique("not there"), b"x", req_key="k"))
        await wait_until(lambda: rpc.stats().requests == 21, "it is being sent")
        stopping = asyncio.create_task(rpc.stop())
        await asyncio.wait({*waiting, unsent})
        assert not stopping.done(), "before the clients are closed"
        for task in (*waiting, unsent):
            assert isinstance(task.exception(), MessagingStoppedError)
        assert idle(rpc)
        with pytest.raises(MessagingStoppedError):
            await rpc.request(asked, b"x")
        await asyncio.gather(stopping, rpc.stop(), rpc.stop())
        with pytest.raises(MessagingStoppedError):
            await rpc.start()

    run(main())


def test_a_request_cancelled_at_any_step(kafka: Broker) -> None:
    """SDM-34: its waiter is gone, no task is left, and the next request is answered."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        async with bare_server(kafka, asked), requester(kafka, replied) as rpc:
            await rpc.request(asked, b"warm")
            before = asyncio.all_tasks()
            steps = 0
            while await cancelled_after(rpc.request(asked, b"x", req_key="k"), steps + 1):
                assert idle(rpc)
                await ours_left(before)
                steps += 1
            assert steps > 5
            assert await rpc.request(asked, b"y", req_key="k") == b"re:y"
            assert rpc.stats().requests > steps

    run(main())


def test_the_first_request_cancelled_at_any_step(kafka: Broker) -> None:
    """SDM-34, SDM-35: while it starts the client, which can be asked again; nothing is left of it."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        async with bare_server(kafka, asked):
            before = asyncio.all_tasks()
            factory = consumer_factory(kafka)
            rpc = requester(kafka, replied, consumer_factory=factory)
            after = 1
            while await cancelled_after(rpc.request(asked, b"x"), after):
                assert idle(rpc)
                if rpc._link.producer is None:
                    await ours_left(before)
                    assert not factory.unclosed
                    after = after * 5 // 4 + 1
                else:
                    break
            assert after > 20
            assert await rpc.request(asked, b"y") == b"re:y"
            await rpc.stop()
            await ours_left(before)
            assert not factory.unclosed

    run(main())


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8, 13, 21])
def test_stop_cancelled_at_any_step(kafka: Broker, step: int) -> None:
    """SDM-33: whoever waits is failed, and the clients are closed."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        factory = consumer_factory(kafka)
        rpc = requester(kafka, replied, consumer_factory=factory)
        await rpc.start()
        waiting = asyncio.create_task(rpc.request(asked, b"x"))
        await wait_until(lambda: rpc.stats().pending, "it waits")
        await cancelled_after(rpc.stop(), step)
        if step > 1:
            with pytest.raises(MessagingStoppedError):
                await waiting
        else:
            await rpc.stop()
            await asyncio.wait({waiting})
            assert waiting.exception() is not None
        assert idle(rpc)
        await rpc.stop()
        assert not factory.unclosed

    run(main())


def test_stop_while_it_starts(kafka: Broker) -> None:
    """The start ends at once, with an error that says so; everybody who waits for it gets it."""
    (replied,) = topics(kafka, 1)

    async def main() -> None:
        before = asyncio.all_tasks()
        for after in (0, 1, 2, 4, 8, 16):
            rpc = requester(kafka, replied)
            starts = [asyncio.create_task(rpc.start()) for _ in range(3)]
            for _ in range(after):
                await asyncio.sleep(0.001)
            late = [task for task in starts if not task.done()]
            await rpc.stop()
            for task in late:
                with pytest.raises(MessagingStoppedError):
                    await task
            await no_task_left(before)

    run(main())


def test_starts_at_the_same_time_are_one(kafka: Broker) -> None:
    """SDM-35: and whoever is cancelled among them does not take the others along."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        factory = consumer_factory(kafka)
        rpc = requester(kafka, replied, consumer_factory=factory)
        first, *others = [asyncio.create_task(rpc.start()) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*others)
        async with bare_server(kafka, asked):
            assert await rpc.request(asked, b"x") == b"re:x"
        await rpc.stop()
        assert not factory.unclosed
        assert len(factory.made) <= 2

    run(main())


def test_a_failed_start_leaves_nothing(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-35: no task, no client that is not closed; and it can be tried again."""
    asked, replied = topics(kafka, 1, 1)

    async def fails(rpc: KafkaRPC, kind: type[BaseException], match: str) -> None:
        before = asyncio.all_tasks()
        for _ in range(2):
            with pytest.raises(kind, match=match):
                await rpc.start()
            await no_task_left(before)
        with pytest.raises(kind, match=match):
            await rpc.request(asked, b"x")
        await rpc.stop()

    async def main() -> None:
        with refused_port() as port:
            away = f"127.0.0.1:{port}"
            refused = consumer_factory(kafka, bootstrap_servers=away)
            await fails(
                requester(kafka, replied, consumer_factory=refused), KafkaConnectionError, "Unable to bootstrap"
            )
            no_producer = lambda: AIOKafkaProducer(bootstrap_servers=away)  # noqa: E731
            factory = consumer_factory(kafka)
            rpc = requester(kafka, replied, consumer_factory=factory, producer_factory=no_producer)
            await fails(rpc, KafkaConnectionError, "Unable to bootstrap")
            assert not factory.made
        with silent_port() as port:
            mute = lambda: AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{port}")  # noqa: E731
            rpc = requester(kafka, replied, producer_factory=mute, start_timeout=0.3)
            await fails(rpc, Unreachable, "reached no broker within 0.3 s")
        await fails(requester(kafka, replied, group=""), RuntimeError, "group")
        for wrong, match in ((lambda: 5, "int"), (lambda: transactional(kafka), "transactional")):
            await fails(requester(kafka, replied, producer_factory=wrong), RuntimeError, match)

    with caplog.at_level(logging.CRITICAL):
        run(main())


def transactional(broker: Broker) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id="t")


def test_parsers_that_cannot_be_meant(kafka: Broker) -> None:
    """SDM-35: said before anything is made."""
    with pytest.raises(ValueError, match="at least one ParserSpec"):
        KafkaRPC([], consumer_factory=consumer_factory(kafka))


# --- its own clients -------------------------------------------------------------------------------------------------


def test_a_producer_of_the_programs_own(kafka: Broker) -> None:
    """With serializers, made by a coroutine; started and stopped here."""
    asked, replied = topics(kafka, 1, 1)
    made: list[AIOKafkaProducer] = []

    async def factory() -> AIOKafkaProducer:
        options = {"key_serializer": lambda key: key.encode(), "value_serializer": lambda text: text.encode()}
        made.append(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, linger_ms=1, **options))
        return made[0]

    async def main() -> None:
        async with bare_server(kafka, asked), requester(kafka, replied, producer_factory=factory) as rpc:
            assert await rpc.request(asked, "ü", req_key="k") == "re:ü".encode()
            assert await rpc.request(asked, "x", propagate_corr_to="key") == b"re:x"
        assert len(made) == 1
        assert made[0]._closed

    run(main())


def test_a_producer_that_has_died_is_replaced(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-32: aiokafka's ends for good by an error that it does not know; on both sides."""
    asked, replied = topics(kafka, 1, 1)

    async def main() -> None:
        async with server(kafka, echo, asked) as serving, requester(kafka, replied) as rpc:
            dead = [each._link.producer for each in (serving, rpc)]
            for producer in dead:
                producer._sender.sender_task.cancel()
                await asyncio.wait({producer._sender.sender_task})
            found = await asyncio.gather(*(rpc.request(asked, b"%d" % number) for number in range(10)))
            assert found == [b"re:%d" % number for number in range(10)]
            assert all(producer._closed for producer in dead)
        assert caplog.text.count("the producer has died") == 2

    with caplog.at_level(logging.WARNING, "superclient.messaging"):
        run(main())


def test_a_consumer_with_deserializers(kafka: Broker) -> None:
    """SDM-22: the key of a reply may be a text by then."""
    asked, replied = topics(kafka, 1, 1)

    async def answer(record: Any, producer: AIOKafkaProducer) -> None:
        await producer.send_and_wait(replied, b"yes", key=record.key)

    async def main() -> None:
        factory = consumer_factory(kafka, key_deserializer=bytes.decode, value_deserializer=bytes.decode)
        parsers = orders(replied, parser=lambda record: record.value, kind=str)
        async with (
            bare_server(kafka, asked, answer),
            requester(kafka, parsers=parsers, consumer_factory=factory) as rpc,
        ):
            assert await rpc.request(asked, b"x", propagate_corr_to="key") == "yes"

    run(main())


def test_requesters_in_one_group_are_told(kafka: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """SDM-28: one warning, since the replies of some partitions are lost on the others."""
    (replied,) = topics(kafka, 2)
    group = unique()

    async def main() -> None:
        async with requester(kafka, replied, group=group) as one:
            assert "a group of its own" not in caplog.text
            async with requester(kafka, replied, group=group) as two:
                await wait_until(lambda: one._replies.sharing and two._replies.sharing, "both know")
            await wait_until(lambda: not one._replies.sharing, "it has all of them again")

    with caplog.at_level(logging.WARNING, "superclient.messaging"):
        run(main())
    told = [record.getMessage() for record in caplog.records if "a group of its own" in record.getMessage()]
    assert len(told) == 2, "each of them once"
    assert "1 of the 2 partitions" in told[0]
