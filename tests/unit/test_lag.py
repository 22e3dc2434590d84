"""Who is read for lag, when, and what producers see of it, with a fake cluster at the I/O seam: LAG-2, LAG-4, LAG-8."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping

import pytest

from superclient.agent import lag as lag_module
from superclient.agent import log
from superclient.agent.lag import LONGEST, TIMEOUT, Lags
from superclient.agent.model import Counters, Origin, Plan, ProducerRequest
from superclient.agent.reporter import Draft
from superclient.agent.tracker import Tracked
from superclient.errors import ClusterError, NotAuthorized, Unreachable
from superclient.kafka.connection import Connection, Offsets


class Adapter:
    """A library that counts nothing by itself."""

    library = "kafka-python"

    def refresh(self, counters: Counters) -> None:
        """Nothing is deferred."""


class Cluster:
    """The offsets of one cluster: four partitions a topic, of which the first is behind."""

    def __init__(self) -> None:
        self.broken: Exception | None = None
        self.refused: dict[str, ClusterError] = {}
        self.topics = {"orders", "payments"}
        self.lag, self.asked, self.opened, self.closed, self.abandoned = 50_000, [], 0, 0, 0

    def read(self, groups: Mapping[str, Collection[str]], timeout: float) -> Offsets:
        """See OffsetsReader."""
        assert timeout <= TIMEOUT
        self.asked.append({group: sorted(topics) for group, topics in groups.items()})
        if self.broken is not None:
            raise self.broken
        ends = {topic: dict.fromkeys(range(4), 100_000) for topic in self.topics}
        committed = {
            group: {topic: {p: 100_000 - (self.lag if p == 0 else 0) for p in range(4)} for topic in topics}
            for group, topics in groups.items()
            if group not in self.refused
        }
        return Offsets(ends, {}, committed, {g: e for g, e in self.refused.items() if g in groups})

    def close(self) -> None:
        """See OffsetsReader."""
        self.closed += 1

    def abandon(self) -> None:
        """See OffsetsReader."""
        self.abandoned += 1


class World:
    """Lags over fake clusters, whose clock moves when told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(lag_module.time, "monotonic", lambda: self.now)
        self.clusters: dict[str, Cluster] = {}
        self.said: list[str] = []
        monkeypatch.setattr(log, "warn_once", lambda component, cause, message: self.said.append(message))
        self.lags = Lags(5.0, self.open)
        self.producers: list[tuple[object, Tracked]] = []

    def open(self, connection: Connection) -> Cluster:
        """A new reader."""
        cluster = self.clusters.setdefault(connection.bootstrap[0], Cluster())
        cluster.opened += 1
        return cluster

    def producer(self, groups: Mapping[str, str], where: str = "a:1", partitioner: str = "lag-aware") -> Tracked:
        """A tracked producer with this plan."""
        connection = Connection("kafka-python", (where,), "PLAINTEXT", {})
        request = ProducerRequest("kafka-python", "3", "app", connection, {}, {}, frozenset(), frozenset())
        plan = Plan({"partitioner.class": partitioner}, (), Origin.DEFAULTS, groups=groups)
        tracked = Tracked(Adapter(), request, plan)  # type: ignore[arg-type]
        one = object()
        tracked.ref, tracked.applied = lambda: one, True
        self.producers.append((one, tracked))
        self.clusters.setdefault(where, Cluster())
        return tracked

    def beat(self, after: float = 0.0) -> float:
        """Time passes, then the heartbeat comes."""
        self.now += after
        return self.lags.beat([tracked for _, tracked in self.producers])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world at rest."""
    return World(monkeypatch)


def test_one_reading_for_all_producers_of_a_cluster(world: World) -> None:
    """LAG-2: one read per interval for all groups and topics, jittered; each producer sees its own topics' groups."""
    first, second = world.producer({"orders": "g"}), world.producer({"orders": "h", "payments": "g"})
    pause = world.beat()
    cluster = world.clusters["a:1"]
    assert cluster.asked == [{"g": ["orders", "payments"], "h": ["orders"]}]
    assert 4.5 <= pause <= 5.5
    assert world.beat(1.0) == pytest.approx(pause - 1.0)
    assert len(cluster.asked) == 1
    pauses = {round(world.beat(6.0), 6) for _ in range(5)}
    assert len(cluster.asked) == 6
    assert len(pauses) > 1
    assert cluster.opened == 1
    key = first.request.connection.key
    views = world.lags.views(key, first.plan.groups)
    assert set(views) == {"orders"}
    assert views["orders"].lags == {0: 50_000, 1: 0, 2: 0, 3: 0}
    assert set(world.lags.views(key, second.plan.groups)) == {"orders", "payments"}


