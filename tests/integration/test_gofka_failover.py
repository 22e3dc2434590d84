"""A list of brokers, some of which do not do what is asked: who is tried next, and how long is waited in between."""

from __future__ import annotations

import asyncio
import random

import pytest

from superclient.gofka import failover
from superclient.gofka.cluster import Cluster, log_end
from superclient.gofka.connection import Connection
from superclient.gofka.errors import ConnectionError, RequestTimeoutError  # noqa: A004
from superclient.gofka.failover import BrokerFailoverManager, RetryPolicy, parsed
from superclient.gofka.wire import BrokerError, ListGroups, Metadata, Produce
from tests.faults import refused_port, silent_port
from tests.servers import wait_for
from tests.servers.gofka import Certificates, GofkaDouble

QUICK = RetryPolicy(max_retries=2, initial_backoff_ms=1, max_backoff_ms=2)
THREE = ["a:1", "b:2", "c:3"]


@pytest.fixture
def broker():
    with GofkaDouble() as double:
        yield double


def run(work):
    return asyncio.run(asyncio.wait_for(work, 60))


# --- how long is waited -----------------------------------------------------------------------------------------------


def test_the_backoff():
    """GOF-21: 100 · 2^n milliseconds up to the greatest, ± 25 %."""
    plain = RetryPolicy(max_retries=11, jitter=False)
    assert list(plain.delays()) == pytest.approx([min(0.1 * 2**n, 30) for n in range(11)])
    spread = [list(RetryPolicy(max_retries=11).delays()) for _ in range(300)]
    for number, delay in enumerate(plain.delays()):
        seen = [each[number] for each in spread]
        assert 0.75 * delay <= min(seen) < 0.85 * delay
        assert 1.15 * delay < max(seen) <= 1.25 * delay
    assert list(RetryPolicy(max_retries=0).delays()) == []
    assert list(RetryPolicy(2, 10, 1000, 3.0, False).delays()) == pytest.approx([0.01, 0.03])


@pytest.mark.parametrize(
    "given",
    [
        {"max_retries": -1},
        {"initial_backoff_ms": 0},
        {"initial_backoff_ms": 50, "max_backoff_ms": 49},
        {"backoff_multiplier": 0.5},
        {"backoff_multiplier": float("nan")},
    ],
    ids=str,
)
def test_policies_that_cannot_be_meant(given):
    """GOF-21: an error, when it is made."""
    with pytest.raises(ValueError, match="is"):
        RetryPolicy(**given)


# --- lists of brokers -------------------------------------------------------------------------------------------------


def test_lists_of_brokers():
    """GOF-19: a text with commas, or a list; IPv6 in brackets."""
    assert parsed("a:1, b.example:9092") == parsed(["a:1", "b.example:9092"]) == [("a", 1), ("b.example", 9092)]
    assert parsed("[::1]:9092,[fe80::1%eth0]:1") == [("::1", 9092), ("fe80::1%eth0", 1)]


@pytest.mark.parametrize(
    "given", ["", [], "a", "a:", ":1", "a:0", "a:65536", "a:1,", "::1:9092", "gofka://a:1", "a b:1", [("a", 1)], "a:١"]
)
def test_what_is_no_list_of_brokers(given):
    """GOF-19: an error that shows it."""
    with pytest.raises(ValueError, match="broker"):
        parsed(given)


def test_a_password_is_not_shown():
    """GOF-19: who pastes an address with one does not find it in the log."""
    with pytest.raises(ValueError, match="another") as caught:
        parsed("gofka://user:pass-word@broker:9092")
    assert "pass-word" not in str(caught.value)


@pytest.mark.parametrize(
    "given", [{"timeout": 0}, {"timeout": None}, {"timeout": float("nan")}, {"timeout": "5"}], ids=str
)
def test_timeouts_that_cannot_be_meant(given):
    """GOF-33: an error, when the client is made."""
    with pytest.raises(ValueError, match="timeout"):
        Cluster("a:1", **given)


def test_a_context_alone_does_not_encrypt():
    """GOF-12: so it is an error: nobody shall find out later that nothing was encrypted."""
    with pytest.raises(ValueError, match="use_ssl"):
        Cluster("a:1", ssl_context=Certificates().client)


# --- execute_with_failover --------------------------------------------------------------------------------------------


def test_the_next_broker_is_tried(broker):
    """GOF-20: refused, silent, not the leader; and whoever did it last is the first to be asked again."""
    asked = []

    async def store(host, port):
        asked.append(port)
        async with await Connection.open(host, port, timeout=0.2 if port != broker.port else 30) as connection:
            return await connection.request(Produce("t", 0, b"x"))

    async def work(brokers):
        manager = BrokerFailoverManager(brokers, QUICK)
        for offset in range(2):
            assert (await manager.execute_with_failover(store)).offset == offset
        return manager

    with refused_port() as refused, silent_port() as silent, GofkaDouble(follower=True) as follower:
        ports = [refused, silent, follower.port, broker.port]
        manager = run(work([f"127.0.0.1:{port}" for port in ports]))
        assert asked == [*ports, broker.port]
        assert manager.current == 3


