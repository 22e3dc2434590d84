"""Where a monitor's lags come from: the user's own collector, or the one that asks Kafka."""

import _thread
import inspect
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Protocol, cast, runtime_checkable

from superclient.errors import ClusterError, ConfigurationError, HealthCalculationError, LagDataUnavailableError
from superclient.kafka import face
from superclient.kafka.connection import Connection, OffsetsReader
from superclient.kafka.security import connection
from superclient.partitioning import Queue
from superclient.partitioning.collectors import EARLIEST, LATEST, Collector, GroupCollector
from superclient.smart.config import HealthManagerConfig
from superclient.smart.health import told
from superclient.smart.rounds import Kind, Look, Outcome

log = logging.getLogger("superclient.smart.monitor")

# librdkafka's only names without dots; every other underscore is a dot that Python's keywords cannot have.
_WITH_UNDERSCORES = ("ssl_key", "ssl_certificate", "ssl_ca")


@runtime_checkable
class LagDataCollector(Protocol):
    """What a monitor asks for lags, on threads of its own: several topics at once, each topic by one thread at a time.

    Whatever it raises means that the topic's lag is not known. A call that takes longer than `timeout_seconds` is given
    up; the topic is not asked about again until it has returned.
    """

    def get_lag_data(self, topic: str) -> dict[int, int]:
        """Partition → lag in records. A partition that is missing is not known; an empty dict: nothing is."""
        ...

    def is_healthy(self) -> bool:
        """Whether the source works, for the monitor's summary; what decides is whether `get_lag_data` answers."""
        ...


@runtime_checkable
class AsyncLagDataCollector(Protocol):
    """The same as a coroutine, for AsyncPartitionHealthMonitor, which awaits it on its own event loop."""

    async def get_lag_data(self, topic: str) -> dict[int, int]:
        """See LagDataCollector."""
        ...

    def is_healthy(self) -> bool:
        """See LagDataCollector."""
        ...


class KafkaAdminLagCollector:
    """The lags of a consumer group: log end offset − committed offset, read through confluent-kafka.

    Connects when it is first asked, and stays connected until `close`, after which it connects anew. Where the group
    has committed nothing, its lag counts from the log's start (`auto_offset_reset="latest"`: from its end). It joins no
    group, commits nothing, and creates no topic. Usable from any thread; readings take turns.
    """

    def __init__(
        self,
        bootstrap_servers: str | Iterable[str],
        consumer_group: str,
        timeout_seconds: float = 20.0,
        **config: Any,
    ) -> None:
        """`config` is what else it takes to connect, in librdkafka's names (`**{"sasl.username": "me"}`) or with
        underscores (`sasl_username="me"`); a producer's whole configuration may be given, of which security and name
        resolution are used.

        Raises:
            ConfigurationError: a value that cannot be meant.
        """
        if not isinstance(consumer_group, str) or not consumer_group.strip():
            raise ConfigurationError(f"consumer_group must be a name, not {consumer_group!r}")
        servers = bootstrap_servers if isinstance(bootstrap_servers, str) else ",".join(bootstrap_servers)
        if not servers.strip():
            raise ConfigurationError("bootstrap_servers must name at least one server")
        # Checked as a monitor's are; and kept here whole, because a Connection only borrows what can be called.
        self._timeout = HealthManagerConfig(timeout_seconds=timeout_seconds).timeout_seconds
        self._settings = {_dotted(name): value for name, value in config.items()}
        self._settings["bootstrap.servers"] = servers
        self._reset = self._settings.pop("auto.offset.reset", EARLIEST)
        if self._reset not in (EARLIEST, LATEST):
            raise ConfigurationError(f"auto_offset_reset must be {EARLIEST} or {LATEST}, not {self._reset!r}")
        self._group = consumer_group
        self._reader: OffsetsReader | None = None
        self._reading = threading.Lock()  # a reader is for one thread at a time
        self._pid = os.getpid()
        self._works = True
        self._finalizer = weakref.finalize(self, _close_elsewhere, None, self._pid)
        self._finalizer.atexit = False

    def get_lag_data(self, topic: str) -> dict[int, int]:
        """Partition → lag in records, of the partitions that have a leader.

        Raises:
            LagDataUnavailableError: they could not be read within the time-out, or there is no such topic.
        """
        found = self.collect((topic,), self._timeout)
        if not found.get(topic):
            raise LagDataUnavailableError(f"there is no topic {topic}, or nobody leads its partitions")
        return {partition: queue.lag for partition, queue in found[topic].items()}

    def is_healthy(self) -> bool:
        """Whether the last reading worked; True before the first."""
        return self._works

    def collect(self, topics: Collection[str], timeout: float) -> dict[str, dict[int, Queue]]:
        """The queues of several topics in one reading; a topic that does not exist is absent.

        Raises:
            LagDataUnavailableError: nothing could be read within so many seconds.
        """
        if self._pid != os.getpid():
            self._abandon()
        if not self._reading.acquire(timeout=timeout):
            raise LagDataUnavailableError(f"another reading took longer than {timeout:g} s")
        try:
            found = GroupCollector(self._opened(), self._group, self._reset).collect(topics, timeout)
        except ClusterError as error:
            self._works = False
            raise LagDataUnavailableError(f"the lags of group {self._group}: {told(error)}") from None
        finally:
            self._reading.release()
        self._works = True
        return found

    def close(self) -> None:
        """Let go of the connections, once a reading that is under way has ended."""
        if self._pid != os.getpid():
            return
        with self._reading:
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.close()

    @property
    def connection(self) -> Connection:
        """How it reaches the cluster; valid as long as the collector is there."""
        return connection("confluent-kafka", self._settings)

    @property
    def consumer_group(self) -> str:
        """The group whose lags these are."""
        return self._group

    def __repr__(self) -> str:
        """Without what it connects with, which holds secrets."""
        return f"{type(self).__name__}({', '.join(self.connection.bootstrap)!r}, {self._group!r})"

    def _opened(self) -> OffsetsReader:
        if self._reader is None:
            self._reader = cast(OffsetsReader, face("confluent-kafka").offsets_reader(self.connection))
            self._finalizer.detach()
            self._finalizer = weakref.finalize(self, _close_elsewhere, self._reader, os.getpid())
            self._finalizer.atexit = False
        return self._reader

    def _abandon(self) -> None:
        """In a forked child: the connections are the parent's, and the lock may be held by one of its threads."""
        reader, self._reader = self._reader, None
        self._reading, self._pid = threading.Lock(), os.getpid()
        if reader is not None:
            reader.abandon()


