"""One connection to the Gofka broker's double, and to servers that say what no broker should."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import struct
import tracemalloc

import pytest

from superclient.gofka.connection import Connection
from superclient.gofka.errors import ConnectionError, RequestTimeoutError, WireError  # noqa: A004
from superclient.gofka.names import check_group, check_topic
from superclient.gofka.wire import (
    FIRST_CORRELATION,
    MAX_FRAME,
    BrokerError,
    CreateTopic,
    Fetch,
    FindCoordinator,
    ListGroups,
    Metadata,
    OffsetFetch,
    Produce,
    ProduceReply,
)
from tests.faults import black_hole, refused_port, silent_port
from tests.servers import wait_for
from tests.servers.gofka import Certificates, GofkaDouble

HOST = "127.0.0.1"


@pytest.fixture
def broker():
    with GofkaDouble() as double:
        yield double


def run(work):
    """A test's coroutine, for 60 seconds at most; no task outlives it."""

    async def alone():
        try:
            return await asyncio.wait_for(work, 60)
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(alone())


async def opened(broker, **given):
    return await Connection.open(HOST, broker.port, **given)


@contextlib.asynccontextmanager
async def saying(*replies: bytes):
    """The port of a server that answers the first bytes of each connection with these, and closes where told: b""."""
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            await reader.read(65536)
            for reply in replies:
                if not reply:
                    return
                writer.write(reply)
                await writer.drain()
            await reader.read()  # until the client goes
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)


def reply(body: bytes, correlation: int = FIRST_CORRELATION) -> bytes:
    return struct.pack(">II", len(body) + 4, correlation) + body


# --- what works -------------------------------------------------------------------------------------------------------


def test_requests_go_together_and_replies_come_in_order(broker):
    """GOF-35: pipelined, the two protocols of the broker mixed, an error of the broker in between."""

    async def work():
        async with await opened(broker) as one:
            sent = [one.submit(Produce("t", 0, b"%d" % number)) for number in range(200)]
            asked = [one.submit(request) for request in (Fetch("t", 0, 7), CreateTopic("u", 3), Fetch("t", 0, 999))]
            assert one.under_way == 203
            assert [each.offset for each in await asyncio.gather(*sent)] == list(range(200))
            assert await asked[0] == b"7"
            assert await asked[1] is None
            with pytest.raises(BrokerError, match="out of range"):
                await asked[2]
            assert one.is_open
            assert one.under_way == 0

    run(work())
    assert broker.topics == {"t": 1, "u": 3}


def test_large_replies_in_pieces(broker):
    """GOF-37: replies over 64 KiB, cut anywhere."""
    broker.options.pieces = True
    value = random.Random(1).randbytes(300_000)

    async def work():
        async with await opened(broker) as one:
            await one.request(Produce("t", 0, value))
            replies = await asyncio.gather(*(one.request(Fetch("t", 0, 0)) for _ in range(20)))
            assert set(replies) == {value}

    run(work())


def test_a_full_socket_is_waited_for(broker):
    """GOF-35: `request` waits while the broker reads nothing, and nothing piles up here; all arrive in order."""

    async def work():
        async with await opened(broker) as one:
            broker.options.commit_s = 0.2
            values = [bytes([number]) * 400_000 for number in range(40)]
            sending = [asyncio.ensure_future(one.request(Produce("t", 0, value))) for value in values]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            broker.options.commit_s = 0.0
            assert [each.offset for each in await asyncio.gather(*sending)] == list(range(40))
        assert broker.log("t") == values

    run(work())


def test_it_encrypts_and_verifies():
    """GOF-12: TLS as the context says; another authority, another name, no TLS at all: an error each."""
    ours, others = Certificates(), Certificates()
    with GofkaDouble(ssl=ours.server) as broker:

        async def work():
            async with await opened(broker, ssl=ours.client) as one:
                value = bytes(200_000)
                assert await one.request(Produce("t", 0, value)) == ProduceReply(0, 0)
                assert await one.request(Fetch("t", 0, 0)) == value
            with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await opened(broker, ssl=others.client)
            with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await opened(broker, ssl=ssl.create_default_context())
            async with await opened(broker) as plain:
                with pytest.raises(ConnectionError):
                    await plain.request(ListGroups())

        run(work())
    named = Certificates("broker.example")
    with GofkaDouble(ssl=named.server) as broker:

        async def elsewhere():
            with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await opened(broker, ssl=named.client)

        run(elsewhere())


