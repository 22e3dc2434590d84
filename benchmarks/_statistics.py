"""Medians with their spread, and ratios of paired samples with an interval; pure."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

RESAMPLES = 2000


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles; `count` samples."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles (linear between neighbours); one sample is its own quartiles."""
    ordered = sorted(values)
    return Spread(median(ordered), quantile(ordered, 0.25), quantile(ordered, 0.75), len(ordered))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted samples lie."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def ratio(ours: Sequence[float], bare: Sequence[float]) -> Spread:
    """Median of the round-by-round ratios, with its 95 % bootstrap interval.

    Both ran in every round, one after the other, so what slows the machine down for a while slows both of a pair.
    """
    return _bootstrapped([a / b for a, b in zip(ours, bare, strict=True)])


def difference(ours: Sequence[float], bare: Sequence[float]) -> Spread:
    """The same for what is added, where a ratio says nothing (a refused connection takes no time at all)."""
    return _bootstrapped([a - b for a, b in zip(ours, bare, strict=True)])


def _bootstrapped(paired: list[float]) -> Spread:
    rng = random.Random(0)  # the same samples give the same interval
    medians = sorted(median(rng.choices(paired, k=len(paired))) for _ in range(RESAMPLES))
    return Spread(median(paired), quantile(medians, 0.025), quantile(medians, 0.975), len(paired))