def for_group(group: str, kafka_config: Mapping[str, Any], timeout: float) -> KafkaAdminLagCollector:
    """The collector of a group on the cluster that a producer with this configuration (librdkafka's) produces to.

    Raises:
        ConfigurationError: it names no servers.
    """
    names = ("bootstrap.servers", "metadata.broker.list")  # aliases: the last one written counts
    servers = [value for name, value in kafka_config.items() if name in names and value]
    if not servers:
        raise ConfigurationError("kafka_config must have bootstrap.servers")
    others = {name: value for name, value in kafka_config.items() if name not in (*names, "auto.offset.reset")}
    return KafkaAdminLagCollector(servers[-1], group, timeout, **others)


def _close_elsewhere(reader: OffsetsReader | None, pid: int) -> None:
    """Close what a collector that was dropped left open; the garbage collector, which calls this, waits for nothing."""
    if reader is not None and pid == os.getpid():
        # Not a threading.Thread: starting one takes locks that this very thread may hold.
        with suppress(RuntimeError):  # the interpreter is ending
            _thread.start_new_thread(reader.close, ())


def _dotted(name: str) -> str:
    return name if name in _WITH_UNDERSCORES or name.endswith("_cb") else name.replace("_", ".")


# --- for monitors -----------------------------------------------------------------------------------------------------

AnyCollector = LagDataCollector | AsyncLagDataCollector | Collector


def is_together(collector: AnyCollector) -> bool:
    """Whether it reads all topics at once."""
    return callable(getattr(collector, "collect", None))


def is_async(collector: AnyCollector) -> bool:
    """Whether it must be awaited."""
    return not is_together(collector) and inspect.iscoroutinefunction(getattr(collector, "get_lag_data", None))


def check(collector: AnyCollector) -> None:
    """Raises ConfigurationError where this is no collector at all."""
    if not is_together(collector) and not callable(getattr(collector, "get_lag_data", None)):
        kind = type(collector).__name__
        raise ConfigurationError(f"lag_collector must have get_lag_data(topic) and is_healthy(), which {kind} has not")


def works(collector: AnyCollector) -> bool | None:
    """What the collector says of itself; None where it says nothing, or would have to be awaited."""
    asked = getattr(collector, "is_healthy", None)
    try:
        answer = asked() if callable(asked) else None
    except Exception as error:  # the user's own code, for a line in a summary
        log.debug("is_healthy() of %s: %r", type(collector).__name__, error)
        return False
    if inspect.iscoroutine(answer):
        answer.close()
    return answer if isinstance(answer, bool) else None


def read(collector: AnyCollector, look: Look) -> Outcome:
    """What a look brings, on a thread that may be blocked; raises nothing that the collector raises."""
    try:
        if look.kind is Kind.TOGETHER:
            return Outcome(found=cast(Collector, collector).collect(look.topics, look.timeout))
        (topic,) = look.topics
        return Outcome(found={topic: lags(cast(LagDataCollector, collector).get_lag_data(topic))})
    except Exception as error:
        return failed(look, error)


async def awaited(collector: AnyCollector, look: Look) -> Outcome:
    """The same of a collector that is awaited."""
    (topic,) = look.topics
    try:
        answer = cast("Awaitable[object]", cast(AsyncLagDataCollector, collector).get_lag_data(topic))
        return Outcome(found={topic: lags(await answer)})
    except Exception as error:
        return failed(look, error)


def failed(look: Look, error: BaseException) -> Outcome:
    """A look that brought nothing."""
    log.debug("reading the lags of %s: %r", ", ".join(look.topics), error)
    return Outcome(errors=dict.fromkeys(look.topics, told(error)))


def lags(answer: object) -> dict[int, Queue]:
    """What a collector answered, as queues.

    Raises:
        HealthCalculationError: it is no mapping from partitions to numbers of records.
    """
    if inspect.iscoroutine(answer):
        answer.close()
    if not isinstance(answer, Mapping):
        raise HealthCalculationError(f"get_lag_data answered a {type(answer).__name__}, not a dict")
    try:
        return {int(partition): Queue(max(0, int(lag))) for partition, lag in answer.items()}
    except (TypeError, ValueError, OverflowError):
        raise HealthCalculationError("get_lag_data answered lags that are no numbers of records") from None
