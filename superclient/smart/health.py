"""What a monitor knows of its topics, for producers and people: the pure core that thread and task share.

One writer, whoever runs the monitor, calls `take`; everybody else only reads, from any thread. No lock, no I/O, no
thread: a reader sees the newest `View` or the one before it, never half of one.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

from superclient.errors import ClusterError, ConfigurationError, SmartProducerError
from superclient.partitioning import LagState, Queue, Rules, View
from superclient.smart.config import HealthManagerConfig, HealthMode
from superclient.smart.feeds import Feed, Feeds

log = logging.getLogger("superclient.smart.monitor")

IDLE = 300.0
"""Seconds (or ten refresh intervals, if that is longer) after which a topic that was met on the way, and that nobody
asked about since, is watched no more."""
_LONGEST_TEXT = 300

Source = Literal["collector", "published"]


class TopicSummary(TypedDict):
    """One topic, as a person wants to see it; lags in records, `age` in seconds since what is known was seen."""

    total: int
    healthy: int
    healthy_partitions: list[int]
    min_lag: int | None
    max_lag: int | None
    age: float | None
    source: Source | None
    refreshes: int
    failures: int
    last_error: str | None


class HealthSummary(TypedDict):
    """A monitor, as a person wants to see it: plain values that `json.dumps` takes.

    `refreshes` and `failures` count topics read and not read since the monitor was made; a topic of which nothing is
    known (not read yet, or not for too long) counts no partitions and has `age` None. `collector_healthy` is what the
    collector's `is_healthy` said after the last look.
    """

    mode: str
    running: bool
    collector_healthy: bool | None
    health_threshold: float
    max_lag_for_health: float
    refresh_interval: float
    total_partitions: int
    healthy_partitions: int
    refreshes: int
    failures: int
    last_error: str | None
    topics: dict[str, TopicSummary]


@dataclass(slots=True)
class _Record:
    """What became of a topic's refreshes."""

    refreshes: int = 0
    failures: int = 0
    error: str | None = None
    failing: bool = False
    source: Source | None = None