def test_tls_to_a_broker_without_it(broker):
    """GOF-12: said, and nothing sent in the clear."""

    async def work():
        with pytest.raises(ConnectionError, match="cannot connect"):
            await opened(broker, ssl=ssl.create_default_context(), timeout=10)

    run(work())
    assert not broker.requests


# --- who cannot be reached --------------------------------------------------------------------------------------------


def test_nobody_there():
    """GOF-33: refused, never answered, no such host: a ConnectionError each, in time."""

    async def failure(host, port, timeout=30.0):
        with pytest.raises(ConnectionError) as caught:
            await Connection.open(host, port, timeout=timeout)
        return caught.value

    async def work():
        with refused_port() as port:
            assert "cannot connect" in str(await failure(HOST, port))
        with black_hole() as port:
            assert isinstance(await failure(HOST, port, 0.05), RequestTimeoutError)
        for host in ("a..b", "x" * 70, "no\0host"):
            await failure(host, 9092)

    run(work())


def test_a_broker_that_does_not_answer():
    """GOF-33: the request that is too late says so, whatever waits behind it is told why, the connection is closed."""

    async def work(port):
        async with await Connection.open(HOST, port, timeout=60) as one:
            other = one.submit(ListGroups())
            late = asyncio.ensure_future(one.request(FindCoordinator("g"), timeout=0.05))
            with pytest.raises(RequestTimeoutError, match="has not answered FindCoordinator in time") as caught:
                await late
            assert isinstance(caught.value, TimeoutError)
            with pytest.raises(ConnectionError, match="has not answered FindCoordinator") as caught:
                await other
            assert not isinstance(caught.value, TimeoutError)
            assert not one.is_open
            with pytest.raises(ConnectionError, match="has not answered"):
                await one.request(ListGroups())

    with silent_port() as port:
        run(work(port))


def test_a_time_limit_does_not_outlive_its_request(broker):
    """GOF-33: what was answered in time is not late afterwards."""

    async def work():
        async with await opened(broker) as one:
            for _ in range(3):
                await one.request(ListGroups(), timeout=5)
            one._late()  # as when the earliest limit comes
            assert one.is_open

    run(work())


# --- bad replies ------------------------------------------------------------------------------------------------------

LONG = struct.pack(">II", MAX_FRAME + 1, FIRST_CORRELATION)
BAD = {
    "another correlation id": ((reply(b"\1", FIRST_CORRELATION + 5),), ConnectionError, "answered request 0x40000005"),
    "old framing": ((struct.pack(">I", FIRST_CORRELATION) + b"\0" * 30,), ConnectionError, "framing of before 2026"),
    "oversized": ((LONG,), ConnectionError, "announced a reply of"),
    "undersized": ((struct.pack(">I", 3),), ConnectionError, "announced a reply of 3 bytes"),
    "truncated": ((reply(bytes(100))[:50], b""), ConnectionError, "closed the connection"),
    "closed at once": ((b"",), ConnectionError, "closed the connection"),
    "short body": ((reply(b"\0\0"),), WireError, "."),
    "long body": ((reply(bytes(40)),), WireError, "."),
    "negative count": ((reply(struct.pack(">ii", 0, -1)),), WireError, "."),
    "huge count": ((reply(struct.pack(">ihi", 0, 0, 2**31 - 1)),), WireError, "."),
    "HTTP": ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), ConnectionError, "announced a reply of"),
}


@pytest.mark.parametrize(("said", "error", "words"), BAD.values(), ids=BAD)
def test_bad_replies(said, error, words):
    """GOF-33: each a specific error, the connection discarded, and what waits behind it told too."""

    async def work():
        async with saying(*said) as port, await Connection.open(HOST, port) as one:
            first, second = one.submit(ListGroups()), one.submit(ListGroups())
            with pytest.raises(error, match=words) as caught:
                await first
            assert caught.value.__class__ is error
            with pytest.raises(ConnectionError) as other:
                await second
            assert other.value is not caught.value  # raising an error changes it
            assert not one.is_open
            with pytest.raises(ConnectionError):
                one.submit(ListGroups())

    run(work())


