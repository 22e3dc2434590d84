"""What is known of the queues behind the partitions of a group's topics, and what share of the records each is to get.

A `LagState` has one writer, whoever refreshes it, and any number of readers: what they read is a `View`, which is made
anew by each refresh, put in its place as a whole and never changed. No lock, no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from superclient.partitioning import scoring


class Queue(NamedTuple):
    """One partition's queue: its length in records (a negative one counts as 0), and the log end offset if known."""

    lag: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How queues are judged.

    Attributes:
        max_lag: records at which a queue scores 0; None: by what is usual in the topic (`scoring.ordinary`).
        threshold: the score from which on a partition is healthy.
        cut_off: seconds after which what was seen says nothing any more.
        least: the share that a partition keeps however it lags, relative to a full one; 0 for none.
        probation: whether a partition that recovers gets part of its share before it gets all of it.
    """

    max_lag: float | None = None
    threshold: float = 0.5
    cut_off: float = 60.0
    least: float = 0.05
    probation: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """One topic at one moment.

    Attributes:
        at, until: when it was seen, and from when on it is too old to go by; time.monotonic().
        lags: partition → records; only partitions that have a leader.
        scores: partition → health, 0 to 1.
        healthy: the partitions at the threshold or above.
        weights: partition → share relative to a full one, above 0 to 1; absent for those that get nothing.
        switches: how many times a partition became healthy or stopped being it, since the topic is known.
    """

    at: float
    until: float
    lags: Mapping[int, int]
    scores: Mapping[int, float]
    healthy: frozenset[int]
    weights: Mapping[int, float]
    switches: int = 0


class LagState:
    """The queues of one group's topics: `views` is for anybody at any time, `update` and `forget` for the writer."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.views: dict[str, View] = {}

    def update(self, topic: str, queues: Mapping[int, Queue], now: float) -> View:
        """Take in what a refresh at `now` (time.monotonic()) saw of a topic; answers the new view, also in `views`."""
        rules, before = self.rules, self.views.get(topic)
        lags = {partition: max(0, queue.lag) for partition, queue in queues.items()}
        scores = scoring.scores(lags, rules.max_lag) if lags else {}
        healthy = frozenset(partition for partition, each in scores.items() if each >= rules.threshold)
        weights = {p: 1.0 if p in healthy else rules.least for p in lags if p in healthy or rules.least}
        switches = before.switches + len((before.healthy ^ healthy) & lags.keys() & before.lags.keys()) if before else 0
        view = View(now, now + rules.cut_off, lags, scores, healthy, weights, switches)
        self.views[topic] = view
        return view

    def forget(self, topic: str) -> None:
        """The topic is gone, or nobody writes it any more."""
        self.views.pop(topic, None)
