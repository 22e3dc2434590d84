"""Rebalances: which partitions a consumer has, what the program's callbacks are told, and where reading begins.

librdkafka reports them inside the call that fetches, in that call's thread. An exception must not leave a callback
there: the library would throw away the records of the call in progress. So they are kept, and raised afterwards.
"""

from collections.abc import Callable
from typing import Any, Protocol

from confluent_kafka import OFFSET_INVALID

from superclient.errors import KafkaConsumerRebalanceError
from superclient.toolkit import events, metrics

Key = tuple[str, int]
Callback = Callable[[list[Any]], object]
ASSIGN, REVOKE, LOST = "assign", "revoke", "lost"


class Owner(Protocol):
    """What the owner of the partitions does at each step, before the callbacks know of it (`gone`: after)."""

    def start(self, partitions: list[Any]) -> None:
        """Set the offsets at which partitions of a new assignment begin."""

    def finish(self, partitions: list[Any]) -> None:
        """Store what was completed of partitions that are about to go."""

    def gone(self, partitions: list[Any]) -> None:
        """Forget them."""


class Rebalances:
    """The callbacks of one consumer's subscription."""

    def __init__(self, owner: Owner, cooperative: bool) -> None:
        self._owner, self._cooperative = owner, cooperative
        self._callbacks: dict[str, list[Callback]] = {ASSIGN: [], REVOKE: [], LOST: []}
        self._failure: tuple[str, Exception] | None = None
        self.assigned: set[Key] = set()
        """The partitions that are this consumer's now."""
        self.assigning = False
        """Whether callbacks are being told of partitions that are not read yet."""

    def register(self, kind: str, callback: Callback) -> None:
        """Have it called, after those that are there, with a list of TopicPartitions."""
        if not callable(callback):
            raise TypeError(f"on_{kind} takes a function, not {callback!r}")
        self._callbacks[kind].append(callback)

    def subscribe(self, client: Any, topics: list[str]) -> None:
        """Subscribe the client, with these callbacks."""
        client.subscribe(topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def raise_failure(self) -> None:
        """Raise what a callback raised since the last time.

        Raises:
            KafkaConsumerRebalanceError: with the exception as its cause; the rebalance itself was completed.
        """
        if self._failure is not None:
            (kind, cause), self._failure = self._failure, None
            raise KafkaConsumerRebalanceError(f"on_{kind}: {type(cause).__name__}: {cause}") from cause

    @property
    def failed(self) -> bool:
        """Whether `raise_failure` would raise."""
        return self._failure is not None

    def _on_assign(self, client: Any, partitions: list[Any]) -> None:
        self.assigned.update(_keys(partitions))
        self.assigning = True
        try:
            self._tell(ASSIGN, partitions)
            self._owner.start(partitions)
        finally:
            self.assigning = False
        if any(one.offset != OFFSET_INVALID for one in partitions):  # else the library assigns by itself
            (client.incremental_assign if self._cooperative else client.assign)(partitions)

    def _on_revoke(self, _: Any, partitions: list[Any]) -> None:
        self._owner.finish(partitions)
        self._leave(REVOKE, partitions)

    def _on_lost(self, _: Any, partitions: list[Any]) -> None:
        self._leave(LOST, partitions)  # somebody else may have them already: nothing is stored

    def _leave(self, kind: str, partitions: list[Any]) -> None:
        try:
            self._tell(kind, partitions)
        finally:
            self.assigned.difference_update(_keys(partitions))
            self._owner.gone(partitions)

    def _tell(self, kind: str, partitions: list[Any]) -> None:
        events.emit(f"rebalance_{kind}", partitions=events.partitions(partitions))
        metrics.inc(f"consumer.rebalance.{kind}")
        for callback in self._callbacks[kind]:
            try:
                callback(partitions)
            except Exception as error:
                self._failure = self._failure or (kind, error)


def _keys(partitions: list[Any]) -> list[Key]:
    return [(one.topic, one.partition) for one in partitions]