def test_a_reply_that_nobody_asked_for():
    """GOF-33: it would be taken for the next one's."""

    async def work():
        good = reply(struct.pack(">q", 5))
        async with saying(good + good) as port, await Connection.open(HOST, port) as one:
            assert await one.request(OffsetFetch("g", "t", 0)) == 5  # the reply before the fault is as good as any
            assert not one.is_open

    run(work())


def test_random_replies():
    """GOF-33, GOF-37: whatever comes, it ends in an error of the tree, at once, and nothing stays open."""
    source = random.Random(7)

    async def work():
        for _ in range(150):
            said = source.randbytes(source.randrange(1, 60))
            if source.random() < 0.7:
                said = reply(said)  # a frame around it
            async with saying(said, b"") as port, await Connection.open(HOST, port) as one:
                asked = source.choice(
                    [ListGroups(), Metadata(), Fetch("t", 0, 0), Produce("t", 0, b""), CreateTopic("t", 1)]
                )
                result = (await asyncio.gather(one.request(asked), return_exceptions=True))[0]
                assert isinstance(result, ConnectionError | WireError | BrokerError | bytes | tuple | ProduceReply) or (
                    result is None or type(result).__name__ == "MetadataReply"
                ), result

    run(work())


def test_memory_is_what_has_come():
    """GOF-33: a broker that announces 100 MiB and sends none of it costs nothing."""
    announced = struct.pack(">II", MAX_FRAME, FIRST_CORRELATION)

    async def work():
        async with saying(announced + bytes(1000)) as port, await Connection.open(HOST, port) as one:
            tracemalloc.start()
            try:
                with pytest.raises(RequestTimeoutError):
                    await one.request(Fetch("t", 0, 0), timeout=0.2)
                assert tracemalloc.get_traced_memory()[1] < 2**20
            finally:
                tracemalloc.stop()

    run(work())


@pytest.mark.parametrize("how", ["half", "none", "unhandled", "whole"])
def test_a_broker_that_closes(broker, how):
    """GOF-33: in the middle, before, or behind a reply: what was answered is, the rest fails."""
    broker.close_after(2, reply=how)

    async def work():
        async with await opened(broker) as one:
            assert await one.request(Produce("t", 0, b"0")) == ProduceReply(0, 0)
            second = (await asyncio.gather(one.request(Produce("t", 0, b"1")), return_exceptions=True))[0]
            assert second == ProduceReply(0, 1) if how == "whole" else type(second) is ConnectionError
            with pytest.raises(ConnectionError, match="closed the connection"):
                await one.request(ListGroups())
            assert not one.is_open

    run(work())


def test_the_double_speaks_the_old_framing():
    """GOF-33: refused by name."""

    async def work(broker):
        async with await opened(broker) as one:
            with pytest.raises(ConnectionError, match="framing of before 2026"):
                await one.request(OffsetFetch("g", "t", 0))

    with GofkaDouble(old_framing=True) as broker:
        run(work(broker))


# --- what is never sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        Fetch("t" * 32_768, 0, 0),
        Fetch("\udc80", 0, 0),
        Fetch("t", 2**31, 0),
        Fetch("t", 0, 2**63),
        Produce("t", -(2**31) - 1, b""),
    ],
    ids=["long", "not UTF-8", "partition", "offset", "negative"],
)
def test_what_cannot_be_told(broker, request_):
    """GOF-33: refused before it is sent; the connection is as good as before."""

    async def work():
        async with await opened(broker) as one:
            with pytest.raises(WireError):
                await one.request(request_)
            assert await one.request(ListGroups()) == ()

    run(work())
    assert broker.requests == {"ListGroups": 1}


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "a\\b", "a\0", "ä", "a b", "x" * 250, "a\n", None, b"a", 7]
)
def test_names_that_would_be_paths(name):
    """GOF-33: for topics and groups alike; the broker makes file paths of them."""
    for check in (check_topic, check_group):
        with pytest.raises(ValueError, match="name"):
            check(name)


