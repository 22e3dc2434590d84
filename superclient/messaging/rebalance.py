"""What a reader does when its group shares the partitions out anew: nothing is lost, and nobody has a record twice.

aiokafka's protocol is the eager one: all partitions are given back, most come back at once. Those go on where they
were, with what was read of them; the others were committed up to what is done with.
"""

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError

from superclient.messaging.lanes import Lane, Partition
from superclient.messaging.tasks import through
from superclient.messaging.told import logger

# The group waits as long as aiokafka's rebalance_timeout_ms (10 s by default) from the moment that it wants to
# rebalance, of which the next heartbeat may take three seconds: each of our steps takes at most this share.
_SHARE = 0.2


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Of one consumer; the reader (which outlives consumers) has the lanes."""

    def __init__(self, reader: Any, consumer: Any, handover_timeout: float) -> None:
        self._reader = reader
        self._consumer = consumer
        self._shared_out = asyncio.Event()
        self._bound = min(handover_timeout, consumer._rebalance_timeout_ms / 1000 * _SHARE)

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """The partitions may go to others: those get everything that we are not done with."""
        self._shared_out.clear()
        if revoked and self._reader.commits.tracked:
            await through(self._reader.sink.settle(), self._bound)
            await through(self._reader.commits.now(), self._bound)

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """These are ours now."""
        reader, before = self._reader, self._reader.lanes
        reader.counts.rebalances += 1
        tracked = reader.commits.tracked
        names = [Partition(*each) for each in assigned]
        reader.lanes = {name: before.get(name) or Lane(name, tracked) for name in names}
        for name in names:
            if name in before:
                self._go_on(before[name])
        if tracked:
            # Until it returns, the sink hands out nothing: another member may have had a partition in the meantime.
            await through(self._compare(before), self._bound)
        kept = [lane for name, lane in before.items() if reader.lanes.get(name) is lane]
        lost = [lane for name, lane in before.items() if reader.lanes.get(name) is not lane]
        reader.sink.assigned(kept, lost)
        reader.offer(reader.lanes.values())
        self._shared_out.set()

    async def positioned(self) -> None:
        """Return once the group has shared out its partitions, and each of ours has a position.

        Raises NoOffsetForPartitionError where one cannot have any.
        """
        while True:
            await self._shared_out.wait()
            try:
                await self._position(self._reader.lanes.values())
                return
            except IllegalStateError:  # shared out once more
                await asyncio.sleep(0.01)

    def _go_on(self, lane: Lane) -> None:
        """Before anything is fetched, since no position is valid yet: read on behind what we have."""
        partition = TopicPartition(*lane.name)
        if lane.next is not None:
            self._consumer.seek(partition, lane.next)
        if lane.paused:
            self._consumer.pause(partition)

    async def _compare(self, before: dict[Partition, Lane]) -> None:
        """Ask for the group's offsets; where another member has moved one, that is where we start."""
        lanes = self._reader.lanes
        committed = await asyncio.gather(*(self._consumer.committed(TopicPartition(*name)) for name in lanes))
        for name, offset in zip(list(lanes), committed, strict=True):
            if name in before and offset != lanes[name].committed:
                logger.info("%s-%d was read by another member of the group up to offset %s", *name, offset)
                paused = lanes[name].paused
                lanes[name] = Lane(name, tracked=True)
                lanes[name].paused = paused
                if offset is not None:
                    self._consumer.seek(TopicPartition(*name), offset)
            lanes[name].committed = offset
        # A partition without an offset begins wherever auto_offset_reset says, for each new owner anew: what comes
        # between two of them would be lost.
        fresh = [lane for lane in lanes.values() if lane.committed is None]
        await self._position(fresh)
        if fresh:
            await self._reader.commits.now()

    async def _position(self, lanes: Collection[Lane]) -> None:
        """Return once each is positioned."""
        for lane in list(lanes):
            partition = TopicPartition(*lane.name)
            await self._check(partition, lane)
            position = await self._consumer.position(partition)
            if lane.next is None:
                lane.next = position

    async def _check(self, partition: Any, lane: Lane) -> None:
        """aiokafka would wait for the position for ever, and raise this to whoever reads."""
        reset = self._consumer._auto_offset_reset
        if lane.next is not None or reset.lower() in ("earliest", "latest"):
            return
        if await self._consumer.committed(partition) is None:
            raise NoOffsetForPartitionError(
                f"the group {self._consumer._group_id} has no offset of {partition.topic}-{partition.partition}, and "
                f'auto_offset_reset is {reset!r}: commit one, or make the consumer with "earliest" or "latest"'
            )
