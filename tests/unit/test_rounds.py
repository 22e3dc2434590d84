"""What the heartbeat does when it wakes, with a fake cluster at the I/O seam: AGT-25, AGT-40, AGT-44, AGT-46."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import types
from typing import Any

import pytest

from superclient.agent import rounds as rounds_module
from superclient.agent import unhurried as unhurried_module
from superclient.agent.heartbeat import Heartbeat
from superclient.agent.metadata import MetadataStore
from superclient.agent.model import Advice, Counters, Origin, Plan, ProducerRequest, State
from superclient.agent.rounds import MAX_ATTEMPTS, Rounds
from superclient.agent.tracker import Tracked, Tracker
from superclient.agent.unhurried import unhurried
from superclient.contract import Metadata
from superclient.errors import TopicMissing, Unreachable
from superclient.kafka.connection import Connection
from tests.servers import wait_for

KNOWN = Advice(State.KNOWN, "read", Metadata(report_interval_ms=10_000))


class Producer:
    """Stands for a library's producer."""


class Adapter:
    """A library that counts nothing by itself."""

    library = "kafka-python"

    def refresh(self, counters: Counters) -> None:
        """Nothing is deferred."""


class World:
    """Rounds over fake clusters, whose clock moves when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.sent, self.sends, self.broken = 1000.0, [], 0, {}
        monkeypatch.setattr(rounds_module.time, "monotonic", lambda: self.now)
        self.tracker = Tracker(on_gone=lambda: None)
        self.store = MetadataStore(lambda connection, timeout: KNOWN)
        self.rounds = Rounds(self.tracker, self.store, lambda tracked, advice: None, lambda: (), self.send)

    def send(self, connection: Connection, records: Any, timeout: float) -> None:
        """The cluster: takes records, or fails as it was told to."""
        error = self.broken.get(connection.bootstrap[0])
        if error is not None:
            raise error
        self.sends += 1
        self.sent += [json.loads(value) for _, value in records]

    def producer(self, where: str = "a:1") -> tuple[Producer, Tracked]:
        """A tracked producer of a cluster whose metadata is known."""
        connection = Connection("kafka-python", (where,), "PLAINTEXT", {})
        self.store.renew(connection)
        request = ProducerRequest("kafka-python", "3", "app", connection, {}, {}, frozenset(), frozenset())
        producer, tracked = Producer(), Tracked(Adapter(), request, Plan({}, (), Origin.USER))
        self.tracker.add(tracked, producer)
        return producer, tracked

    def kinds(self) -> list[tuple[str, int]]:
        """What was reported so far: kind and sequence."""
        return [(report["message_type"], report["sequence"]) for report in self.sent]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world at rest."""
    return World(monkeypatch)


def test_info_at_once_and_stats_every_interval(world: World) -> None:
    """AGT-40, AGT-46: client_info after construction, client_stats by the interval, numbered from 0."""
    producer, _ = world.producer()
    pause = world.rounds.beat()
    assert world.kinds() == [("client_info", 0)]
    assert pause is not None
    assert pause <= rounds_module.LEARNING_TICK
    world.now += 11
    world.rounds.beat()
    world.now += 11
    world.rounds.beat()
    assert world.kinds() == [("client_info", 0), ("client_stats", 1), ("client_stats", 2)]
    del producer


def test_a_changed_plan_is_reported_again(world: World) -> None:
    """AGT-40: client_info goes out again whenever the applied configuration changes."""
    producer, tracked = world.producer()
    world.rounds.beat()
    tracked.info_due = True
    world.now += 1
    world.rounds.beat()
    assert world.kinds() == [("client_info", 0), ("client_info", 1)]
    del producer


def test_a_hundred_producers_are_two_reports(world: World) -> None:
    """AGT-23, AGT-40: the first is reported at once, those made right after it together: each send is a connection."""
    kept = []
    for _ in range(100):
        kept.append(world.producer())
        world.rounds.beat()
    assert (len(world.sent), world.sends) == (1, 1)
    world.now += 1
    world.rounds.beat()
    assert (len(world.sent), world.sends) == (100, 2)


