"""Where a producer's records without a key go: whether that is the agent's to say, and a batch's turn at a partition.

A turn begins when a partition is chosen and ends with the batch that it was chosen for: full, sent, or its leader
lost. Whether that batch is still there is read off the library's own queues each time, so asking twice for one record
(kafka-python 3 does, and tracers do) gets one answer, and nothing has to be kept in step. The choice itself is a
`Partitioner`'s.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from superclient.agent import rollout
from superclient.agent.model import Action, Advice, Origin, Plan, ProducerRequest, Reason
from superclient.kafka.vocabulary import PARTITIONER
from superclient.partitioning import Partitioner
from superclient.settings import Settings

DEFAULT, STICKY, LAG_AWARE = "default", "sticky", "lag-aware"
STICKS_BY_ITSELF = ("confluent-kafka",)
MOST_TOPICS = 1000
_TOLD = 3  # topics that a reason names
_TRIES = 4  # to meet one of those that are free


def routed(
    plan: Plan, request: ProducerRequest, topics: Collection[str], advice: Advice, settings: Settings, place: float = 0
) -> Plan:
    """The plan with lag-aware or sticky batches, for a producer of these topics that has its library's own partitioner.
    Pure.

    `auto` leaves a producer alone for which nothing is recommended where SUPERSTREAM_DEFAULTS=off; the others do not.
    """
    quiet = plan.origin is Origin.USER and settings.partitioning not in (STICKY, LAG_AWARE)
    if settings.partitioning == DEFAULT or quiet:
        return plan
    every = settings.consumer_group if settings.partitioning != STICKY else None
    found = groups(topics, advice, settings, place) if settings.partitioning != STICKY else {}
    if PARTITIONER not in request.tunable:
        why = f"the program's own partitioning stays, also with {_named(found)}" if found else ""
        kept = Reason(PARTITIONER, Action.KEPT, request.effective(PARTITIONER), why)
        return replace(plan, reasons=(*plan.reasons, kept)) if found else plan
    if found or every:
        why = f"records without a key avoid the partitions where {_named(found) or f'group {every}'} lags"
        return _with(plan, LAG_AWARE, why, found)
    missing = "; no consumer group is named for its topics" if settings.partitioning == LAG_AWARE else ""
    if request.library in STICKS_BY_ITSELF:
        kept = Reason(PARTITIONER, Action.KEPT, request.effective(PARTITIONER), missing.removeprefix("; "))
        return replace(plan, reasons=(*plan.reasons, kept)) if missing else plan
    return _with(plan, STICKY, f"records without a key fill one batch after the other{missing}", {})


def groups(topics: Collection[str], advice: Advice, settings: Settings, place: float = 0.0) -> dict[str, str]:
    """Topic → the consumer group whose lag matters to it, of those that have one: by SUPERSTREAM_CONSUMER_GROUPS, then
    the metadata (for a producer within the topic's rollout), then SUPERSTREAM_CONSUMER_GROUP."""
    by_topic = dict(settings.consumer_groups)
    found = {}
    for topic in sorted(topics):
        known = advice.metadata.topics.get(topic)
        advised = known.consumer_group if known and rollout.within(place, known.rollout_percentage) else ""
        group = by_topic.get(topic) or advised or settings.consumer_group
        if group:
            found[topic] = group
    return found


def rerouted(held: Plan, wanted: Plan) -> Plan:
    """The plan that a producer has, with the partitioning of one whose settings it cannot take."""
    changes = {name: value for name, value in held.changes.items() if name != PARTITIONER}
    if PARTITIONER in wanted.changes:
        changes[PARTITIONER] = wanted.changes[PARTITIONER]
    reasons = [reason for reason in held.reasons if reason.name != PARTITIONER]
    reasons += [reason for reason in wanted.reasons if reason.name == PARTITIONER]
    about = wanted if PARTITIONER in wanted.changes else held
    return replace(
        held, changes=changes, reasons=tuple(reasons), why=about.why, treatment=about.treatment, groups=wanted.groups
    )


def _with(plan: Plan, partitioner: str, why: str, found: Mapping[str, str]) -> Plan:
    reason = Reason(PARTITIONER, Action.SET, partitioner, why)
    changes = {**plan.changes, PARTITIONER: partitioner}
    return replace(plan, changes=changes, reasons=(*plan.reasons, reason), groups=found)


def _named(found: Mapping[str, str]) -> str:
    """Groups with their topics, as a person reads them; "" for none."""
    told = [f"group {group} of topic {topic}" for topic, group in list(found.items())[:_TOLD]]
    more = [f"those of {len(found) - _TOLD} more topics"] if len(found) > _TOLD else []
    return " or ".join([*told, *more])


class Turn:
    """A partition's turn: `begun` once its batch was seen; until then `before` is the full batch that it follows."""

    __slots__ = ("before", "begun", "key", "partition", "records", "size")

    def __init__(self, key: Any, partition: int, before: Any, size: int) -> None:
        self.key, self.partition, self.before = key, partition, before
        self.begun = False
        self.records, self.size = 1, size


class Router:
    """One producer's records without a key; asked from any of the program's threads, for every record.

    `views` is what its partitioner looks into, where that is lag-aware; anything or None, and not used here.
    """

    __slots__ = ("_batches", "_cluster", "_key", "_lock", "_partitioner", "_room", "_turns", "views")

    def __init__(
        self,
        cluster: Any,
        batches: Mapping[Any, Any],
        key: Callable[[str, int], Any],
        room: Callable[[Any, int], bool],
        partitioner: Partitioner,
    ) -> None:
        """`batches` is the library's own: what `key` makes of topic and partition → its queue of batches, the newest
        last. `room` tells whether a batch takes another record of so many bytes."""
        self._cluster, self._batches, self._key, self._room = cluster, batches, key, room
        self._partitioner = partitioner
        self.views: Any = None
        self._turns: dict[str, Turn] = {}
        self._lock = threading.Lock()  # held by nobody who waits, and never waited for

    def follow(self, partitioner: Partitioner, views: Any = None) -> None:
        """Ask another partitioner from the next batch on; turns go on."""
        self._partitioner, self.views = partitioner, views

    def place(self, topic: str, size: int) -> int | None:
        """The partition for a record of so many bytes; None where the library is to choose as it always does."""
        turn = self._turns.get(topic)
        if turn is not None:
            leader = self._cluster.leader_for_partition(turn.key)
            if leader is not None and leader != -1:
                tail = self._tail(turn.key)
                if tail is None or tail is turn.before:
                    if not turn.begun:  # so far this record is the turn's only one, asked about again
                        turn.records, turn.size = 1, size
                        return turn.partition
                elif self._room(tail, size):
                    turn.begun, turn.before = True, None
                    turn.records += 1
                    turn.size += size
                    return turn.partition
        return self._switch(topic, size, turn)

    def seen(self, key: Any, batch: Any) -> None:
        """This batch was made, or sent: if a turn waits for one, this is it. Without it a batch that came and went
        between two records would not be known of."""
        turn = self._turns.get(key.topic)
        if turn is not None and turn.partition == key.partition and batch is not turn.before:
            turn.begun, turn.before = True, None

    def _tail(self, key: Any) -> Any:
        queue = self._batches.get(key)
        try:
            return queue[-1] if queue else None
        except IndexError:  # taken by the sender's thread in between
            return None

    def _switch(self, topic: str, size: int, over: Turn | None) -> int | None:
        if not self._lock.acquire(blocking=False):  # by another thread now, or by one that a fork has ended
            return None
        try:
            now = self._turns.get(topic)
            if now is not over and now is not None:
                return now.partition
            available = self._cluster.available_partitions_for_topic(topic)
            if not available or topic not in self._cluster.topics():  # unknown, internal, or without any leader
                self._turns.pop(topic, None)
                return None
            if over is not None:
                self._partitioner.batch_full(topic, over.partition, over.records, over.size)
            tails = {partition: self._tail(self._key(topic, partition)) for partition in sorted(available)}
            # Where the sender cannot keep up, what it has no batch of yet goes before what it has one too many of.
            free = [partition for partition, tail in tails.items() if tail is None or self._room(tail, size)]
            partition = self._choice(topic, free, list(tails))
            if len(self._turns) >= MOST_TOPICS:
                self._turns.clear()
            before = None if partition in free else tails[partition]
            self._turns[topic] = Turn(self._key(topic, partition), partition, before, size)
            return partition
        finally:
            self._lock.release()

    def _choice(self, topic: str, free: list[int], every: list[int]) -> int:
        """The next partition: one that is free, unless only partitions are that lag."""
        view = self.views.get(topic) if self.views is not None else None
        if view is None or not view.steers or time.monotonic() >= view.until:
            return self._partitioner.choose(topic, free or every)
        better = [partition for partition in free if partition not in view.excess]
        for _ in range(_TRIES):
            partition = self._partitioner.choose(topic, every)
            if partition in free or not better:
                break
        return partition
