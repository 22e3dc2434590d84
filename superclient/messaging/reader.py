"""A consumer's life, told once for listener, requester and server: started, read, replaced, stopped.

One task owns the consumer from before its start to after its end; whoever stops the reader waits for that task, so
nothing outlives it. What becomes of the records is the sink's; commits.py and rebalance.py have the offsets.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import UnknownTopicOrPartitionError

from superclient._backoff import delays
from superclient.errors import MessagingStoppedError, TopicMissing, Unreachable
from superclient.messaging.commits import Commits
from superclient.messaging.connection import ConsumerFactory, broken, closed, made, started, undecodable
from superclient.messaging.lanes import Lane, Partition
from superclient.messaging.parsing import AutoCommit, seconds
from superclient.messaging.rebalance import Rebalances
from superclient.messaging.tasks import each, ended, through
from superclient.messaging.told import Told, brief, logger, place

_BATCH = 500  # records taken in before others on the loop have their turn
_IDLE_MS = 1000  # a wait for records; ends at once when some come
_TOPIC_SECONDS = 10.0  # a broker that makes topics by itself needs less
_DELAYS = (0.1, 10.0)  # seconds between attempts to read, at first and at most


class Sink(Protocol):
    """Where the records go. All of it is called on the loop; but for `take`, only where offsets are committed."""

    def take(self, lane: Lane) -> None:
        """Pop from the left of the lane's backlog what there is room for; raises nothing.

        While something is left there, the partition is paused; `Reader.offer` tells that there is room again.
        """

    async def settle(self) -> None:
        """Partitions may go: hand out nothing more until `assigned`, return once nothing is in anybody's hands."""

    def assigned(self, kept: Collection[Lane], lost: Collection[Lane]) -> None:
        """The partitions are shared out anew (called in any case); what waits of a lost one is somebody else's now."""

    async def finish(self) -> None:
        """The reader is being stopped: return once everything taken is done with."""


@dataclass
class ReaderCounts:
    """What has happened so far."""

    records: int = 0
    undecodable: int = 0  # records that a deserializer of the consumer's did not take
    read_errors: int = 0
    rebalances: int = 0
    restarts: int = 0


