"""Room in the lanes of a relay: whether to fetch more for them, and whose partitions are paused.

A lane that has enough is waited for, for a moment; then its partitions are paused: pausing makes librdkafka throw away
what it has fetched ahead, which is dear.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaException, TopicPartition

from superclient.toolkit.consumer import KafkaConsumer
from superclient.toolkit.lanes import Claim, Lane

_MOMENT = 0.1  # seconds
_PATIENCE = 1.0  # seconds to wait for a lane that is full before its partitions are paused
_LANE_BYTES = 32_000_000


class Room:
    """For a consumer of one source; `most` is how many records a lane may have, `changed` guards the lanes."""

    def __init__(self, consumer: KafkaConsumer, source: str, most: int, changed: threading.Condition) -> None:
        self.most = most
        self._consumer, self._source, self._changed = consumer, source, changed
        self._full_since: float | None = None

    def is_there(self, lanes: Sequence[Lane]) -> bool:
        """Whether to fetch now. Where nobody could take a record that comes, wait for a moment instead."""
        with self._changed:
            working = [lane for lane in lanes if lane.claims]
            if not working or not all(map(self._full, working)):
                self._full_since = None
                return True
            now = time.monotonic()
            self._full_since = self._full_since or now
            if now - self._full_since < _PATIENCE:
                self._changed.wait_for(lambda: any(self._has_half(lane) for lane in working), _MOMENT)
                return False
            return True

    def hold(self, lanes: Sequence[Lane], claims: Iterable[Claim]) -> None:
        """Pause the partitions of lanes that are full while others are not, or for too long; resume those that wait."""
        with self._changed:
            hungry = any(lane.claims and not lane.paused and not self._full(lane) for lane in lanes)
            late = self._full_since is not None and time.monotonic() - self._full_since >= _PATIENCE
            for lane in lanes:
                lane.paused = not self._has_half(lane) if lane.paused else self._full(lane) and (hungry or late)
            wrong = [claim for claim in claims if claim.paused != claim.lane.paused]
            for claim in wrong:
                claim.paused = claim.lane.paused
        self.pause([claim for claim in wrong if claim.paused])
        self._tell([claim for claim in wrong if not claim.paused], self._consumer.client.resume)

    def pause(self, claims: Sequence[Claim]) -> None:
        """Fetch no more for these."""
        self._tell(claims, self._consumer.client.pause)

    def _tell(self, claims: Sequence[Claim], step: Callable[[list[TopicPartition]], None]) -> None:
        if claims:
            try:
                step([TopicPartition(self._source, claim.partition) for claim in claims])
            except KafkaException:
                for claim in claims:
                    claim.paused = None  # it is on its way out, or the next round tries again

    def _full(self, lane: Lane) -> bool:
        return len(lane.buffer) >= self.most or lane.bytes >= _LANE_BYTES

    def _has_half(self, lane: Lane) -> bool:
        return len(lane.buffer) <= self.most // 2 and lane.bytes <= _LANE_BYTES // 2
