"""ConnectionPool over the broker's double: who gets which connection, how many there are, which are dropped."""

from __future__ import annotations

import asyncio
import random

import pytest

from superclient.gofka import pool as pooling
from superclient.gofka.errors import ConnectionError, RequestTimeoutError  # noqa: A004
from superclient.gofka.pool import ConnectionPool
from superclient.gofka.wire import ListGroups
from tests.faults import refused_port
from tests.servers import wait_for
from tests.servers.gofka import Certificates, GofkaDouble


@pytest.fixture
def broker():
    with GofkaDouble() as double:
        yield double


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


async def until(condition, what):
    await asyncio.to_thread(wait_for, condition, what, 20)


def lent(pool, broker):
    return pool.get_connection("127.0.0.1", broker.port)


async def use(pool, broker):
    async with lent(pool, broker) as connection:
        await connection.request(ListGroups())
        return connection


def test_a_connection_is_used_again(broker):
    """GOF-22: one after the other: the same; at the same time: one each."""

    async def work():
        async with ConnectionPool() as pool:
            first = await use(pool, broker)
            assert await use(pool, broker) is first
            async with lent(pool, broker) as one, lent(pool, broker) as two:
                assert one is first
                assert two is not first
                await two.request(ListGroups())  # the double has accepted it by then
            assert pool.idle == 2

    run(work())
    assert broker.connections_total == 2
    wait_for(lambda: not broker.connections_open, "the pool closes them")


def test_no_more_than_the_maximum(broker):
    """GOF-22: who comes when all are in use waits; in the order in which they came."""
    order = []

    async def work():
        async with ConnectionPool(max_connections=3) as pool:

            async def one(number):
                async with lent(pool, broker) as connection:
                    order.append(number)
                    await connection.request(ListGroups())

            await asyncio.gather(*map(one, range(50)))

    run(work())
    assert order == list(range(50))
    assert broker.connections_total == 3


def test_the_maximum_counts_what_is_kept_for_other_brokers(broker):
    """GOF-22: also while several are being made at once; the one unused for longest makes room."""

    async def work(other):
        async with ConnectionPool(max_connections=2) as pool:
            async with lent(pool, other), lent(pool, other):
                pass
            assert pool.idle == 2
            async with lent(pool, broker):
                assert pool.idle == 1
                async with lent(pool, broker):
                    assert pool.idle == 0
            await use(pool, other)
            assert pool.idle == 2
            await asyncio.gather(use(pool, broker), use(pool, other))
            await until(lambda: broker.connections_open + other.connections_open <= 2, "no more than two")

    with GofkaDouble() as other:
        run(work(other))


def test_idle_connections_are_closed(broker):
    """GOF-22: after max_idle_time, by themselves."""

    async def work():
        async with ConnectionPool(max_idle_time=0.05) as pool:
            first = await use(pool, broker)
            await until(lambda: not broker.connections_open, "it is closed")
            assert pool.idle == 0
            assert await use(pool, broker) is not first

    run(work())


def test_a_broken_connection_is_never_used_again(broker):
    """GOF-23: cut while idle; left in the middle of a request; broken in use."""

    async def work():
        async with ConnectionPool() as pool:
            first = await use(pool, broker)
            broker.cut()
            await until(lambda: not first.is_open, "the client has noticed")
            second = await use(pool, broker)
            assert second is not first

            broker.pause()
            async with lent(pool, broker) as connection:
                connection.submit(ListGroups())
            broker.resume()
            assert not second.is_open
            assert pool.idle == 0

            broker.answer_wrong_correlation()
            with pytest.raises(ConnectionError):
                await use(pool, broker)
            assert pool.idle == 0
            await use(pool, broker)

    run(work())


def test_a_healthy_one_is_asked_before(broker, monkeypatch):
    """GOF-23: one that was idle for long and does not answer any more is closed, and another one is made."""
    monkeypatch.setattr(pooling, "_ASKED_AFTER", 0.0)

    async def work():
        async with ConnectionPool(connection_timeout=1.5) as pool:
            first = await use(pool, broker)
            assert await use(pool, broker) is first
            assert broker.requests["FindCoordinator"] == 1
            broker.swallow_reply(api="FindCoordinator")
            async with lent(pool, broker) as connection:
                assert connection is not first
                await connection.request(ListGroups(), timeout=30)
            assert not first.is_open

    run(work())


def test_failures_give_their_place_back(broker):
    """GOF-22: refused, too late, cancelled while waiting: the next one gets its turn."""

    async def work(refused):
        async with ConnectionPool(max_connections=1, connection_timeout=1.5) as pool:
            for _ in range(2):
                with pytest.raises(ConnectionError):
                    async with pool.get_connection("127.0.0.1", refused):
                        pass
            broker.pause()
            with pytest.raises(RequestTimeoutError):
                await use(pool, broker)
            broker.resume()
            async with lent(pool, broker):
                waiting = asyncio.ensure_future(use(pool, broker))
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            await use(pool, broker)
            assert pool.idle == 1

    with refused_port() as refused:
        run(work(refused))


def test_cancelled_anywhere(broker, monkeypatch):
    """GOF-22: two hundred users that are cancelled at random moments: no place and no connection is lost."""
    monkeypatch.setattr(pooling, "_ASKED_AFTER", 0.0)
    source = random.Random(5)

    async def work():
        async with ConnectionPool(max_connections=4) as pool:
            users = [asyncio.ensure_future(use(pool, broker)) for _ in range(200)]
            while not all(user.done() for user in users):
                for user in source.sample(users, 3):
                    user.cancel()
                await asyncio.sleep(source.choice([0, 0, 0.001]))
            results = await asyncio.gather(*users, return_exceptions=True)
            assert {type(each).__name__ for each in results} <= {"Connection", "CancelledError"}
            users = [lent(pool, broker) for _ in range(4)]
            for user in users:
                await asyncio.wait_for(user.__aenter__(), 20)
            await until(lambda: broker.connections_open <= 4, "no connection is left over")
            for user in users:
                await user.__aexit__(None, None, None)

    run(work())
    wait_for(lambda: not broker.connections_open, "the pool closes them")


def test_a_closed_pool(broker):
    """GOF-22: those in use are closed when they are given back; nobody gets another one."""

    async def work():
        pool = ConnectionPool(max_connections=1)
        async with lent(pool, broker) as connection:
            waiting = asyncio.ensure_future(use(pool, broker))
            await asyncio.sleep(0)
            await pool.close()
            await connection.request(ListGroups())
        assert not connection.is_open
        with pytest.raises(ConnectionError, match="the pool is closed"):
            await waiting
        await pool.aclose()

    run(work())


def test_it_encrypts():
    """GOF-12: with the context that it is given."""
    certificates = Certificates()

    async def work(broker):
        async with ConnectionPool(ssl_context=certificates.client) as pool:
            await use(pool, broker)

    with GofkaDouble(ssl=certificates.server) as broker:
        run(work(broker))


@pytest.mark.parametrize("given", [{"max_connections": 0}, {"max_idle_time": 0}, {"connection_timeout": -1}], ids=str)
def test_numbers_that_cannot_be_meant(given):
    """GOF-22: an error, when it is made."""
    with pytest.raises(ValueError, match=r"above 0|1 or more"):
        ConnectionPool(**given)
