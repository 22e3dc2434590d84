"""How long a partition's queue is: against a scale of the user's, or against what is usual in its topic. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence

FLOOR = 100
"""Records. On the relative scale no queue up to this length is long: a look may meet a batch that has just come."""
MEDIANS, LEAST_MEDIANS = 3.0, 1.25
"""Lags that rise evenly from 0 to a commit interval's worth, which is what committing now and then makes of them, reach
twice their median; half as much again is left to chance, since a topic of a dozen partitions has a shaky median."""


def score(lag: float, max_lag: float) -> float:
    """clamp(1 − lag / max_lag, 0, 1): 1.0 for a queue that is empty, 0.0 for one of `max_lag` records or more."""
    return min(1.0, max(0.0, (max_lag - lag) / max_lag))  # in this order: a tenth left of a thousand is 0.1 exactly


def usual(lags: Collection[int], floor: float = FLOOR) -> float:
    """The longest queue, in records, that is nothing special among these, which are all of one topic; at least `floor`.

    Three times the median; less where they are so much alike that one of them is an outlier before (Tukey: beyond the
    third quartile by 1.5 times the distance of the quartiles). The median alone holds where a quarter to a half of the
    partitions lag, which moves the quartiles; together they hold as long as fewer than half do. A topic that lags
    everywhere is loaded, not sick: none of its queues is long.
    """
    ordered = sorted(lags)
    first, median, third = (_quantile(ordered, part) for part in (0.25, 0.5, 0.75))
    outlier = third + 1.5 * (third - first)
    return max(floor, min(MEDIANS * median, max(LEAST_MEDIANS * median, outlier)))


def _quantile(ordered: Sequence[int], part: float) -> float:
    """Linear between the two nearest. `statistics` has it, and is a name that programs have for modules of their own,
    which would be imported here in its place."""
    place = part * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def shares(excess: Mapping[int, float], partitions: Collection[int]) -> dict[int, float]:
    """How often the better of two is each of these partitions, relative to how often it is where all are alike (1.0).

    `excess` says by how much a queue is too long: of two that are drawn at random the one with less gets the batch.
    """
    others = len(partitions) - 1
    if others < 1:
        return dict.fromkeys(partitions, 1.0)
    ordered = sorted(excess.get(partition, 0.0) for partition in partitions)
    return {
        # Those that are worse, twice, and those that are alike, itself among them.
        partition: (2 * others + 1 - bisect_left(ordered, mine) - bisect_right(ordered, mine)) / others
        for partition in partitions
        for mine in (excess.get(partition, 0.0),)
    }
