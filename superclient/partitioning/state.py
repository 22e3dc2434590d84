"""What is known of the queues behind the partitions of a group's topics, and by how much which of them are too long.

A `LagState` has one writer, whoever refreshes it, and any number of readers: what they read is a `View`, which is made
anew by each refresh, put in its place as a whole and never changed. No lock, no I/O.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from superclient.partitioning import scoring

TRIAL = (0.25, 0.5)  # of its share, in the first and second view after a queue was too long
FIRST_FLOOR = 10.0 * scoring.FLOOR  # records, as long as it is not known how many come in a second
BATCHING = 1.0  # seconds within which batches that come at once are worked off
SMOOTHING = 0.5  # of rates: how much the newest interval counts, since groups commit now and then


class Queue(NamedTuple):
    """One partition's queue: its length in records (a negative one counts as 0), and the log end offset if known."""

    lag: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How queues are judged.

    Attributes:
        max_lag: records at which a queue scores 0; None: by what is usual in the topic (`scoring.usual`).
        threshold: the score from which on a partition is healthy; on the relative scale a usual queue scores 0.5.
        cut_off: seconds after which what was seen says nothing any more.
        least: the part of all batches, 0 to 1, that are spread evenly whatever the queues are, so that none is left
            without records for long; 0: nothing for a partition that is not healthy.
        probation: whether a queue that was too long counts as too long until it is half as long, and then gets part of
            its share before it gets all of it.
    """

    max_lag: float | None = None
    threshold: float = 0.5
    cut_off: float = 60.0
    least: float = 0.02
    probation: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """One topic at one moment.

    Attributes:
        at, until: when it was seen, and from when on it is too old to go by; time.monotonic().
        lags: partition → records; only partitions that have a leader.
        scores: partition → health, 0 to 1.
        healthy: the partitions at the threshold or above.
        weights: partition → its share of the batches, 1.0 being what all would get if they were alike; absent for those
            that get none.
        switches: how many times a partition became healthy or stopped being it, since the topic is known.
        excess: partition → records by which its queue is too long, of those only whose queue is.
        trial: partition → part of its share that it gets for now, of those only that have just recovered.
        least: see Rules.
        delays: partition → seconds that a new record would wait, as fast as its queue was worked off lately; absent
            where that is not known.
    """

    at: float
    until: float
    lags: Mapping[int, int]
    scores: Mapping[int, float]
    healthy: frozenset[int]
    weights: Mapping[int, float]
    switches: int = 0
    excess: Mapping[int, float] = field(default_factory=dict)
    trial: Mapping[int, float] = field(default_factory=dict)
    least: float = 0.0
    delays: Mapping[int, float] = field(default_factory=dict)

    @property
    def steers(self) -> bool:
        """Whether some partition is to get less than the others; else they are all alike."""
        return bool(self.excess or self.trial)


class LagState:
    """The queues of one group's topics: `views` is for anybody at any time, `update` and `forget` for the writer."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.views: dict[str, View] = {}
        self._flows: dict[str, _Flow] = {}

    def update(self, topic: str, queues: Mapping[int, Queue], now: float) -> View:
        """Take in what a refresh at `now` (time.monotonic()) saw of a topic; answers the new view, also in `views`."""
        before = self.views.get(topic)
        lags = {partition: max(0, queue.lag) for partition, queue in queues.items()}
        flow = self._flows.setdefault(topic, _Flow())
        flow.take(queues, now)
        scores, excess = self._judged(lags, before, flow.passing)
        healthy = frozenset(partition for partition, each in scores.items() if each >= self.rules.threshold)
        trial = _on_trial(before, excess, lags) if before is not None and self.rules.probation else {}
        view = View(
            at=now,
            until=now + self.rules.cut_off,
            lags=lags,
            scores=scores,
            healthy=healthy,
            weights=self._weights(lags.keys(), healthy, excess, trial),
            switches=_switches(before, healthy, lags) if before is not None else 0,
            excess=excess,
            trial=trial,
            least=self.rules.least,
            delays=flow.delays(lags),
        )
        self.views[topic] = view
        return view

    def forget(self, topic: str) -> None:
        """The topic is gone, or nobody writes it any more."""
        self.views.pop(topic, None)
        self._flows.pop(topic, None)

    def _judged(
        self, lags: Mapping[int, int], before: View | None, floor: float
    ) -> tuple[dict[int, float], dict[int, float]]:
        """Scores, and by how much queues are too long."""
        rules = self.rules
        scale = rules.max_lag if rules.max_lag is not None else 2 * scoring.usual(lags.values() or [0], floor)
        limit = (1 - rules.threshold) * scale
        kept = before.excess if rules.probation and before is not None else {}
        scores = {partition: scoring.score(lag, scale) for partition, lag in lags.items()}
        excess = {}
        for partition, lag in lags.items():
            allowed = limit / 2 if partition in kept else limit
            if scores[partition] < rules.threshold or (partition in kept and lag > allowed):
                excess[partition] = max(1.0, lag - allowed)
        return scores, excess

    def _weights(
        self,
        partitions: Collection[int],
        healthy: frozenset[int],
        excess: Mapping[int, float],
        trial: Mapping[int, float],
    ) -> dict[int, float]:
        least, count = self.rules.least, len(partitions)
        if not least:
            return {partition: count / len(healthy) for partition in healthy}
        shares = {each: share * trial.get(each, 1.0) for each, share in scoring.shares(excess, partitions).items()}
        whole = sum(shares.values()) or 1.0
        return {each: least + (1 - least) * share * count / whole for each, share in shares.items()}