def test_nobody_lag_aware_means_no_reading(world: World) -> None:
    """LAG-8: sticky producers, closed ones, and those whose plan does not hold cost no connection."""
    world.producer({}, partitioner="sticky")
    world.producer({"orders": "g"}).closed = True
    world.producer({"orders": "g"}).applied = False
    world.producer({})  # by SUPERSTREAM_CONSUMER_GROUP, and no topic is known yet
    assert world.beat() == math.inf
    assert world.clusters["a:1"].opened == 0


def test_a_topic_learned_is_read_at_once(world: World) -> None:
    """LAG-8: nobody waits an interval for the first figures of a topic."""
    tracked = world.producer({"orders": "g"})
    world.beat()
    tracked.plan = Plan(tracked.plan.changes, (), Origin.DEFAULTS, groups={"orders": "g", "payments": "g"})
    world.beat(0.1)
    assert world.clusters["a:1"].asked[-1] == {"g": ["orders", "payments"]}


def test_the_reader_goes_with_the_last_producer_that_needs_it(world: World) -> None:
    """LAG-8: closed when nobody is left, opened again for the next; what was known is forgotten."""
    tracked = world.producer({"orders": "g"})
    world.beat()
    tracked.closed = True
    assert world.beat(1.0) == math.inf
    cluster = world.clusters["a:1"]
    assert (cluster.opened, cluster.closed) == (1, 1)
    assert not world.lags.views(tracked.request.connection.key, {"orders": "g"})
    world.producer({"orders": "g"})
    world.beat(1.0)
    assert cluster.opened == 2


def test_a_cluster_in_trouble_is_left_alone_longer_each_time(world: World) -> None:
    """LAG-2: back-off up to five minutes, said once, a new reader each time; the other cluster keeps its interval."""
    world.producer({"orders": "g"}, "a:1")
    world.producer({"orders": "g"}, "b:1")
    broken, well = world.clusters["a:1"], world.clusters["b:1"]
    broken.broken = Unreachable("nobody answers")
    for _ in range(1000):
        world.beat(1.0)
    assert 5 <= len(broken.asked) <= 12
    assert len(well.asked) > 150
    assert broken.opened == broken.closed == len(broken.asked)
    assert len(set(world.said)) == 1
    assert "consumer group g" in world.said[0]
    broken.broken, before = None, len(broken.asked)
    for _ in range(int(LONGEST * 1.1)):
        world.beat(1.0)
    assert len(broken.asked) > before + 2  # it answered, and has its interval again


def test_what_was_known_of_a_cluster_in_trouble_goes_stale(world: World) -> None:
    """LAG-4: a view is good for a minute, then producers are on their own."""
    tracked = world.producer({"orders": "g"})
    world.beat()
    world.clusters["a:1"].broken = Unreachable("gone")
    world.beat(6.0)
    view = world.lags.views(tracked.request.connection.key, {"orders": "g"})["orders"]
    assert view.until == pytest.approx(1060.0)
    (told,) = world.lags.told(tracked)
    assert (told.max, told.age) == (50_000, 6.0)
    assert "gone" in told.why


