"""The lag behind the topics of lag-aware producers: who is to be read, when, and what each producer gets to see of it.

One reading per cluster and interval brings the offsets of all groups and topics that live producers need, through a
reader that stays connected (`superclient.kafka`). All of it runs on the heartbeat's thread, after the reports, and is
bounded in time; a cluster or a group in trouble is left alone for longer and longer, and its producers go on with
sticky batches. What was read is a `View` per topic, replaced as a whole: producers take no lock and see no I/O.
"""

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from superclient._backoff import delays
from superclient.agent import log
from superclient.agent.answers import TopicLag
from superclient.agent.guard import guarded
from superclient.agent.routing import LAG_AWARE, MOST_TOPICS
from superclient.agent.tracker import Tracked
from superclient.agent.unhurried import unhurried
from superclient.errors import ClusterError, NotAuthorized
from superclient.kafka import face
from superclient.kafka.connection import ClusterKey, Connection, Offsets, OffsetsReader
from superclient.kafka.vocabulary import PARTITIONER
from superclient.partitioning import LagState, Rules, View
from superclient.partitioning.collectors import queues

TIMEOUT = 2.0  # seconds for one reading, connecting included
LONGEST = 300.0  # seconds that a cluster or a group is left alone
CUT_OFF = 60.0  # seconds after which a view says nothing any more; at least three readings

Wanted = dict[str, set[str]]
"""Group → topics."""


def open_reader(connection: Connection) -> OffsetsReader:
    """A reader by the library that the producer has."""
    reader: OffsetsReader = face(connection.library).offsets_reader(connection)
    return reader