def _on_trial(before: View, excess: Mapping[int, float], lags: Mapping[int, int]) -> dict[int, float]:
    first, second = TRIAL
    again = {partition: second for partition, part in before.trial.items() if part == first}
    recovered = dict.fromkeys(before.excess, first)
    return {each: part for each, part in {**again, **recovered}.items() if each in lags and each not in excess}


def _switches(before: View, healthy: frozenset[int], lags: Mapping[int, int]) -> int:
    return before.switches + len((before.healthy ^ healthy) & lags.keys() & before.lags.keys())


class _Flow:
    """How fast a topic's partitions are filled and worked off, in records a second, over the last refreshes."""

    __slots__ = ("_arriving", "_at", "_drains", "_last", "passing")

    def __init__(self) -> None:
        self.passing: float = scoring.FLOOR
        """Records: a queue that is gone before anybody could do something about it is not a long one. What a partition
        gets, on average, in half the time between two looks and a second; FIRST_FLOOR until there were two."""
        self._arriving: float | None = None
        self._at = 0.0
        self._last: dict[int, tuple[int, int]] = {}  # partition → log end offset, committed offset
        self._drains: dict[int, float] = {}

    def take(self, queues: Mapping[int, Queue], now: float) -> None:
        """Note how far the producers and the group have come in each partition."""
        found = {partition: (queue.end, queue.end - queue.lag) for partition, queue in queues.items() if queue.end}
        span, known = now - self._at, found.keys() & self._last.keys()
        if found and self._arriving is None:
            self.passing = FIRST_FLOOR
        if span > 0 and known:
            came = sum(max(0, found[partition][0] - self._last[partition][0]) for partition in known)
            self._arriving = _smooth(self._arriving, came / len(known) / span)
            self.passing = max(scoring.FLOOR, self._arriving * (span / 2 + BATCHING))
            for partition in known:
                rate = max(0, found[partition][1] - self._last[partition][1]) / span
                self._drains[partition] = _smooth(self._drains.get(partition), rate)
        self._drains = {partition: rate for partition, rate in self._drains.items() if partition in found}
        self._last, self._at = found, now

    def delays(self, lags: Mapping[int, int]) -> dict[int, float]:
        """See View.delays; an empty queue is no wait, one that does not move has no end that we know of."""
        known = {partition: lag / self._drains[partition] for partition, lag in lags.items() if self._moves(partition)}
        return {**{partition: 0.0 for partition, lag in lags.items() if not lag}, **known}

    def _moves(self, partition: int) -> bool:
        return self._drains.get(partition, 0.0) > 0


def _smooth(last: float | None, now: float) -> float:
    return now if last is None else last + SMOOTHING * (now - last)
