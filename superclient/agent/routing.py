"""Where a producer's records without a key go: whether that is the agent's to say, and a batch's turn at a partition.

A turn begins when a partition is chosen and ends with the batch that it was chosen for: full, sent, or its leader
lost. Whether that batch is still there is read off the library's own queues each time, so asking twice for one record
(kafka-python 3 does, and tracers do) gets one answer, and nothing has to be kept in step. The choice itself is a
`Partitioner`'s.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from superclient.agent.model import Action, Origin, Plan, ProducerRequest, Reason
from superclient.kafka.vocabulary import PARTITIONER
from superclient.partitioning import Partitioner
from superclient.settings import Settings

DEFAULT, STICKY = "default", "sticky"
MOST_TOPICS = 1000


def routed(plan: Plan, request: ProducerRequest, settings: Settings) -> Plan:
    """The plan with sticky batches, for a producer that has its library's own partitioner. Pure.

    `auto` leaves a producer alone for which nothing is recommended where SUPERSTREAM_DEFAULTS=off; `sticky` does not.
    """
    quiet = plan.origin is Origin.USER and settings.partitioning != STICKY
    if PARTITIONER not in request.tunable or settings.partitioning == DEFAULT or quiet:
        return plan
    reason = Reason(PARTITIONER, Action.SET, STICKY, "records without a key fill one batch after the other")
    return replace(plan, changes={**plan.changes, PARTITIONER: STICKY}, reasons=(*plan.reasons, reason))


class Turn:
    """A partition's turn: `begun` once its batch was seen; until then `before` is the full batch that it follows."""

    __slots__ = ("before", "begun", "key", "partition", "records", "size")

    def __init__(self, key: Any, partition: int, before: Any, size: int) -> None:
        self.key, self.partition, self.before = key, partition, before
        self.begun = False
        self.records, self.size = 1, size


class Router:
    """One producer's records without a key; asked from any of the program's threads, for every record."""

    __slots__ = ("_batches", "_cluster", "_key", "_lock", "_partitioner", "_room", "_turns")

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
        self._turns: dict[str, Turn] = {}
        self._lock = threading.Lock()  # held by nobody who waits, and never waited for

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
            partition = self._partitioner.choose(topic, free or list(tails))
            if len(self._turns) >= MOST_TOPICS:
                self._turns.clear()
            before = None if partition in free else tails[partition]
            self._turns[topic] = Turn(self._key(topic, partition), partition, before, size)
            return partition
        finally:
            self._lock.release()