def test_a_closed_producer_has_one_last_report_then_is_forgotten(world: World) -> None:
    """AGT-25: a job shorter than the interval still reports its volume; then nothing is left to do."""
    producer, tracked = world.producer()
    tracked.counters.topic("t").records = 5
    world.tracker.retire(producer)
    assert world.rounds.beat() is None
    assert world.kinds() == [("client_info", 0), ("client_stats", 1)]
    assert world.sent[1]["producer_metrics"]["record-send-total"] == 5
    assert world.tracker.everyone() == []


def test_garbage_collection_ends_tracking(world: World) -> None:
    """AGT-25: weak references only; a producer that is dropped is reported a last time and forgotten."""
    producer, tracked = world.producer()
    del producer
    gc.collect()
    assert tracked.closed
    assert world.rounds.beat() is None
    assert world.tracker.everyone() == []


def test_one_clusters_trouble_does_not_hold_up_another(world: World) -> None:
    """AGT-44: a cluster that fails goes last and backs off; the other's reports are sent."""
    bad, _ = world.producer("bad:1")
    good, _ = world.producer("good:1")
    world.broken["bad:1"] = Unreachable("refused")
    world.rounds.beat()
    assert world.kinds() == [("client_info", 0)]
    world.now += 11
    world.rounds.beat()
    assert [kind for kind, _ in world.kinds()] == ["client_info", "client_stats"]
    del bad, good


def test_a_failed_report_loses_no_volume(world: World) -> None:
    """AGT-46: what was not acknowledged is in the next report, under the same sequence number."""
    producer, tracked = world.producer()
    world.rounds.beat()
    one = tracked.counters.topic("t")
    one.bytes_before = one.bytes_after = 100
    world.broken["a:1"] = Unreachable("away")
    world.now += 11
    world.rounds.beat()
    world.broken.clear()
    world.now += 400
    world.rounds.beat()
    assert world.kinds()[-1] == ("client_stats", 1)
    assert world.sent[-1]["write_before_compression_delta"] == 100
    world.now += 11
    world.rounds.beat()
    assert world.sent[-1]["write_before_compression_delta"] == 0
    del producer


def test_a_cluster_without_a_reports_topic_keeps_nothing_for_ever(world: World) -> None:
    """AGT-45: no topic, no report; closed producers are forgotten after a few attempts."""
    producer, _ = world.producer()
    world.broken["a:1"] = TopicMissing("no topic")
    world.tracker.retire(producer)
    for _ in range(MAX_ATTEMPTS):
        world.rounds.beat()
        world.now += 1000
    assert world.tracker.everyone() == []
    assert world.sent == []


def test_a_reused_address_is_another_producer(world: World) -> None:
    """AGT-25: an object at the address of one that is gone is not mistaken for it."""
    producer, tracked = world.producer()
    assert world.tracker.find(producer) is tracked
    assert world.tracker.find(Producer()) is None
    successor = Tracked(Adapter(), tracked.request, tracked.plan)
    world.tracker.add(successor, producer)
    assert world.tracker.find(producer) is successor
    assert len(world.tracker.everyone()) == 2
    world.tracker.forget(tracked)
    assert world.tracker.everyone() == [successor]


def test_winding_down_is_one_last_report(world: World) -> None:
    """AGT-62: everything is reported once more, then nothing is left to do; a cluster that is away has its one try."""
    kept = [world.producer("a:1"), world.producer("b:1")]
    world.rounds.beat()
    world.sent.clear()
    world.broken["b:1"] = Unreachable("away")
    assert world.rounds.wind_down() is None
    assert [kind for kind, _ in world.kinds()] == ["client_stats"]
    world.broken.clear()
    assert world.rounds.wind_down() is None
    world.rounds.finish(1.0)
    assert len(world.sent) == 1, "nothing is sent any more, at exit neither"
    del kept