def test_rounds_and_their_end(monkeypatch):
    """GOF-20, GOF-21: the whole list, as often as the policy says; then what the last one said."""
    waits, asked = [], []

    async def sleep(seconds):
        waits.append(seconds)

    async def refuse(host, port):
        asked.append(host)
        raise TimeoutError(host)

    monkeypatch.setattr(failover.asyncio, "sleep", sleep)
    manager = BrokerFailoverManager(THREE, RetryPolicy(max_retries=2, jitter=False))
    with pytest.raises(TimeoutError, match="c"):
        asyncio.run(manager.execute_with_failover(refuse))
    assert "".join(asked) == "abcabcabc"
    assert waits == pytest.approx([0.1, 0.2])


def test_other_errors_are_not_the_brokers():
    """GOF-20: raised as they are, and nobody else is asked."""
    for error in (KeyError("x"), BrokerError("failed to fetch message: no"), asyncio.CancelledError()):
        asked = []

        async def fail(host, port, error=error, asked=asked):
            asked.append(host)
            raise error

        with pytest.raises(type(error)):
            asyncio.run(BrokerFailoverManager(THREE, QUICK).execute_with_failover(fail))
        assert asked == ["a"]


def test_many_at_once_ask_each_broker():
    """GOF-20: those that fail at the same time do not send each other back to the broker that failed."""

    async def work():
        async def only_c(host, port):
            asked.append(host)
            await asyncio.sleep(0)
            if host != "c":
                raise ConnectionError(host)
            return host

        asked: list[str] = []
        manager = BrokerFailoverManager(THREE, RetryPolicy(max_retries=0))
        assert await asyncio.gather(*(manager.execute_with_failover(only_c) for _ in range(20))) == ["c"] * 20
        assert len(asked) == 60

    run(work())


# --- a client's brokers -----------------------------------------------------------------------------------------------


def test_a_silent_broker_is_the_last_one_tried_from_then_on(broker):
    """GOF-19: one that accepts connections and answers nothing does not keep a client for ever."""

    async def work(silent):
        cluster = Cluster([f"127.0.0.1:{silent}", broker.address], timeout=1.5, retry_policy=QUICK)
        with pytest.raises(RequestTimeoutError):
            await cluster.request(ListGroups())
        assert await cluster.request(ListGroups(), timeout=30) == ()
        broker.cut()
        await asyncio.to_thread(wait_for, lambda: not broker.connections_open, "it is cut", 20)
        while (await cluster.home()).broker[1] != broker.port:
            raise AssertionError("it went back to the silent one")
        await cluster.aclose()

    with silent_port() as silent:
        run(work(silent))


def test_no_broker_at_all():
    """GOF-19: every one of them is named."""

    async def work(one, two):
        cluster = Cluster([f"127.0.0.1:{one}", f"127.0.0.1:{two}"], retry_policy=QUICK)
        with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{one}.*127\.0\.0\.1:{two}"):
            await cluster.request(ListGroups())
        await cluster.aclose()

    with refused_port() as one, refused_port() as two:
        run(work(one, two))


def test_a_client_that_is_closed_while_it_connects(broker):
    """GOF-3: the connection that comes afterwards is not left open."""

    async def work():
        cluster = Cluster(broker.address)
        asking = asyncio.ensure_future(cluster.request(Metadata()))
        await asyncio.sleep(0)
        await cluster.aclose()
        with pytest.raises(ConnectionError, match="closed"):
            await asking

    run(work())
    wait_for(lambda: not broker.connections_open, "it is closed")


def test_where_a_log_ends():
    """GOF-9: whatever the broker's hint says, the end is the first offset that cannot be fetched."""
    source = random.Random(3)
    for _ in range(500):
        end, hint = source.choice([0, 1, 2, source.randrange(10**6)]), source.choice([0, 1, source.randrange(10**6)])
        found, asked = searched(end, hint)
        assert found == end
        assert asked <= (3 if hint == end else 50)


def searched(end, hint):
    """What the search finds in a log that ends there, and by how many questions."""
    search, asked = log_end(), 1
    offset = next(search)
    while True:
        told = BrokerError(f"failed to fetch message: offset {offset} out of range [0, {hint})")
        try:
            offset = search.send(told if offset >= end else None)
        except StopIteration as stop:
            return stop.value, asked
        asked += 1