def test_names_that_the_broker_has():
    """GOF-33: its own folders, and those of another topic's partitions."""
    for name in ("offsets", "consumer-groups", "orders-0", "orders-12"):
        with pytest.raises(ValueError, match="name"):
            check_topic(name)
    with pytest.raises(ValueError, match="name"):
        check_group("previous_assignments")
    for name in ("orders", "a" * 249, "orders-v2", "0", "A.b_c-d", "previous_assignments"):
        assert check_topic(name) == name
    assert check_group("workers-1") == "workers-1"


# --- cancellation -----------------------------------------------------------------------------------------------------


def test_a_cancelled_request(broker):
    """GOF-33: its reply is thrown away, those after it get their own."""

    async def work():
        async with await opened(broker) as one:
            for number in range(3):
                await one.request(Produce("t", 0, b"%d" % number))
            broker.pause()
            first, second = (asyncio.ensure_future(one.request(Fetch("t", 0, number))) for number in (1, 2))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.sleep(0)
            assert first.cancelled()
            broker.resume()
            assert await second == b"2"

    run(work())


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_cancelled_at_every_step(encrypted):
    """GOF-33: whenever it comes, it is not swallowed, and nothing is left open."""
    certificates = Certificates() if encrypted else None

    async def life(broker):
        one = await opened(broker, ssl=certificates and certificates.client)
        async with one:
            await one.request(Produce("t", 0, b"x"))
            await one.request(Metadata())

    async def work(broker):
        done = steps = 0
        while not done:
            task = asyncio.ensure_future(life(broker))
            for _ in range(steps):
                await asyncio.sleep(0)
            if task.done():
                done = 1
            elif steps > 60:  # the broker takes its time: steps of this loop alone say nothing any more
                await asyncio.wait([task], timeout=0.001 * (steps - 60))
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            assert isinstance(result, asyncio.CancelledError) or (result is None and task.done())
            done = done or result is None
            steps += 1

    with GofkaDouble(ssl=certificates and certificates.server) as broker:
        run(work(broker))
        wait_for(lambda: not broker.connections_open, "all connections are closed")


def test_a_close_that_is_cancelled(broker):
    """GOF-33: it closes all the same, and the cancellation is not swallowed."""

    async def work():
        one = await opened(broker)
        closing = asyncio.ensure_future(one.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not one.is_open
        await one.aclose()

    run(work())


def test_closing_tells_who_waits(broker):
    """GOF-33: whatever is under way fails."""
    broker.pause()

    async def work():
        one = await opened(broker)
        waiting = [one.submit(ListGroups()) for _ in range(3)]
        await one.aclose()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(each) for each in results} == {ConnectionError}
        assert len({id(each) for each in results}) == 3
        assert "was closed here" in str(results[0])

    run(work())


class Heard(list):
    """A waiter that is no future."""

    def done(self):
        return False

    set_result = set_exception = list.append


def test_a_waiter_is_told_once(broker):
    """GOF-33: the reply or why there is none, when it is here; nothing of a request that was never sent."""

    async def work():
        first, second, third = Heard(), Heard(), Heard()
        async with await opened(broker) as one:
            one.send(Produce("t", 0, b"a"), first)
            await one.request(ListGroups())
            assert first == [ProduceReply(0, 0)]
            with pytest.raises(WireError):
                one.send(Produce("t" * 40_000, 0, b"b"), third)
            assert one.under_way == 0
            broker.pause()
            one.send(Produce("t", 0, b"c"), second)
        with pytest.raises(ConnectionError):
            one.send(Produce("t", 0, b"d"), third)
        assert [type(each) for each in second] == [ConnectionError]
        assert third == []
        broker.resume()

    run(work())


def test_a_reply_that_ends_the_connection(broker):
    """GOF-33: whoever closes it over one reply of several that came together is asked no more questions."""

    async def work():
        one = await opened(broker)
        broker.pause()

        class Closing(asyncio.Future):
            def set_result(self, result):
                super().set_result(result)
                one.abort()

        first = Closing()
        one.send(ListGroups(), first)
        waiting = [first, one.submit(ListGroups())]
        await asyncio.sleep(0)
        broker.resume()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert results[0] == ()
        assert isinstance(results[1], ConnectionError)
        await one.aclose()

    run(work())
