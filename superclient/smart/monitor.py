"""PartitionHealthMonitor: the health of topics' partitions, kept fresh by one thread of its own."""

import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from superclient.errors import ConfigurationError, HealthManagerError
from superclient.partitioning import View
from superclient.partitioning.collectors import Collector
from superclient.smart import collectors, looks
from superclient.smart.collectors import LagDataCollector
from superclient.smart.config import HealthManagerConfig, HealthMode, SmartProducerConfig
from superclient.smart.feeds import Feed
from superclient.smart.health import HealthSummary
from superclient.smart.looks import HealthOptions, Looks, StandaloneOptions
from superclient.smart.rounds import Ticket
from superclient.smart.thread_engine import ThreadEngine

if TYPE_CHECKING:
    from typing_extensions import Unpack

_LOOK_AGAIN = 1.0  # seconds after which one who waits looks whether the monitor is still there at all


class PartitionHealthMonitor:
    """Watches how far a consumer group lags behind in each partition, and says which partitions are healthy.

    A partition's score is 1 − lag / max_lag_for_health, between 0 and 1; it is healthy from health_threshold on. What
    was seen counts for a while after looks begin to fail (`health.cut_off`); then nothing is known, and producers leave
    the choice to Kafka's default partitioner. All methods are for any thread, and only those that say so wait.

    Make one by `embedded` or `standalone`, and end it by `stop` or `with`. One that is dropped ends its thread by
    itself. In a forked child it does not run until it is started there; `is_running` says so.
    """

    _looks: Looks
    _engine: ThreadEngine | None
    _thread: threading.Thread | None
    _lock: threading.Lock
    _pid: int
    _ever: bool  # started or stopped before
    _finalizer: "weakref.finalize[..., PartitionHealthMonitor]"

    def __init__(
        self,
        lag_collector: LagDataCollector | Collector,
        topics: Iterable[str],
        config: HealthManagerConfig | None = None,
    ) -> None:
        """An embedded monitor, not started; see `embedded`, whose options are fields of `config` here."""
        self._begin(Looks(lag_collector, topics, config or HealthManagerConfig()))

    @classmethod
    def embedded(
        cls,
        lag_collector: LagDataCollector | Collector,
        topics: Iterable[str],
        **options: "Unpack[HealthOptions]",
    ) -> "PartitionHealthMonitor":
        """A monitor for this process: `start` it, or use it in a `with`. It closes no collector that it was given.

        Args:
            lag_collector: where lags come from: a KafkaAdminLagCollector, or one of your own.
            topics: what is watched from the start; producers add others that they meet.
            options: see HealthManagerConfig.

        Raises:
            ConfigurationError: an option that cannot be meant, or a collector that has to be awaited.
        """
        return cls(lag_collector, topics, HealthManagerConfig(**options))

    @classmethod
    def standalone(
        cls,
        consumer_group: str,
        kafka_config: Mapping[str, Any],
        topics: Iterable[str],
        **options: "Unpack[StandaloneOptions]",
    ) -> "PartitionHealthMonitor":
        """A monitor that reads Kafka for many processes, and publishes to Redis what it sees; it is running already.

        Producers with the same consumer group, bootstrap servers and Redis (`remote_enabled`) then ask Kafka no more,
        until what is published is too old: three refresh intervals of this monitor.

        Args:
            consumer_group: whose lag it is about.
            kafka_config: librdkafka's settings; a producer's will do.
            topics: what is watched.
            options: see HealthManagerConfig and CacheConfig; the Redis of REDIS_HOST, REDIS_PORT and REDIS_DB, or the
                one on this machine, where redis_host, redis_port or redis_db is left out.

        Raises:
            ConfigurationError: an option that cannot be meant.
            ImportError: redis-py is not installed.
        """
        monitor = cls._made_of(looks.standalone(consumer_group, kafka_config, topics, options))
        monitor.start()
        return monitor

    @classmethod
    def of(cls, config: SmartProducerConfig) -> "PartitionHealthMonitor":
        """The monitor that a producer with this configuration makes for itself, not started; see looks.of_producer."""
        return cls._made_of(looks.of_producer(config))

    # --- what is known ------------------------------------------------------------------------------------------------

    def get_healthy_partitions(self, topic: str) -> list[int]:
        """The partitions that are known to be healthy, in order; none where nothing is known of the topic."""
        return self._health.healthy(topic)

    def is_partition_healthy(self, topic: str, partition: int) -> bool:
        """Whether a partition is one of `get_healthy_partitions`: False also where nothing is known of it."""
        return self._health.is_healthy(topic, partition)

    def get_health_summary(self) -> HealthSummary:
        """How the monitor is doing; see HealthSummary."""
        return self._health.summary(self.is_running, self._looks.works)

    def health_stream(self, topic: str) -> "HealthStream":
        """An iterator of {partition: score}: what is known now, then each change; {} when nothing is known any more.

        Every reader gets all of it (a reader who is a thousand changes behind loses the oldest). Waiting for the next
        change blocks. It ends when the monitor is stopped. A monitor that was never started starts with it; a topic
        that is not watched is watched as long as the stream is held.
        """
        return HealthStream(self, topic)

    @property
    def views(self) -> Mapping[str, View]:
        """Topic → what is known of it, for a partitioner: one mapping that is kept fresh."""
        return self._health.views

    @property
    def mode(self) -> HealthMode:
        """Embedded or standalone."""
        return self._looks.mode

    @property
    def topics(self) -> list[str]:
        """What is watched now."""
        return self._health.topics()

    @property
    def is_running(self) -> bool:
        """Whether it keeps its knowledge fresh in this process; False in a forked child until it is started there."""
        thread = self._thread
        return thread is not None and thread.is_alive() and self._pid == os.getpid()

    # --- what it does -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread, if it does not run; also once more after `stop`.

        Raises:
            HealthManagerError: there are no threads to be had.
        """
        with self._here():
            if self.is_running:
                return
            engine = ThreadEngine(self._looks)
            thread = threading.Thread(target=engine.run_and_end, name="superclient-health", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise HealthManagerError(f"the monitor cannot start: {error}") from None
            self._engine, self._thread, self._ever = engine, thread, True
            self._finalizer.detach()
            # What the thread has of the monitor must not keep the monitor itself alive.
            self._finalizer = weakref.finalize(self, engine.stop)
            self._finalizer.atexit = False

    def stop(self) -> None:
        """End the thread and wait for it; all streams end. Idempotent. A reading under way is not waited for."""
        with self._here():
            self._ever = True
            thread, engine = self._thread, self._engine
            self._thread = self._engine = None
            if thread is not None and engine is not None:
                engine.stop()
                if thread is not threading.current_thread():
                    thread.join()

    def force_refresh(self, topic: str | None = None) -> bool:
        """Look now, at all topics, and wait until that is done; whether all of them, or the one named, could be read.

        Raises nothing for a collector that fails: `get_health_summary` has the reason. Takes `timeout_seconds` at most
        (with a collector that reads one topic at a time: for each sixteen topics). Works also while the monitor does
        not run, on the calling thread.
        """
        if topic is not None:
            self._health.watch(topic)
        done = threading.Event()
        answers: list[bool] = []

        def tell(ok: bool) -> None:
            answers.append(ok)
            done.set()

        ticket = Ticket(time.monotonic(), tell, topic)
        with self._here():
            engine = self._engine if self.is_running else None
            if engine is None:
                ThreadEngine(self._looks).run_for(ticket)
        if engine is not None:
            engine.ask(ticket)
            while not done.wait(_LOOK_AGAIN):
                if not self.is_running:
                    return False
        return answers[0]

    def watch(self, topic: str) -> None:
        """For producers: a topic that is written to; cheap enough to be called again and again.

        One that is new is looked at soon. It is forgotten when nobody has asked for a while (`health.IDLE`).
        """
        if self._health.watch(topic):
            engine = self._engine
            if engine is not None:
                engine.hasten()

    def __enter__(self) -> "PartitionHealthMonitor":
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    # --- inside -------------------------------------------------------------------------------------------------------

    @classmethod
    def _made_of(cls, looks: Looks) -> "PartitionHealthMonitor":
        monitor = cls.__new__(cls)
        monitor._begin(looks)
        return monitor

    def _begin(self, looks: Looks) -> None:
        if collectors.is_async(looks.collector):
            raise ConfigurationError("lag_collector has to be awaited: it is one for AsyncPartitionHealthMonitor")
        self._looks, self._health = looks, looks.health
        self._engine, self._thread, self._ever = None, None, False
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._finalizer = weakref.finalize(self, _nothing)

    def _here(self) -> threading.Lock:
        """The lock of this process: a forked child's, since a thread that is not there may hold the parent's."""
        if self._pid != os.getpid():
            self._lock, self._engine, self._thread = threading.Lock(), None, None
            self._pid = os.getpid()
        return self._lock


class HealthStream(Iterator[dict[int, float]]):
    """See PartitionHealthMonitor.health_stream. For one thread; another reader takes a stream of its own."""

    def __init__(self, monitor: PartitionHealthMonitor, topic: str) -> None:
        self._changed = threading.Event()
        self._feed = Feed(topic, self._changed.set)
        self._monitor = monitor
        if not monitor._ever:
            monitor.start()
        known = topic in monitor._health.topics()
        monitor._health.subscribe(self._feed)
        engine = monitor._engine
        if not known and engine is not None:
            engine.hasten()

    def __next__(self) -> dict[int, float]:
        """The next change; blocks until there is one."""
        while True:
            self._changed.clear()
            over = self._feed.over or not self._monitor.is_running  # before the look: what came before it is not lost
            scores = self._feed.take()
            if scores is not None:
                return scores
            if over:
                raise StopIteration
            self._changed.wait(_LOOK_AGAIN)


def _nothing() -> None:
    """Before the first start there is nothing to end."""