def test_winding_down_goes_on_looking_after_statistics(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """AGT-62, AGT-28: a producer with figures of ours in its queue is looked after until it is closed."""
    producer, tracked = world.producer()
    tracked.counters.source = object()
    seen: list[Counters] = []
    monkeypatch.setattr(Adapter, "refresh", lambda self, counters: seen.append(counters))
    assert world.rounds.wind_down() == rounds_module.TENDING
    assert world.rounds.wind_down() == rounds_module.TENDING
    assert len(seen) >= 2
    world.tracker.retire(producer)
    assert world.rounds.wind_down() is None
    assert world.tracker.everyone() == []


def test_a_thread_that_is_over_does_not_come_back() -> None:
    """AGT-62: hooks that are called for every batch bring nothing back after deactivate()."""
    heart = Heartbeat(lambda: None)
    heart.over = True
    heart.ensure()
    heart.ensure(blocking=False)
    assert not heart.alive


def test_the_thread_ends_when_nothing_is_left_and_comes_back() -> None:
    """AGT-25: with the last tracked producer the thread ends; the next one starts it again."""
    beats: list[int] = []

    def beat() -> None:
        beats.append(1)

    heart = Heartbeat(beat)
    heart.wake()
    heart.ensure()
    wait_for(lambda: beats and not heart.alive, "the thread's end")
    heart.wake()
    heart.ensure()
    wait_for(lambda: len(beats) >= 2 and not heart.alive, "its second end")


def test_the_thread_outlives_a_failure() -> None:
    """AGT-44: an unforeseen error in a round is said once, and the thread goes on."""
    beats: list[int] = []

    def beat() -> float | None:
        beats.append(1)
        if len(beats) == 1:
            raise RuntimeError("unforeseen")
        return None

    heart = Heartbeat(beat)
    heart.wake()
    heart.ensure()
    wait_for(lambda: len(beats) == 1, "the first beat")
    heart.wake()
    wait_for(lambda: len(beats) == 2 and not heart.alive, "the second beat")


def test_the_thread_stops_for_a_fork_and_comes_back_lazily() -> None:
    """AGT-24: stopping is quick for an idle thread; the next hooked call brings it back."""
    heart = Heartbeat(lambda: 1000.0)
    heart.ensure()
    assert heart.alive
    heart.stop(10)
    assert not heart.alive
    heart.ensure(blocking=False)
    assert heart.alive
    heart.stop(10)


def test_the_last_work_is_done_by_the_thread_itself() -> None:
    """AGT-25: at exit no new thread is needed, and one that is busy is not waited for longer than said."""
    heart, done = Heartbeat(lambda: 1000.0), threading.Event()
    heart.ensure()
    heart.run_last(done.set, 10)
    assert done.is_set()
    wait_for(lambda: not heart.alive, "the end")


def test_a_master_that_forks_without_a_word_gets_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """AGT-24: uWSGI's master forks without the GIL: a thread that runs then hangs the worker. The worker has one."""
    server = types.ModuleType("uwsgi")
    vars(server)["masterpid"] = os.getpid
    monkeypatch.setitem(sys.modules, "uwsgi", server)
    heart = Heartbeat(lambda: 1000.0)
    heart.ensure()
    assert not heart.alive
    vars(server)["masterpid"] = os.getppid
    heart.ensure()
    assert heart.alive
    heart.stop(5)


def test_a_hundred_producers_are_not_gone_through_in_one_breath(monkeypatch: pytest.MonkeyPatch) -> None:
    """AGT-35: others get the interpreter after every millisecond of work, or a program's event loop would stand still
    for as long as all of it takes."""
    clock, breaths = [0.0], []
    time = types.SimpleNamespace(monotonic=lambda: clock[0], sleep=breaths.append)
    monkeypatch.setattr(unhurried_module, "time", time)
    for _ in unhurried(range(100)):
        clock[0] += 0.0004
    assert len(breaths) == 33