def test_no_right_to_a_group_is_one_line_and_plain_sticky(world: World) -> None:
    """LAG-8: the line names the group; its topics have no view, other groups' do; it is asked for seldom from then."""
    tracked = world.producer({"orders": "secret", "payments": "g"})
    cluster = world.clusters["a:1"]
    world.beat()
    cluster.refused = {"secret": NotAuthorized("GROUP_AUTHORIZATION_FAILED")}
    for _ in range(100):
        world.beat(6.0)
    views = world.lags.views(tracked.request.connection.key, tracked.plan.groups)
    assert set(views) == {"payments"}
    assert len(set(world.said)) == 1
    assert "no right to read the offsets of consumer group secret" in world.said[0]
    assert sum("secret" in asked for asked in cluster.asked) < 12
    assert sum("g" in asked for asked in cluster.asked) == 101
    first, second = world.lags.told(tracked)
    assert (first.topic, first.max) == ("orders", None)
    assert "GROUP_AUTHORIZATION_FAILED" in str(first)
    assert second.max == 50_000
    cluster.refused = {}
    world.beat(LONGEST * 1.2)
    assert set(views) == {"orders", "payments"}


def test_a_topic_that_is_gone_is_forgotten(world: World) -> None:
    """LAG-4: no choice by figures of a topic that does not exist any more."""
    tracked = world.producer({"orders": "g"})
    world.beat()
    world.clusters["a:1"].topics = set()
    world.beat(6.0)
    assert not world.lags.views(tracked.request.connection.key, tracked.plan.groups)


def test_any_other_failure_is_named_and_backed_off_from(world: World) -> None:
    """AGT-44: a mistake of a reader's ends neither the thread nor the reports."""
    world.producer({"orders": "g"})
    world.clusters["a:1"].broken = ZeroDivisionError()
    for _ in range(100):
        world.beat(1.0)
    assert len(world.clusters["a:1"].asked) < 8
    assert any("ZeroDivisionError" in said for said in world.said)


def test_a_child_starts_anew(world: World) -> None:
    """AGT-25: the parent's reader is let go of, not closed, and a producer that was inherited sees no lag any more."""
    tracked = world.producer({"orders": "g"})
    world.beat()
    views = world.lags.views(tracked.request.connection.key, tracked.plan.groups)
    assert set(views) == {"orders"}
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        world.lags.after_fork_in_child()
        cluster = world.clusters["a:1"]
        world.beat(1.0)  # of a producer that the child has made
        seen = (cluster.abandoned, cluster.closed, cluster.opened, len(cluster.asked), len(views))
        os.write(writing, repr(seen).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 100) == b"(1, 0, 2, 2, 1)"
    os.close(reading)
    os.close(writing)
    assert world.clusters["a:1"].abandoned == 0


def test_switched_off_nobody_goes_by_lag(world: World) -> None:
    """AGT-62: at once, without waiting for the thread, which closes the reader when it comes."""
    tracked = world.producer({"orders": "g"})
    world.beat()
    world.lags.forget()
    assert not world.lags.views(tracked.request.connection.key, tracked.plan.groups)
    assert world.beat(10.0) == math.inf
    assert world.clusters["a:1"].closed == 1


def test_reports_carry_the_figures(world: World) -> None:
    """LAG-8: max and median lag, switches, starved partitions and the age of the signal, in client_stats alone."""
    tracked = world.producer({"orders": "g", "elsewhere": "g"})
    world.beat()
    world.clusters["a:1"].lag = 0
    world.beat(6.0)
    world.clusters["a:1"].lag = 70_000
    world.beat(6.0)
    world.now += 1.5
    info, stats = Draft(tracked, stats=True, configured=(), lags=world.lags.told(tracked)).records
    assert b"lag_metrics" not in info[1]
    expected = (
        b'"lag_metrics":{"elsewhere":{"consumer_group":"g"},"orders":{"consumer_group":"g","lag-max":70000,'
        b'"lag-median":0,"switches":2,"starved-partitions":1,"signal-age-ms":1500}}'
    )
    assert expected in stats[1]
