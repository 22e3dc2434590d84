"""AsyncPartitionHealthMonitor: the health of topics' partitions, kept fresh on an event loop; see `loop_engine`."""

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from superclient.errors import HealthManagerError
from superclient.partitioning import View
from superclient.partitioning.collectors import Collector
from superclient.smart import looks
from superclient.smart.collectors import AsyncLagDataCollector, LagDataCollector
from superclient.smart.config import HealthManagerConfig, HealthMode, SmartProducerConfig
from superclient.smart.feeds import Feed
from superclient.smart.health import HealthSummary
from superclient.smart.looks import HealthOptions, Looks, StandaloneOptions
from superclient.smart.loop_engine import LoopEngine, across, fulfil
from superclient.smart.rounds import Ticket

if TYPE_CHECKING:
    from typing_extensions import Unpack

_LOOK_AGAIN = 1.0  # seconds after which one who waits looks whether the monitor is still there at all


class AsyncPartitionHealthMonitor:
    """Watches how far a consumer group lags behind; see PartitionHealthMonitor, of which this is the asynchronous form.

    It belongs to the event loop that it is started on, which it never blocks, and ends with that loop. `async with`,
    `await monitor.start()` or `await monitor` starts it.
    """

    _looks: Looks
    _engine: LoopEngine | None
    _ever: bool  # started or stopped before
    _finalizer: "weakref.finalize[..., AsyncPartitionHealthMonitor]"

    def __init__(
        self,
        lag_collector: LagDataCollector | AsyncLagDataCollector | Collector,
        topics: Iterable[str],
        config: HealthManagerConfig | None = None,
    ) -> None:
        """An embedded monitor, not started; see `embedded`, whose options are fields of `config` here."""
        self._begin(Looks(lag_collector, topics, config or HealthManagerConfig()))

    @classmethod
    def embedded(
        cls,
        lag_collector: LagDataCollector | AsyncLagDataCollector | Collector,
        topics: Iterable[str],
        **options: "Unpack[HealthOptions]",
    ) -> "AsyncPartitionHealthMonitor":
        """See PartitionHealthMonitor.embedded; the collector's get_lag_data may be a coroutine, or may block."""
        return cls(lag_collector, topics, HealthManagerConfig(**options))

    @classmethod
    def standalone(
        cls,
        consumer_group: str,
        kafka_config: Mapping[str, Any],
        topics: Iterable[str],
        **options: "Unpack[StandaloneOptions]",
    ) -> "AsyncPartitionHealthMonitor":
        """See PartitionHealthMonitor.standalone. Where an event loop is running it is running already, awaited or not;
        else it starts when it is awaited, or by `async with`."""
        monitor = cls._made_of(looks.standalone(consumer_group, kafka_config, topics, options))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # it waits to be started
            return monitor
        monitor._start(loop)
        return monitor

    @classmethod
    def of(cls, config: SmartProducerConfig) -> "AsyncPartitionHealthMonitor":
        """The monitor that a producer with this configuration makes for itself, not started; see looks.of_producer."""
        return cls._made_of(looks.of_producer(config))

    # --- what is known ------------------------------------------------------------------------------------------------

    async def get_healthy_partitions(self, topic: str) -> list[int]:
        """See PartitionHealthMonitor.get_healthy_partitions."""
        return self._looks.health.healthy(topic)

    async def is_partition_healthy(self, topic: str, partition: int) -> bool:
        """See PartitionHealthMonitor.is_partition_healthy."""
        return self._looks.health.is_healthy(topic, partition)

    async def get_health_summary(self) -> HealthSummary:
        """See PartitionHealthMonitor.get_health_summary."""
        return self._looks.health.summary(self.is_running, self._looks.works)

    def health_stream(self, topic: str) -> "AsyncHealthStream":
        """See PartitionHealthMonitor.health_stream: `async for scores in monitor.health_stream("orders")`."""
        return AsyncHealthStream(self, topic)

    @property
    def views(self) -> Mapping[str, View]:
        """See PartitionHealthMonitor.views."""
        return self._looks.health.views

    @property
    def mode(self) -> HealthMode:
        """Embedded or standalone."""
        return self._looks.mode

    @property
    def topics(self) -> list[str]:
        """What is watched now."""
        return self._looks.health.topics()

    @property
    def is_running(self) -> bool:
        """Whether it keeps its knowledge fresh: not before the start, and not after its loop was closed."""
        return self._engine is not None and self._engine.alive

    # --- what it does -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start on the running loop, if it does not run; also once more after `stop`, or on another loop.

        Raises:
            HealthManagerError: it runs on another loop.
        """
        self._start(asyncio.get_running_loop())

    async def stop(self) -> None:
        """End it; all streams end. Idempotent; from any loop. A blocking reading under way is not waited for."""
        self._ever = True
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.stop()

    async def force_refresh(self, topic: str | None = None) -> bool:
        """Look now, at all topics, and wait until that is done; whether all of them, or the one named, could be read.

        See PartitionHealthMonitor.force_refresh. Works also while the monitor does not run.
        """
        loop = asyncio.get_running_loop()
        if topic is not None:
            self._looks.health.watch(topic)
        answer: asyncio.Future[bool] = loop.create_future()
        ticket = Ticket(time.monotonic(), lambda ok: across(loop, partial(fulfil, answer, ok)), topic)
        engine = self._engine if self.is_running else None
        if engine is not None:
            engine.call(partial(engine.ask, ticket))
            return await self._patiently(engine, answer)
        engine = LoopEngine(self._looks, loop)
        engine.ask(ticket)
        try:
            return await answer
        finally:
            engine.end()

    def watch(self, topic: str) -> None:
        """See PartitionHealthMonitor.watch."""
        if self._looks.health.watch(topic):
            self._hasten()

    async def __aenter__(self) -> "AsyncPartitionHealthMonitor":
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    def __await__(self) -> Generator[Any, None, "AsyncPartitionHealthMonitor"]:
        """Start: `monitor = await AsyncPartitionHealthMonitor.standalone(…)`."""
        return self.__aenter__().__await__()

    # --- inside -------------------------------------------------------------------------------------------------------

    @classmethod
    def _made_of(cls, looks: Looks) -> "AsyncPartitionHealthMonitor":
        monitor = cls.__new__(cls)
        monitor._begin(looks)
        return monitor

    def _begin(self, looks: Looks) -> None:
        self._looks = looks
        self._engine, self._ever = None, False
        self._finalizer = weakref.finalize(self, _nothing)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.is_running:
            if self._engine is not None and self._engine.loop is not loop:
                raise HealthManagerError("the monitor runs on another event loop; stop it there first")
            return
        self._engine, self._ever = LoopEngine(self._looks, loop), True
        self._engine.tick()
        # What the loop has of the monitor must not keep the monitor itself alive.
        self._finalizer.detach()
        self._finalizer = weakref.finalize(self, self._engine.call, self._engine.end)
        self._finalizer.atexit = False

    def _hasten(self) -> None:
        engine = self._engine
        if engine is not None:
            engine.call(engine.hasten)

    async def _patiently(self, engine: LoopEngine, answer: "asyncio.Future[bool]") -> bool:
        while True:
            done, _ = await asyncio.wait([answer], timeout=_LOOK_AGAIN)
            if done:
                return answer.result()
            if not engine.alive:
                return False


class AsyncHealthStream(AsyncIterator[dict[int, float]]):
    """See AsyncPartitionHealthMonitor.health_stream. For one task; another reader takes a stream of its own."""

    def __init__(self, monitor: AsyncPartitionHealthMonitor, topic: str) -> None:
        self._monitor = monitor
        self._feed = Feed(topic, self._wake)
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._known = topic in monitor.topics
        monitor._looks.health.subscribe(self._feed)

    async def __anext__(self) -> dict[int, float]:
        """The next change; waits until there is one."""
        if not self._monitor._ever:
            await self._monitor.start()
        if not self._known:
            self._known = True
            self._monitor._hasten()
        loop = asyncio.get_running_loop()
        while True:
            changed: asyncio.Future[None] = loop.create_future()
            self._waiting = loop, changed
            over = self._feed.over or not self._monitor.is_running  # before the look: what came before it is not lost
            scores = self._feed.take()
            if scores is not None:
                return scores
            if over:
                raise StopAsyncIteration
            await asyncio.wait([changed], timeout=_LOOK_AGAIN)

    def _wake(self) -> None:
        waiting = self._waiting
        if waiting is not None:
            loop, changed = waiting
            across(loop, partial(fulfil, changed, None))


def _nothing() -> None:
    """Before the first start there is nothing to end."""
