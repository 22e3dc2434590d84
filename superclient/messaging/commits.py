"""When the offsets of a reader's partitions are committed: by count, by the clock, before partitions go, at the end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from superclient.messaging.lanes import Lane, Partition
from superclient.messaging.parsing import AutoCommit
from superclient.messaging.tasks import each, ended
from superclient.messaging.told import brief, logger

_HEARD = 0.05  # seconds in which a request hears that its connection is closed; aiokafka repeats it only after that
_REBALANCING = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,  # there is no assignment at the moment
    RebalanceInProgressError,
    UnknownMemberIdError,
)


@dataclass
class CommitCounts:
    """What has happened so far."""

    commits: int = 0
    commit_errors: int = 0


class Commits:
    """Commits what is done with; `auto` None: never anything."""

    def __init__(
        self, auto: AutoCommit | None, consumer: Callable[[], Any], lanes: Callable[[], dict[Partition, Lane]]
    ) -> None:
        self.tracked = auto is not None
        self.counts = CommitCounts()
        self._every = (auto or {}).get("every")
        self._interval = (auto or {}).get("interval_s")
        self._consumer = consumer
        self._lanes = lanes
        self._done = 0
        self._due = asyncio.Event()
        self._lock = asyncio.Lock()
        self._under_way: asyncio.Task[None] | None = None

    def done(self, lane: Lane, offset: int) -> None:
        """Somebody is done with a record that was handed out by `Lane.open`."""
        if self.tracked and lane.done(offset):
            self.passed()

    def passed(self) -> None:
        """A record is behind us, also one that nobody wanted."""
        self._done += 1
        if self._every is not None and self._done >= self._every:
            self._due.set()

    async def by_and_by(self) -> None:
        """Commit whenever it is time, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            timer = None if self._interval is None else loop.call_later(self._interval, self._due.set)
            try:
                await self._due.wait()
            finally:
                if timer is not None:
                    timer.cancel()
            self._due.clear()
            await self.now()

    async def now(self) -> None:
        """Commit what has moved since the last time; a failure is logged, counted, and made good by the next one.

        Cancelled, it leaves the request under way until `end`: aiokafka shields it, and nobody would hear of its end.
        """
        async with self._lock:
            if self._under_way is not None:
                await asyncio.wait({self._under_way})
            self._under_way = asyncio.ensure_future(self._commit())
            await asyncio.wait({self._under_way})

    async def end(self) -> None:
        """The consumer is closed: so is what was under way."""
        if self._under_way is not None and not self._under_way.done():
            await each(asyncio.wait({self._under_way}, timeout=_HEARD), ended(self._under_way))

    async def _commit(self) -> None:
        moved = {
            lane: offset
            for lane in self._lanes().values()
            if (offset := lane.committable) is not None and offset != lane.committed
        }
        consumer = self._consumer()
        if not self.tracked or not moved or consumer is None:
            return
        self._done = 0
        try:
            await consumer.commit({TopicPartition(*lane.name): offset for lane, offset in moved.items()})
        except Exception as error:
            self.counts.commit_errors += 1
            level = logger.info if isinstance(error, _REBALANCING) else logger.warning
            level("the offsets of %s were not committed: %s", _named(moved), brief(error))
        else:
            self.counts.commits += 1
            for lane, offset in moved.items():
                lane.committed = offset


def _named(lanes: dict[Lane, int]) -> str:
    return ", ".join(f"{topic}-{partition}" for topic, partition in sorted(lane.name for lane in lanes)[:10])
