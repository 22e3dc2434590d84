"""How healthy a partition's queue is, between 0 and 1: on an absolute scale, or by what is usual in its topic. Pure."""

from collections.abc import Mapping, Sequence

FLOOR = 100
"""Records. On the relative scale no queue up to this length is out of the ordinary: its consumer has it in one poll."""
SPREADS = 4.0
"""How far beyond the median, in spreads of the lower half, a queue may be and still be ordinary. Lags that are equally
likely up to a commit interval's worth, which is what committing now and then makes of them, reach 2 spreads; for these
this is Tukey's fence, third quartile + 1.5 × the interquartile range."""


def score(lag: float, max_lag: float) -> float:
    """clamp(1 − lag / max_lag, 0, 1): 1.0 for a queue that is empty, 0.0 for one of `max_lag` records or more."""
    return min(1.0, max(0.0, 1.0 - lag / max_lag))


def ordinary(lags: Sequence[int]) -> float:
    """The longest queue, in records, that is nothing special among these of one topic; at least FLOOR.

    Of the spread only the lower half is looked at: so it holds as long as fewer than half of the partitions lag, where
    a fence of both quartiles is lost at a quarter. A topic that lags everywhere is loaded, not sick.
    """
    ordered = sorted(lags)
    median, low = ordered[len(ordered) // 2], ordered[len(ordered) // 4]
    if len(ordered) % 2 == 0:  # the lower of the two in the middle: two halves, one of which lags, are told apart
        median = ordered[len(ordered) // 2 - 1]
    return max(median + SPREADS * (median - low), FLOOR)


def scores(lags: Mapping[int, int], max_lag: float | None) -> dict[int, float]:
    """The score of each partition of a topic; `max_lag` None is the relative scale, on which twice the longest ordinary
    queue is as bad as can be, so that the longest ordinary one is at 0.5, the usual threshold of health."""
    scale = max_lag if max_lag is not None else 2 * ordinary(list(lags.values()))
    return {partition: score(lag, scale) for partition, lag in lags.items()}
