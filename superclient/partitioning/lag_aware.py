"""Sticky batches, of which partitions with long queues get fewer, or none: by the newest view of a topic.

As long as no queue is too long this is `Sticky`, choice for choice. Else the next batch goes to the one of two
partitions, drawn at random, whose queue is less too long, where what was sent since the view was made counts as queue;
one that has just recovered gets part of its share first. Two, and not the best of all: what is known is seconds old,
and the same to all producers, who would all run to the same partition (Mitzenmacher, "How Useful Is Old Information?",
TPDS 2000). What each rule buys: `benchmarks.lag_simulation`.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence

from superclient.partitioning.state import View
from superclient.partitioning.sticky import MOST_TOPICS, Sticky, two


class LagAware:
    """See `partitioning.base.Partitioner`. Plain `Sticky` for a topic without a view, with an old one, or with no
    healthy partition."""

    def __init__(
        self,
        views: Mapping[str, View],
        chance: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`views` is read anew for each choice: the `views` of a LagState, or any other mapping that is kept fresh."""
        self._views, self._clock = views, clock
        self._chance = chance or random.Random()
        self._sticky = Sticky(self._chance)
        self._own: dict[str, _Own] = {}

    def choose(self, topic: str, available: Sequence[int]) -> int:
        """See Partitioner.choose."""
        view = self._views.get(topic)
        if view is None or not view.healthy or self._clock() >= view.until:
            return self._sticky.choose(topic, available)
        if not view.least:
            available = [partition for partition in available if partition in view.weights] or available
        if len(available) < 2 or not view.steers:
            self._even(topic)
            return self._sticky.choose(topic, available)
        own = self._own.get(topic)
        if own is None or own.view is not view:
            own = self._account(topic, view)
        if self._chance.random() < view.least:
            return self._chance.choice(available)
        one, other = two(available, self._chance)
        return one if own.queue(one) <= own.queue(other) else other

    def batch_full(self, topic: str, partition: int, records: int, size: int) -> None:
        """See Partitioner.batch_full."""
        own = self._own.get(topic)
        if own is None:
            self._sticky.batch_full(topic, partition, records, size)
        else:
            own.records[partition] = own.records.get(partition, 0) + records

    def _account(self, topic: str, view: View) -> "_Own":
        if topic not in self._own and len(self._own) >= MOST_TOPICS:
            self._own.clear()
        own = self._own[topic] = _Own(view)
        return own

    def _even(self, topic: str) -> None:
        """No queue is too long any more: what was given until now is forgotten, so that a partition that recovers is
        not given all that it missed."""
        if self._own.pop(topic, None) is not None:
            self._sticky.forget(topic)


class _Own:
    """What this producer sent, in records, since a view was made."""

    __slots__ = ("records", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self.records: dict[int, int] = {}

    def queue(self, partition: int) -> tuple[float, float]:
        """By how much a partition's queue is too long, with what has come to it since; among those that are all right,
        what they have got of their share, so that all get theirs."""
        excess, records = self.view.excess.get(partition, 0.0), self.records.get(partition, 0)
        return (excess + records if excess else 0.0, records / self.view.trial.get(partition, 1.0))
