"""What lag-aware partitioning, and each of its rules, buys where no real broker could show it: simulated, seeded.

    python -m benchmarks.lag_simulation [--quick]

Consumers that are slow, stop, recover or flap, 12 to 1,000 partitions, 1 to 1,000 producers, signals that are 1 to 60 s
old; see benchmarks._queues. The same figures each time, on any machine. A rule that buys nothing in any row has no
place in `superclient.partitioning`. The least share is there for another reason: stream processors wait for partitions
that get nothing.
"""

import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks._harness import options
from benchmarks._queues import Making, Outcome, World, simulate
from superclient.partitioning import LagAware, LagState, Rules, Sticky, View

SPEED = 500.0  # records a second of a healthy consumer; 60 % of that arrives where all are alike


def slow(partition: int, _: float) -> float:
    """Two of twelve are 5 × slower."""
    return SPEED / 5 if partition % 6 == 0 else SPEED


def third(partition: int, _: float) -> float:
    """A third of them is 3 × slower."""
    return SPEED / 3 if partition % 3 == 0 else SPEED


def stops(partition: int, second: float) -> float:
    """One stops after 20 s, and comes back 40 s later."""
    return 0.0 if partition == 0 and 20 <= second < 60 else SPEED


def flaps(partition: int, second: float) -> float:
    """One works for 15 s, then rests for 15 s."""
    return 0.0 if partition == 0 and int(second / 15) % 2 else SPEED


def loaded(partition: int, _: float) -> float:
    """All get more than they can take; one of them takes half as much as the others."""
    return SPEED / 4 if partition == 0 else SPEED / 2


def healthy(partition: int, _: float) -> float:
    """All are alike."""
    return SPEED


class _Herding(LagAware):
    """The least loaded of all, in place of the better of two."""

    def choose(self, topic: str, available: Sequence[int]) -> int:
        return super().choose(topic, available) if topic not in self._own else self._least(topic, available)

    def _least(self, topic: str, available: Sequence[int]) -> int:
        super().choose(topic, available)
        own = self._own.get(topic)
        return available[0] if own is None else min(available, key=own.queue)


class _Forgetful(LagAware):
    """Own records since the last look do not count."""

    def batch_full(self, topic: str, partition: int, records: int, size: int) -> None:
        super().batch_full(topic, partition, 0, size)


class _Trusting(LagAware):
    """Who recovers gets all of its share at once."""

    def __init__(self, views: Mapping[str, View], *arguments: Any) -> None:
        super().__init__(_Untried(views), *arguments)


class _Untried(Mapping[str, View]):
    """Views without the trial of those that recover."""

    def __init__(self, views: Mapping[str, View]) -> None:
        self._views = views
        self._last: tuple[View, View] | None = None

    def __getitem__(self, topic: str) -> View:
        view = self._views[topic]
        if self._last is None or self._last[0] is not view:
            self._last = view, replace(view, trial={})
        return self._last[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)


def _by(kind: Callable[..., LagAware]) -> Making:
    def make(state: LagState, chance: random.Random, clock: Callable[[], float]) -> LagAware:
        return kind(state.views, chance, clock)

    return make


@dataclass(frozen=True)
class Way:
    """A way to choose partitions: the whole of it, or without one of its rules."""

    name: str
    making: Making
    rules: Rules | None = None


STICKY = Way("sticky", lambda state, chance, clock: Sticky(chance))
WHOLE = Way("lag-aware", _by(LagAware))
WITHOUT = (
    Way("  least loaded, not best of two", _by(_Herding)),
    Way("  without own sends", _by(_Forgetful)),
    Way("  without probation", _by(LagAware), replace(Rules(), probation=False)),
    Way("  without a least share", _by(LagAware), replace(Rules(), least=1e-9)),
    Way("  without a trial", _by(_Trusting)),
)


def worlds(quick: bool) -> Iterator[tuple[str, World]]:
    """The rows, by what they are about."""
    base = World(slow)
    for scenario in (slow, third, stops, flaps, loaded, healthy):
        yield f"{scenario.__name__}, 10 producers", replace(base, speeds=scenario)
    for producers in (1, 1000):
        yield f"slow, {producers} producers", replace(base, producers=producers)
    for age in (1, 30) if quick else (1, 15, 30, 60):
        yield f"slow, signals {age} s old", replace(base, refresh=float(age))
        yield f"slow, 1 producer, signals {age} s old", replace(base, refresh=float(age), producers=1)
    for partitions in (100,) if quick else (100, 1000):
        yield f"slow, {partitions} partitions, 100 producers", replace(base, partitions=partitions, producers=100)
    yield "stops, 1000 producers", replace(base, speeds=stops, producers=1000)
    yield "stops, signals 30 s old", replace(base, speeds=stops, refresh=30.0)


def several(world: World, way: Way, seeds: int) -> Outcome:
    """The mean over so many seeds."""
    found = [simulate(replace(world, seed=seed), way.making, way.rules) for seed in range(1, seeds + 1)]
    mean = statistics.fmean
    return Outcome(
        mean(one.longest for one in found),
        mean(one.later for one in found),
        mean(one.p99 for one in found),
        mean(one.mean for one in found),
        found[0].given,
    )


def main() -> None:
    """Print one table a world."""
    chosen = options(__doc__)
    for title, world in worlds(chosen.quick):
        large = world.producers * world.partitions > 20_000
        seeds = 1 if large or chosen.quick else 4
        print(f"\n## {title}: {(world.speeds.__doc__ or '').strip()}\n")
        print("| way | longest queue | in the second half | p99 wait | mean wait |\n|---|---|---|---|---|")
        for way in (STICKY, WHOLE, *(() if large else WITHOUT)):
            one = several(world, way, seeds)
            print(
                f"| {way.name} | {one.longest:,.0f} | {one.later:,.0f} | {one.p99:.2f} s | {one.mean:.2f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
