"""Sticky batches, of which partitions with long queues get a smaller share, or none: by the newest view of a topic."""

import random
import time
from collections.abc import Callable, Mapping, Sequence

from superclient.partitioning.state import View
from superclient.partitioning.sticky import Sticky


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
        self._sticky = Sticky(chance)

    def choose(self, topic: str, available: Sequence[int]) -> int:
        """See Partitioner.choose."""
        view = self._views.get(topic)
        if view is not None and view.healthy and self._clock() < view.until:
            available = [partition for partition in available if partition in view.weights] or available
        return self._sticky.choose(topic, available)

    def batch_full(self, topic: str, partition: int, records: int, size: int) -> None:
        """See Partitioner.batch_full."""
        self._sticky.batch_full(topic, partition, records, size)
