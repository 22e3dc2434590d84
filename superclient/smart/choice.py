"""Which partition a SmartProducer's next record is for: the part that its synchronous and asynchronous forms share.

Records without a key take turns at partitions, as in librdkafka: a turn is as long as a batch would be. Records with
one are `keys`' business. Both go by views that a monitor keeps fresh on its own thread; nothing here reads or waits.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from superclient.partitioning import LagAware, Partitioner, Turns, View

LEAST_SECONDS = 0.01  # of a turn, where librdkafka would send each record by itself or wherever it likes

# librdkafka's names, with its defaults.
_SIZE = (("batch.size",), 1_000_000)
_RECORDS = (("batch.num.messages",), 10_000)
_LINGER = (("linger.ms", "queue.buffering.max.ms"), 5.0)
_STICKY = (("sticky.partitioning.linger.ms",), 0.0)
_PARTITIONER = "partitioner"


class Choice(Turns):
    """One producer's choices of partitions for records without a key: among the healthy ones, once a batch."""

    __slots__ = ("_views",)

    def __init__(
        self,
        views: Mapping[str, View],
        settings: Mapping[str, Any],
        *,
        partitioner: Partitioner | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`settings` are librdkafka's, as the user wrote them: a turn is as long as their batches."""
        self._views = views
        # As in librdkafka: twice the linger unless said otherwise.
        sticky = _number(settings, *_STICKY) or 2 * _number(settings, *_LINGER)
        super().__init__(
            partitioner or LagAware(views, clock=clock),
            self._healthy,
            int(_number(settings, *_SIZE)),
            int(_number(settings, *_RECORDS)),
            max(sticky / 1000, LEAST_SECONDS),
            clock,
        )

    def _healthy(self, topic: str) -> Sequence[int]:
        view = self._views.get(topic)
        return sorted(view.healthy) if view is not None and self._clock() < view.until else ()


def partitioner(settings: Mapping[str, Any]) -> str | None:
    """librdkafka's partitioner, if these settings name one."""
    found = settings.get(_PARTITIONER, _topics_own(settings).get(_PARTITIONER))
    return None if found is None else str(found)


def _topics_own(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    found = settings.get("default.topic.config")
    return found if isinstance(found, Mapping) else {}


def _number(settings: Mapping[str, Any], names: tuple[str, ...], default: float) -> float:
    """The last of these names that is written; what is no number is librdkafka's to refuse."""
    written = [value for name, value in settings.items() if name in names]
    try:
        return max(float(written[-1]), 0.0) if written else default
    except (TypeError, ValueError):
        return default