class Health:
    """The health of the partitions of some topics."""

    def __init__(
        self,
        config: HealthManagerConfig,
        topics: Iterable[str],
        mode: HealthMode = HealthMode.EMBEDDED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(topics, (str, bytes)):
            raise ConfigurationError(f"topics must be a list of topic names, not {topics!r}")
        self._config, self._mode, self._clock = config, mode, clock
        self._named = tuple(dict.fromkeys(topics))
        self._met: dict[str, float] = {}  # → when somebody last asked about it
        self._records: dict[str, _Record] = {}
        self._error: str | None = None
        self._unpublished: str | None = None
        self.feeds = Feeds()
        rules = Rules(
            max_lag=config.max_lag_for_health,
            threshold=config.health_threshold,
            cut_off=cut_off(config),
            least=0.0,
            probation=False,
        )
        self._state = LagState(rules)

    # --- for producers and people -------------------------------------------------------------------------------------

    @property
    def views(self) -> Mapping[str, View]:
        """Topic → what is known of it: always this one object, kept fresh; a view counts until its `until`."""
        return self._state.views

    def view(self, topic: str) -> View | None:
        """What is known of a topic; None where nothing is, or nothing that is still true."""
        view = self._state.views.get(topic)
        return view if view is not None and self._clock() < view.until else None

    def healthy(self, topic: str) -> list[int]:
        """See PartitionHealthMonitor.get_healthy_partitions."""
        view = self.view(topic)
        return sorted(view.healthy) if view is not None else []

    def is_healthy(self, topic: str, partition: int) -> bool:
        """See PartitionHealthMonitor.is_partition_healthy."""
        view = self.view(topic)
        return view is not None and partition in view.healthy

    def summary(self, running: bool, collector_healthy: bool | None) -> HealthSummary:
        """See HealthSummary."""
        topics = {topic: self._topic(topic) for topic in self.topics()}
        return {
            "mode": self._mode.value,
            "running": running,
            "collector_healthy": collector_healthy,
            "health_threshold": self._config.health_threshold,
            "max_lag_for_health": self._config.max_lag_for_health,
            "refresh_interval": self._config.refresh_interval,
            "total_partitions": sum(each["total"] for each in topics.values()),
            "healthy_partitions": sum(each["healthy"] for each in topics.values()),
            "refreshes": sum(each["refreshes"] for each in topics.values()),
            "failures": sum(each["failures"] for each in topics.values()),
            "last_error": self._error or self._unpublished,
            "topics": topics,
        }

    def _topic(self, topic: str) -> TopicSummary:
        view, record = self.view(topic), self._records.get(topic) or _Record()
        lags = view.lags.values() if view is not None else ()
        healthy = sorted(view.healthy) if view is not None else []
        return {
            "total": len(lags),
            "healthy": len(healthy),
            "healthy_partitions": healthy,
            "min_lag": min(lags, default=None),
            "max_lag": max(lags, default=None),
            "age": max(0.0, self._clock() - view.at) if view is not None else None,
            "source": record.source if view is not None else None,
            "refreshes": record.refreshes,
            "failures": record.failures,
            "last_error": record.error,
        }

    def subscribe(self, feed: Feed) -> None:
        """Tell this reader what is known now, and each change, for as long as somebody holds the feed."""
        self.feeds.add(feed, self._scores(feed.topic))

    # --- which topics -------------------------------------------------------------------------------------------------

    def topics(self) -> list[str]:
        """All that are watched: those that were named, those that were met, those that somebody reads the stream of."""
        return list(dict.fromkeys([*self._named, *self._met.copy(), *self.feeds.topics()]))

    def watch(self, topic: str) -> bool:
        """A topic was met, or is still in use: whether it is one that was not watched until now.

        At most `cache_max_size` topics are watched, not counting those that were named at the start: beyond, a topic
        gets no health until another one has not been asked about for a while. Cheap: one look-up for a known topic.
        """
        if topic in self._named:
            return False
        known = topic in self._met
        if not known and len(self._met) >= self._config.cache_max_size:
            return False
        self._met[topic] = self._clock()
        return not known

    def forget_idle(self) -> None:
        """For the writer, once a round: drop the topics that nobody asked about for a while."""
        oldest = self._clock() - max(IDLE, 10 * self._config.refresh_interval)
        for topic, asked in list(self._met.items()):
            if asked < oldest:
                del self._met[topic]
        wanted = self.topics()
        for topic in [each for each in self._records if each not in wanted]:
            del self._records[topic]
            self._state.forget(topic)
            self._tell(topic)

    # --- for the writer -----------------------------------------------------------------------------------------------

    def take(self, found: Mapping[str, Mapping[int, Queue]], errors: Mapping[str, str]) -> None:
        """What a refresh brought: topics' queues, none for a topic that is not there, and why others were not read.

        A topic that was not read keeps what was known until that is too old, or loses it at once without
        `cache_enabled`.
        """
        now = self._clock()
        for topic, queues in found.items():
            record = self._read(topic, "collector")
            if queues:
                self._state.update(topic, queues, now)
            else:
                self._state.forget(topic)
                record.error = "there is no such topic, or nobody leads its partitions"
        self._failed(errors)
        for topic in (*found, *errors):
            self._tell(topic)

    def take_published(self, topic: str, queues: Mapping[int, Queue], age: float, lasts: float) -> None:
        """What another process saw `age` seconds ago, which counts for `lasts` seconds from then, or as long as what
        this process sees."""
        self._read(topic, "published")
        view = self._state.update(topic, queues, self._clock() - age)
        self._state.views[topic] = replace(view, until=max(view.until, view.at + lasts))
        self._tell(topic)

    def _read(self, topic: str, source: Source) -> _Record:
        record = self._records.setdefault(topic, _Record())
        if record.failing:
            log.info("the lag of %s is known again", topic)
        record.refreshes += 1
        record.source, record.error, record.failing = source, None, False
        self._error = None
        return record

    def _failed(self, errors: Mapping[str, str]) -> None:
        newly = []
        for topic, error in errors.items():
            record = self._records.setdefault(topic, _Record())
            if not record.failing:
                newly.append(topic)
            record.failures += 1
            record.error, record.failing = error, True
            self._error = error
            if not self._config.cache_enabled or self.view(topic) is None:
                self._state.forget(topic)
        if newly:  # once for each topic until it works again, in one line for all of them
            others = f" and {len(newly) - 1} other topics" if len(newly) > 1 else ""
            log.warning("the lag of %s%s cannot be read: %s", newly[0], others, errors[newly[0]])

    def unpublished(self, error: str | None) -> None:
        """Whether what was seen could be published, for the summary."""
        self._unpublished = error

    def _tell(self, topic: str) -> None:
        self.feeds.tell(topic, self._scores(topic))

    def _scores(self, topic: str) -> Mapping[int, float]:
        view = self.view(topic)
        return view.scores if view is not None else {}


def cut_off(config: HealthManagerConfig) -> float:
    """Seconds for which health counts after it was seen, however many refreshes fail.

    `cache_ttl_seconds`, but at least two refresh intervals (else health would lapse between two looks that succeed) and
    at most five (what is older says nothing of a queue); without `cache_enabled` the least. On a busy machine a thread
    may be late by a moment: neither is shorter than one second, the longest not than five.
    """
    least = max(2 * config.refresh_interval, 1.0)
    most = max(5 * config.refresh_interval, 5.0)
    return max(least, min(config.cache_ttl_seconds, most)) if config.cache_enabled else least


def told(error: BaseException) -> str:
    """An error in one line: our own messages as they are, others with their type."""
    text = " ".join(str(error).split())[:_LONGEST_TEXT]
    if isinstance(error, (SmartProducerError, ClusterError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
