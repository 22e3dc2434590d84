"""First contact with a cluster: one fetch, bounded, shared, remembered: AGT-23, AGT-28."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from superclient.agent import metadata
from superclient.agent.metadata import FETCH_DEADLINE, MetadataStore, fetch
from superclient.agent.model import UNREACHABLE_FOR, Advice, State
from superclient.contract import Metadata
from superclient.errors import ClusterError, NotAuthorized, Unreachable
from superclient.kafka.connection import Connection, Found, LastRecord
from tests.servers import wait_for

HERE = Connection("kafka-python", ("here:9092",), "PLAINTEXT", {})
KNOWN = Advice(State.KNOWN, "read", Metadata())


class Cluster:
    """A cluster that answers when it is told to, and counts who asks."""

    def __init__(self, advice: Advice = KNOWN) -> None:
        self.advice, self.asked, self.answer = advice, 0, threading.Event()

    def __call__(self, connection: Connection, timeout: float) -> Advice:
        self.asked += 1
        assert self.answer.wait(20)
        return self.advice


@pytest.fixture
def cluster() -> Any:
    """A cluster that is released whatever happens."""
    one = Cluster()
    yield one
    one.answer.set()


def test_a_hundred_producers_are_one_fetch(cluster: Cluster) -> None:
    """AGT-28: 100 producers to one cluster share one fetch."""
    store = MetadataStore(cluster)
    entries = {id(store.ask(HERE)) for _ in range(100)}
    cluster.answer.set()
    assert store.ask(HERE).wait(10) is KNOWN
    assert (len(entries), cluster.asked) == (1, 1)


def test_the_wait_is_bounded_once_for_a_cluster(cluster: Cluster) -> None:
    """AGT-23: a cluster that does not answer costs the deadline once, whoever asks afterwards."""
    entry = MetadataStore(cluster).ask(HERE)
    assert entry.wait(0.05).state is State.UNKNOWN
    start = time.monotonic()
    for _ in range(200):
        entry.wait(0.05)
    assert time.monotonic() - start < 5  # 200 waits of their own would take 10 s


def test_what_comes_late_is_told(cluster: Cluster) -> None:
    """AGT-23: past the deadline the fetch goes on in the background, and what it brings is announced."""
    store, told = MetadataStore(cluster), threading.Event()
    entry = store.ask(HERE)
    entry.when_settled(told.set)
    assert entry.wait(0) is not KNOWN
    cluster.answer.set()
    assert told.wait(10)
    assert store.peek(HERE.key) is KNOWN


def test_an_event_loop_is_free_while_it_waits(cluster: Cluster) -> None:
    """AGT-23: awaiting the first fetch leaves the loop to the program."""

    async def program() -> tuple[Advice, int]:
        entry, turns = MetadataStore(cluster).ask(HERE), 0
        waiting = asyncio.ensure_future(entry.wait_async(20))
        while turns < 100:
            turns += 1
            await asyncio.sleep(0)
        assert not waiting.done()
        cluster.answer.set()
        return await waiting, turns

    assert asyncio.run(program()) == (KNOWN, 100)


def test_a_loop_that_closed_meanwhile_is_left_in_peace(cluster: Cluster) -> None:
    """AGT-23: an answer after the program's loop is gone raises nowhere."""
    store = MetadataStore(cluster)
    assert asyncio.run(store.ask(HERE).wait_async(0.01)).state is State.UNKNOWN
    cluster.answer.set()
    wait_for(lambda: store.ask(HERE).settled, "the fetch")
    assert store.peek(HERE.key) is KNOWN


def test_an_unreachable_cluster_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """AGT-23: an unreachable cluster is left alone for 60 s, then asked again."""
    cluster = Cluster(Advice(State.UNKNOWN, "refused"))
    cluster.answer.set()
    store = MetadataStore(cluster)
    assert store.ask(HERE).wait(10).why == "refused"
    store.ask(HERE)
    assert cluster.asked == 1
    now = time.monotonic()
    monkeypatch.setattr(metadata.time, "monotonic", lambda: now + UNREACHABLE_FOR + 1)
    store.ask(HERE)
    wait_for(lambda: cluster.asked == 2, "the second fetch")


def test_asking_again_takes_nothing_back(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> None:
    """AGT-23: while old advice is asked for anew it still holds, for live producers and for those who wait in vain."""
    cluster.answer.set()
    store = MetadataStore(cluster)
    assert store.ask(HERE).wait(10) is KNOWN
    cluster.answer.clear()
    now = time.monotonic()
    monkeypatch.setattr(metadata.time, "monotonic", lambda: now + 2 * KNOWN.interval)
    assert store.ask(HERE).wait(0) is KNOWN
    assert store.peek(HERE.key) is KNOWN
    assert not store.ask(HERE).settled


def test_another_principal_is_another_cluster(cluster: Cluster) -> None:
    """AGT-23: the cache key is the sorted bootstrap servers and the security principal."""
    store = MetadataStore(cluster)
    alice = Connection("kafka-python", ("here:9092",), "SASL_SSL/PLAIN/alice", {})
    assert store.ask(HERE) is store.ask(Connection("kafka-python", ("here:9092",), "PLAINTEXT", {"x": 1}))
    assert store.ask(HERE) is not store.ask(alice)


def test_a_renewal_that_fails_keeps_what_was_known() -> None:
    """AGT-23: a broker that is away for a while does not take the recommendation back."""
    answers = iter([KNOWN, Advice(State.UNKNOWN, "away")])
    store = MetadataStore(lambda connection, timeout: next(answers))
    assert store.renew(HERE) is KNOWN
    assert store.renew(HERE) is KNOWN


def test_after_a_fork_nobody_waits_for_the_parents_thread(cluster: Cluster) -> None:
    """AGT-24: a fetch under way in the parent is forgotten in the child."""
    store = MetadataStore(cluster)
    before = store.ask(HERE)
    store.after_fork_in_child()
    assert store.ask(HERE) is not before


@pytest.mark.parametrize(
    ("answer", "state", "part"),
    [
        (LastRecord(Found.NO_TOPIC), State.ABSENT, "has no topic"),
        (LastRecord(Found.EMPTY), State.ABSENT, "is empty"),
        (LastRecord(Found.RECORD, b"{}"), State.KNOWN, "read"),
        (LastRecord(Found.RECORD, b"]"), State.UNKNOWN, "not JSON"),
        (LastRecord(Found.RECORD, None), State.UNKNOWN, "no value"),
        (Unreachable("refused"), State.UNKNOWN, "refused"),
        (NotAuthorized("denied"), State.UNKNOWN, "no right to read"),
        (ClusterError("odd"), State.UNKNOWN, "odd"),
        (RuntimeError("very odd"), State.UNKNOWN, "RuntimeError"),
    ],
)
def test_every_answer_is_an_advice(
    monkeypatch: pytest.MonkeyPatch, answer: LastRecord | Exception, state: State, part: str
) -> None:
    """AGT-32, AGT-36: absent, known or unknown, with a phrase for people; never an exception."""

    class Face:
        @staticmethod
        def last_record(connection: Connection, topic: str, timeout: float) -> LastRecord:
            assert timeout == FETCH_DEADLINE
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(metadata, "face", lambda library: Face)
    advice = fetch(HERE)
    assert advice.state is state
    assert part in advice.why