class Views(Mapping[str, View]):
    """Topic → the newest view of it, for one producer: `groups` says which group's, and may be replaced at any time."""

    __slots__ = ("_key", "_states", "groups")

    def __init__(
        self, states: Mapping[tuple[ClusterKey, str], LagState], key: ClusterKey, groups: Mapping[str, str]
    ) -> None:
        self._states, self._key, self.groups = states, key, groups

    def __getitem__(self, topic: str) -> View:
        return self._states[self._key, self.groups[topic]].views[topic]

    def __iter__(self) -> Iterator[str]:
        return (topic for topic in self.groups if topic in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Wait:
    """Until when something that failed is left alone."""

    __slots__ = ("_delays", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self._delays: Iterator[float] | None = None

    def failed(self, now: float, base: float) -> None:
        self._delays = self._delays or delays(base, LONGEST)
        self.until = now + next(self._delays)

    def succeeded(self) -> None:
        self.until, self._delays = 0.0, None


class _Cluster:
    """One cluster's reader, and when its turn comes."""

    __slots__ = ("asked", "due", "reader", "refused", "wait")

    def __init__(self) -> None:
        self.reader: OffsetsReader | None = None
        self.due = 0.0
        self.wait = _Wait()
        self.refused: dict[str, _Wait] = {}
        self.asked: Wanted = {}


class Lags:
    """What this process knows of lag; written by the heartbeat's thread alone, read from anywhere."""

    def __init__(self, interval: float, opening: Callable[[Connection], OffsetsReader] = open_reader) -> None:
        """`interval`: seconds from one reading of a cluster to the next, more or less."""
        self._interval, self._opening = interval, opening
        self._rules = Rules(cut_off=max(CUT_OFF, 3 * interval))
        self._clusters: dict[ClusterKey, _Cluster] = {}
        self._states: dict[tuple[ClusterKey, str], LagState] = {}
        self._trouble: dict[tuple[ClusterKey, str], str] = {}
        self._over = False

    def views(self, key: ClusterKey, groups: Mapping[str, str]) -> Views:
        """What a producer of this cluster, with these groups by topic, sees of their lag; fresh for ever."""
        return Views(self._states, key, groups)

    def told(self, tracked: Tracked) -> tuple[TopicLag, ...]:
        """What is known of the lag behind a producer's topics; of those only whose lag it goes by."""
        if not _needs(tracked):
            return ()
        key, groups, now = tracked.request.connection.key, tracked.plan.groups, time.monotonic()
        views = self.views(key, groups)
        return tuple(
            _told(topic, group, views.get(topic), self._trouble.get((key, group), ""), now)
            for topic, group in sorted(groups.items())
        )

    def beat(self, everyone: Iterable[Tracked]) -> float:
        """Read what is due for these producers; the seconds until the next reading, infinite where none is needed."""
        wanted = _wanted(everyone) if not self._over else {}
        for key in self._clusters.keys() - wanted.keys():
            self._leave(key)
        for key in wanted.keys() - self._clusters.keys():
            self._clusters[key] = _Cluster()
        turns = sorted(wanted.items(), key=lambda item: self._clusters[item[0]].wait.until)  # who is in trouble, last
        for key, (connection, groups) in turns:
            cluster, now = self._clusters[key], time.monotonic()
            if any(topics - cluster.asked.get(group, set()) for group, topics in groups.items()):
                cluster.due = cluster.wait.until  # something new to read
            if now >= cluster.due:
                with guarded("partitioning", "reading consumer lag"):
                    self._visit(key, cluster, connection, groups, now)
        due = min((cluster.due for cluster in self._clusters.values()), default=math.inf)
        return max(0.0, due - time.monotonic())

    def forget(self) -> None:
        """Nobody goes by lag any more, from now on and for good; the readers are closed by the next `beat`."""
        self._over = True
        self._states.clear()

    def close(self) -> None:
        """Close the readers; there are new ones at the next `beat` that needs them."""
        for key in list(self._clusters):
            self._leave(key)

    def after_fork_in_child(self) -> None:
        """Readers and producers stayed in the parent."""
        for cluster in self._clusters.values():
            if cluster.reader is not None:
                with guarded("partitioning", "letting go of a parent's reader"):
                    cluster.reader.abandon()
        self._clusters = {}
        for known in (self._states, self._trouble):
            known.clear()  # which producers that were inherited look into

    def _visit(self, key: ClusterKey, cluster: _Cluster, connection: Connection, groups: Wanted, now: float) -> None:
        cluster.due = now + self._interval * random.uniform(0.9, 1.1)
        cluster.asked = groups
        self._forget_others(key, groups)
        asked = {group: topics for group, topics in groups.items() if now >= _until(cluster, group)}
        if not asked:
            return
        try:
            if cluster.reader is None:
                cluster.reader = self._opening(connection)
            offsets = cluster.reader.read(asked, TIMEOUT)
        except Exception as error:
            self._failed(key, cluster, groups, error)
            if not isinstance(error, ClusterError):
                raise
            return
        cluster.wait.succeeded()
        for group, topics in asked.items():
            refusal = offsets.refused.get(group)
            if refusal is None:
                cluster.refused.pop(group, None)
                self._take(key, group, topics, offsets, now)
            else:
                self._refused(key, cluster, group, refusal)

    def _take(self, key: ClusterKey, group: str, topics: Iterable[str], offsets: Offsets, now: float) -> None:
        state = self._states.get((key, group)) or LagState(self._rules)
        for topic in unhurried(topics):
            found = queues(offsets, group, topic)
            if found:
                state.update(topic, found, now)
            else:  # gone, or never there
                state.forget(topic)
        self._trouble.pop((key, group), None)
        if not self._over:  # somebody may have called `forget` meanwhile
            self._states[key, group] = state

    def _failed(self, key: ClusterKey, cluster: _Cluster, groups: Wanted, error: Exception) -> None:
        """Views that are there are good for a while; a new reader comes with the connection of whoever lives then."""
        cluster.wait.failed(time.monotonic(), self._interval)
        cluster.due = cluster.wait.until
        self._close(cluster)
        for group in groups:
            self._trouble[key, group] = f"could not be read: {error}"
        if isinstance(error, ClusterError):
            log.warn_once(
                "partitioning",
                (type(error), key),
                f"the lag of {_named(groups)} could not be read: {error}; sticky batches as long as that is so",
            )

    def _refused(self, key: ClusterKey, cluster: _Cluster, group: str, error: ClusterError) -> None:
        """One group's trouble is not the others'. Without a right to it nothing will be known; else what is known is
        good for a while."""
        cluster.refused.setdefault(group, _Wait()).failed(time.monotonic(), self._interval)
        if isinstance(error, NotAuthorized):
            self._states.pop((key, group), None)
        self._trouble[key, group] = f"could not be read: {error}"
        right = "no right to read" if isinstance(error, NotAuthorized) else "could not read"
        said = f"{right} the offsets of consumer group {group}: {error}; its topics get sticky batches"
        log.warn_once("partitioning", (type(error), key, group), said)

    def _forget_others(self, key: ClusterKey, groups: Wanted) -> None:
        for one, group in list(self._states):
            if one == key and group not in groups:
                self._states.pop((one, group), None)
            elif one == key:
                state = self._states[one, group]
                for topic in set(state.views) - groups[group]:
                    state.forget(topic)

    def _leave(self, key: ClusterKey) -> None:
        self._forget_others(key, {})
        for one in [one for one in self._trouble if one[0] == key]:
            del self._trouble[one]
        self._close(self._clusters.pop(key))

    def _close(self, cluster: _Cluster) -> None:
        reader, cluster.reader = cluster.reader, None
        if reader is not None:
            with guarded("partitioning", "closing a reader of lag"):
                reader.close()


def _needs(tracked: Tracked) -> bool:
    return tracked.applied and tracked.plan.changes.get(PARTITIONER) == LAG_AWARE


def _wanted(everyone: Iterable[Tracked]) -> dict[ClusterKey, tuple[Connection, Wanted]]:
    """What live producers need: by cluster, one's connection and the groups with their topics."""
    found: dict[ClusterKey, tuple[Connection, Wanted]] = {}
    left = MOST_TOPICS
    for tracked in everyone:
        if tracked.closed or not _needs(tracked) or tracked.ref() is None:
            continue
        connection = tracked.request.connection
        for topic, group in tracked.plan.groups.items():
            topics = found.setdefault(connection.key, (connection, {}))[1].setdefault(group, set())
            if topic not in topics and left > 0:
                topics.add(topic)
                left -= 1
    return found


def _until(cluster: _Cluster, group: str) -> float:
    refused = cluster.refused.get(group)
    return refused.until if refused is not None else 0.0


def _named(groups: Iterable[str]) -> str:
    names = sorted(groups)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"consumer group{'s' * (len(names) > 1)} {', '.join(names[:3])}{more}"


def _told(topic: str, group: str, view: View | None, trouble: str, now: float) -> TopicLag:
    if view is None or not view.lags:
        return TopicLag(topic, group, why=trouble or "not read yet")
    lags = sorted(view.lags.values())
    return TopicLag(
        topic,
        group,
        max=lags[-1],
        median=lags[(len(lags) - 1) // 2],
        switches=view.switches,
        starved=sum(view.weights.get(partition, 0.0) < 1 - 1e-9 for partition in view.lags),
        age=max(0.0, now - view.at),
        why=trouble,
    )