class Reader:
    """Reads topics as a member of a group; survives whatever brokers do, and says so."""

    def __init__(
        self,
        topics: Collection[str],
        consumer_factory: ConsumerFactory,
        sink: Sink,
        *,
        auto_commit: AutoCommit | None,
        start_timeout: float = 60.0,
        handover_timeout: float = 5.0,
    ) -> None:
        if not callable(consumer_factory):
            raise ValueError(f"consumer_factory is called for a new consumer; it is {consumer_factory!r:.100}")
        self.consumer: Any = None
        self.lanes: dict[Partition, Lane] = {}
        self.sink = sink
        self.counts = ReaderCounts()
        self.commits = Commits(auto_commit, lambda: self.consumer, lambda: self.lanes)
        self.stopper: asyncio.Task[Any] | None = None  # who called stop()
        self.told = Told()
        self._topics = sorted(topics)
        self._factory = consumer_factory
        self._start_timeout = seconds("start_timeout", start_timeout)
        self._handover_timeout = seconds("handover_timeout", handover_timeout)
        self._owner: asyncio.Task[None] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._deserializes = False
        self._starters = 0
        self._wanted = False  # whether a start() has returned
        self._stopped = False

    # --- started and stopped ---------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it has started, and nobody has stopped it."""
        return self._pump is not None and not self._stopped

    async def start(self) -> None:
        """Return once every partition that is ours has a position: what is produced from then on is received.

        Raises what kept it from that (KafkaError; TopicMissing; Unreachable after `start_timeout`; RuntimeError for a
        consumer that cannot be used) and leaves nothing behind; it may be called again then. MessagingStoppedError
        after `stop()`.
        """
        if self._stopped:
            raise MessagingStoppedError("it was stopped; make a new one")
        if self._owner is None or self._ready is None or self._owner.done():
            self._ready = asyncio.get_running_loop().create_future()
            self._owner = asyncio.create_task(self._live(self._ready), name="superclient.messaging reader")
        owner, ready = self._owner, self._ready
        self._starters += 1
        try:
            # A task that is cancelled before its first step tells nobody.
            await asyncio.wait({ready, owner}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if self._starters == 1 and not self._wanted:
                await ended(owner)  # everybody who waited for the start was cancelled: nobody would ever stop it
            raise
        finally:
            self._starters -= 1
        if not ready.done():
            raise MessagingStoppedError("it was stopped while it started")
        ready.result()
        self._wanted = True

    async def stop(self) -> None:
        """Let what was taken be finished, commit, leave the group, close the consumer; without delay if cancelled."""
        self._stopped = True
        self.stopper = self.stopper or asyncio.current_task()
        if self._owner is None:
            return
        if self._pump is None:
            self._owner.cancel()
        else:
            self._pump.cancel()
        await ended(self._owner, patient=True)

    async def _live(self, ready: "asyncio.Future[None]") -> None:
        try:
            await self._open()
        except BaseException as error:
            self._owner = self._ready = None
            await self._close()
            _tell(ready, MessagingStoppedError("it was stopped while it started") if self._stopped else error)
            if isinstance(error, asyncio.CancelledError) and not self._stopped:
                raise
            return
        self._pump = asyncio.create_task(self._read(), name="superclient.messaging pump")
        commits = asyncio.create_task(self.commits.by_and_by(), name="superclient.messaging commits")
        ready.set_result(None)
        try:
            await asyncio.wait({self._pump})
            await through(self.sink.finish(), self._handover_timeout)
            await ended(commits)
            await through(self.commits.now(), self._handover_timeout)
        finally:
            await each(ended(commits), ended(self._pump), self._close())
            self._pump, self.lanes = None, {}

    async def _close(self) -> None:
        consumer, self.consumer = self.consumer, None
        if consumer is not None:
            await each(closed(consumer), self.commits.end())

    # --- the consumer ----------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Make a consumer, and return once it is assigned and positioned."""
        consumer = self.consumer = await made(self._factory, warn=not self.counts.restarts)
        self._deserializes = bool(consumer._key_deserializer or consumer._value_deserializer)
        rebalances = Rebalances(self, consumer, self._handover_timeout)
        consumer.subscribe(topics=self._topics, listener=rebalances)
        starting = asyncio.ensure_future(self._start(consumer, rebalances))
        try:
            await asyncio.wait({starting}, timeout=min(_TOPIC_SECONDS, self._start_timeout))
            if not starting.done():
                self._missing(consumer)
                await asyncio.wait({starting}, timeout=max(self._start_timeout - _TOPIC_SECONDS, 0))
            if not starting.done():
                raise Unreachable(f"no partitions of {', '.join(self._topics)} within {self._start_timeout:g} s")
            starting.result()
        except UnknownTopicOrPartitionError:
            self._missing(consumer)
            raise
        finally:
            await ended(starting)

    async def _start(self, consumer: Any, rebalances: Rebalances) -> None:
        await started(consumer)
        await rebalances.positioned()

    def _missing(self, consumer: Any) -> None:
        """Raises TopicMissing where brokers answer, and do not know a topic."""
        cluster = consumer._client.cluster
        unknown = [topic for topic in self._topics if not cluster.partitions_for_topic(topic)]
        if unknown and cluster.brokers():
            raise TopicMissing(f"there is no topic {', '.join(unknown)}, and the brokers make none")

    async def _read(self) -> None:
        pauses = delays(*_DELAYS)
        while True:
            try:
                if self.consumer is None or broken(self.consumer):
                    await self._replace()
                batches = await self.consumer.getmany(timeout_ms=_IDLE_MS, max_records=_BATCH)
                # Whatever happens to one partition afterwards, those of the others are ours already.
                for lane in [self._added(partition, records) for partition, records in batches.items()]:
                    await self._hold_back(lane)
            except Exception as error:
                self.counts.read_errors += 1
                logger.warning("reading %s: %s; trying again", ", ".join(self._topics), brief(error))
                await asyncio.sleep(next(pauses))
            else:
                pauses = delays(*_DELAYS)
                await asyncio.sleep(0)  # getmany does not wait while there are records

    async def _replace(self) -> None:
        """A consumer of which a part has died reads no more; the lanes know where it was."""
        self.counts.restarts += 1
        await self._close()
        try:
            await self._open()
        except BaseException:
            await self._close()
            raise

    # --- the records -----------------------------------------------------------------------------------------------

    def _added(self, partition: Any, records: list[Any]) -> Lane | None:
        lane = self._filed(partition, records)
        if lane is not None:
            self.sink.take(lane)
        return lane

    async def _hold_back(self, lane: Lane | None) -> None:
        """Pause the partition where there was no room for all of it."""
        if lane is not None and lane.backlog and not lane.paused:
            # What the consumer has fetched ahead would be thrown away by the pause, and fetched again after it.
            ahead = await self.consumer.getmany(TopicPartition(*lane.name), timeout_ms=0, max_records=2**31)
            for found, more in ahead.items():
                self._filed(found, more)
            self.offer([lane])

    def _filed(self, partition: Any, records: list[Any]) -> Lane | None:
        """The lane with the records in its backlog; without those that a deserializer did not take."""
        self.counts.records += len(records)
        lane = self.lanes.get(partition)
        if lane is None:  # not known yet, or no more: nothing of it is to be lost
            if partition in self.consumer.assignment():
                self.consumer.seek(partition, records[0].offset)
            return None
        behind = records[-1].offset + 1
        if self._deserializes:
            records = [record for record in records if not self._undecodable(record)]
        lane.add(records, behind)
        return lane

    def _undecodable(self, record: Any) -> bool:
        error = undecodable(record)
        if error is not None:
            self.counts.undecodable += 1
            self.commits.passed()
            self.told(record.topic, "%s: not deserialized, skipped: %s", place(record), brief(error))
        return error is not None

    def offer(self, lanes: Iterable[Lane]) -> None:
        """The sink has room again: it is given what waits, and a partition of which nothing waits is read on."""
        for lane in list(lanes):
            if self.lanes.get(lane.name) is lane:
                self.sink.take(lane)
                self._pause(lane, bool(lane.backlog))

    def rewind(self, lane: Lane, offset: int) -> None:
        """Read the partition from this offset again, once somebody wants it."""
        if self.lanes.get(lane.name) is lane and self._assigned(lane):
            lane.rewind(offset)
            self.consumer.seek(TopicPartition(*lane.name), offset)
            self._pause(lane, False)

    def _pause(self, lane: Lane, paused: bool) -> None:
        if lane.paused != paused and self._assigned(lane):
            lane.paused = paused
            (self.consumer.pause if paused else self.consumer.resume)(TopicPartition(*lane.name))

    def _assigned(self, lane: Lane) -> bool:
        """False in the middle of a rebalance, which ends by looking at every lane again."""
        return self.consumer is not None and lane.name in self.consumer.assignment()


def _tell(ready: "asyncio.Future[None]", error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError):
        ready.cancel()
    else:
        ready.set_exception(error)
        ready.exception()  # whoever waits raises it; where nobody does, it is no news
