"""Lists of Gofka brokers of which one accepts connections and is of no use, and clients in more than one loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

from superclient.gofka import keeping, reading
from superclient.gofka.admin import AsyncAdminClient
from superclient.gofka.consumer import AsyncConsumer
from superclient.gofka.errors import ProduceConnectionError, ProduceError, RequestTimeoutError
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.producer import AsyncProducer
from tests.servers.gofka import GofkaDouble

HOST = "127.0.0.1"
GIVEN = {"timeout": 1.0, "retry_policy": RetryPolicy(max_retries=2, initial_backoff_ms=1, max_backoff_ms=2)}
WAYS = ("closes what it accepts", "closes at a request", "garbage", "another id", "truncated", "old framing", "silent")


@pytest.fixture
def broker() -> Iterator[GofkaDouble]:
    with GofkaDouble() as double:
        double.create_topic("t", 2)
        double.produce("t", b"one", b"two")
        yield double


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses after a failure are for production."""
    monkeypatch.setattr(reading, "_AGAIN", 0.02)
    monkeypatch.setattr(keeping, "_PAUSES", (0.01, 0.05))
    monkeypatch.setattr(keeping, "_BEAT", (0.02, 0.05))


class _Useless(asyncio.Protocol):
    """A broker that accepts, and answers a request in this way."""

    def __init__(self, way: str, open_: set[asyncio.Transport]) -> None:
        self._way = way
        self._open = open_

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)
        if self._way == "closes what it accepts":
            transport.abort()

    def data_received(self, data: bytes) -> None:
        correlation = data[8:12]
        said = {
            "garbage": b"\xff" + os.urandom(100),
            "another id": struct.pack(">Ii", 12, 5) + bytes(8),
            "truncated": struct.pack(">I", 100) + correlation + b"abc",
            "old framing": correlation + bytes(12),
        }
        if self._way in said:
            self._transport.write(said[self._way])
        if self._way in ("closes at a request", "truncated"):
            self._transport.close()


@contextlib.asynccontextmanager
async def useless(way: str) -> AsyncIterator[str]:
    """The address of one."""
    transports: set[asyncio.Transport] = set()
    server = await asyncio.get_running_loop().create_server(lambda: _Useless(way, transports), HOST, 0)
    try:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for transport in transports:
            transport.abort()
        await server.wait_closed()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


@pytest.mark.parametrize("way", WAYS)
def test_a_producer_goes_on_with_the_next_broker(broker: GofkaDouble, way: str) -> None:
    """GOF-19: what a copy is told of goes there by itself; of what is raw it is said that it may be stored."""

    async def work() -> None:
        async with useless(way) as first:
            async with AsyncProducer([first, broker.address], **GIVEN) as producer:
                assert await producer.send("t", b"three", key=b"k") == 2
            async with AsyncProducer([first, broker.address], **GIVEN) as producer:
                first_try = (await asyncio.gather(producer.send("t", b"raw"), return_exceptions=True))[0]
                assert first_try == 3 or (isinstance(first_try, ProduceConnectionError) and first_try.stored is None)
                assert await producer.send("t", b"raw") == len(broker.log("t")) - 1

    run(work())


@pytest.mark.parametrize("way", WAYS)
def test_a_consumer_and_an_admin_client_go_on_with_the_next_broker(broker: GofkaDouble, way: str) -> None:
    """GOF-19: without an error, since nothing was known of the first one."""

    async def work() -> None:
        async with useless(way) as first:
            async with AsyncConsumer([first, broker.address], "g", "t", **GIVEN) as consumer:
                assert [await anext(consumer), await anext(consumer)] == [b"one", b"two"]
            async with AsyncAdminClient([first, broker.address], **GIVEN) as admin:
                assert await admin.list_topics() == ["t"]
        assert broker.committed("g", "t") == 2

    run(work())


def test_a_broker_that_closes_what_it_accepts() -> None:
    """GOF-19: an error after the attempts of the policy, not one connection after the other for ever."""

    async def work() -> None:
        async with useless("closes what it accepts") as only, AsyncProducer(only, **GIVEN) as producer:
            for key in (None, b"k"):
                with pytest.raises(ProduceError, match="was not stored") as caught:
                    await asyncio.wait_for(producer.send("t", b"x", key=key), 20)
                assert caught.value.stored is False

    run(work())


def test_a_broker_that_stops_in_the_middle() -> None:
    """GOF-19: producer and consumer go on at the next one, which has the messages too."""

    async def work() -> None:
        brokers = [first.address, second.address]
        consumer = AsyncConsumer(brokers, "g", "t", **GIVEN)
        async with AsyncProducer(brokers, **GIVEN) as producer, consumer:
            await producer.send("t", b"one", key=b"k")
            assert await anext(consumer) == b"one"
            await asyncio.to_thread(first.pause)
            assert await producer.send("t", b"two", key=b"k") == 1
            found: list[bytes] = []
            while b"two" not in found:  # the second one knows of no commit
                with contextlib.suppress(ConnectionError):  # a time-out, or another request's on its connection
                    found += [message.value for message in await consumer.poll()]

    with GofkaDouble() as first, GofkaDouble(cluster=first) as second:
        first.create_topic("t")
        second.create_topic("t")
        run(work())


def test_a_question_to_a_single_silent_broker(broker: GofkaDouble) -> None:
    """GOF-33: one time limit, not several; a connection that broke meanwhile is another matter."""

    async def work() -> None:
        async with AsyncAdminClient(broker.address, **GIVEN) as admin:
            assert await admin.list_topics() == ["t"]
            broker.close_after(1, reply="half")
            assert await admin.list_topics() == ["t"]
            before = broker.connections_total
            broker.pause()
            with pytest.raises(RequestTimeoutError):
                await admin.list_topics()
            assert broker.connections_total == before

    run(work())


Use = Callable[[], Awaitable[object]]


@pytest.mark.parametrize("what", ["send", "subscribe", "poll", "commit", "list_topics"])
def test_another_event_loop(broker: GofkaDouble, what: str) -> None:
    """GOF-33: is told, in place of a wait for replies that never come there."""
    admin = AsyncAdminClient(broker.address)
    producer = AsyncProducer(broker.address)
    consumer = AsyncConsumer(broker.address, "g", "t")
    uses: dict[str, tuple[Use, Use, Any]] = {
        "send": (lambda: producer.send("t", b"x"), lambda: producer.send("t", b"y"), producer),
        "subscribe": (consumer.subscribe, consumer.subscribe, consumer),
        "poll": (lambda: consumer.poll(1), lambda: consumer.poll(1, None), consumer),
        "commit": (lambda: consumer.poll(1), consumer.commit, consumer),
        "list_topics": (admin.list_topics, admin.list_topics, admin),
    }
    use, again, client = uses[what]

    async def elsewhere() -> None:
        with pytest.raises(RuntimeError, match="one event loop"):
            await asyncio.wait_for(again(), 20)

    async def work() -> None:
        await use()
        await asyncio.to_thread(asyncio.run, elsewhere())
        await client.close()

    run(work())
