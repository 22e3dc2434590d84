"""Health in Redis: what a standalone monitor publishes, and other processes go by instead of asking Kafka.

One value a topic, named by the cluster's bootstrap servers, the group and the topic: both sides must name the same
servers. How old it is, is told by what Redis has left of its time to live: one clock, whatever the hosts' clocks say.
A value of another version, of another shape, without an end, or that claims to be of another time altogether, is no
value. It holds lags, of which each reader makes health by its own options; the scores are the publisher's, for people.
"""

import time
from collections.abc import Callable, Collection, Mapping
from urllib.parse import quote

from superclient.kafka.connection import Connection
from superclient.partitioning import Queue, scoring
from superclient.smart.cache.base import Value
from superclient.smart.cache.store import RedisStore, encoded
from superclient.smart.config import CacheConfig, HealthManagerConfig
from superclient.smart.rounds import Look, Outcome, Published

VERSION = 1
INTERVALS, LEAST_SECONDS = 3.0, 3.0
"""How long a value lasts: so many refresh intervals of its publisher, who writes it anew with each, and at least so
many seconds."""
SKEW = 3600.0
"""Seconds by which two hosts' clocks may differ before what one of them wrote is taken for a mistake."""


class Board:
    """Where the health of one group on one cluster is published. Usable from any thread, and after a fork.

    Raises:
        ImportError: redis-py is not installed.
    """

    def __init__(
        self, cache: CacheConfig, cluster: Connection, group: str, wall: Callable[[], float] = time.time
    ) -> None:
        self._prefix = f"{quote(','.join(cluster.bootstrap), safe=',:')}|{quote(group, safe='')}|"
        self._cache = cache
        self._store: RedisStore | None = RedisStore(cache, "health")
        self._wall = wall

    def read(self, topics: Collection[str]) -> dict[str, Published]:
        """What is published of these topics now; blocks for Redis' short time-outs at most.

        Raises:
            CacheError: Redis is away.
        """
        names = {self._prefix + topic: topic for topic in topics}
        found = self._opened().read(list(names)).items()
        parsed = {names[name]: parse(each.value, each.remaining, self._wall()) for name, each in found}
        return {topic: each for topic, each in parsed.items() if each is not None}

    def write(self, found: Mapping[str, Mapping[int, Queue]], config: HealthManagerConfig) -> None:
        """Publish what was just seen, for three refresh intervals; blocks as `read` does.

        Raises:
            CacheError: Redis is away.
        """
        lasts = max(INTERVALS * config.refresh_interval, LEAST_SECONDS)
        now = self._wall()
        values = {
            self._prefix + topic: (encoded(_value(queues, config.max_lag_for_health, now, lasts)), lasts, False)
            for topic, queues in found.items()
            if queues
        }
        if values:
            self._opened().write(values)

    def look(self, look: Look) -> Outcome:
        """What a look brings; nothing where Redis is away, which the store has told already."""
        try:
            return Outcome(published=self.read(look.topics))
        except Exception:
            return Outcome()

    def close(self) -> None:
        """Let go of the connections; the next to use the board connects anew."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _opened(self) -> RedisStore:
        store = self._store
        if store is None:
            store = self._store = RedisStore(self._cache, "health")
        return store


def _value(queues: Mapping[int, Queue], max_lag: float, now: float, lasts: float) -> Value:
    lags = {partition: max(0, queue.lag) for partition, queue in queues.items()}
    return {
        "version": VERSION,
        "time": now,
        "lasts": lasts,
        "lags": {str(partition): lag for partition, lag in lags.items()},
        "scores": {str(partition): scoring.score(lag, max_lag) for partition, lag in lags.items()},
    }


def parse(value: Value, remaining: float | None, now: float) -> Published | None:
    """What a value says that Redis keeps for so many seconds more, at `now` (time.time()); None: nothing."""
    if not isinstance(value, Mapping) or value.get("version") != VERSION or remaining is None:
        return None
    written, lasts, lags = value.get("time"), value.get("lasts"), value.get("lags")
    if not isinstance(written, (int, float)) or not isinstance(lasts, (int, float)):
        return None
    if not isinstance(lags, Mapping) or not lags:
        return None
    if not lasts > 0 or not -SKEW <= now - written <= lasts + SKEW or remaining > lasts + 1.0:
        return None
    try:
        queues = {int(partition): Queue(_lag(lag)) for partition, lag in lags.items()}
    except (TypeError, ValueError):
        return None
    return Published(queues, max(0.0, lasts - remaining), lasts)


def _lag(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(value)
    return value
