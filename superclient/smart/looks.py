"""What a monitor is made of beside its thread or task: a collector, maybe a board in Redis, and options for both."""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict

from superclient.errors import CacheError, ConfigurationError
from superclient.smart import collectors
from superclient.smart.collectors import AnyCollector
from superclient.smart.config import CacheConfig, HealthManagerConfig, HealthMode, SmartProducerConfig
from superclient.smart.health import Health
from superclient.smart.publishing import Board
from superclient.smart.rounds import Kind, Look, Outcome, Rounds


class HealthOptions(TypedDict, total=False):
    """The fields of HealthManagerConfig that a monitor takes by name."""

    health_threshold: float
    refresh_interval: float
    max_lag_for_health: float
    timeout_seconds: float
    cache_enabled: bool
    cache_max_size: int
    cache_ttl_seconds: float


class StandaloneOptions(HealthOptions, total=False):
    """The same, and where Redis is: CacheConfig's fields; what is left out of the first three is taken from the
    environment: REDIS_HOST, REDIS_PORT, REDIS_DB."""

    redis_host: str
    redis_port: int
    redis_db: int
    redis_password: str | None
    redis_ssl_enabled: bool
    redis_ssl_cert_reqs: str
    redis_ssl_ca_certs: str | os.PathLike[str] | None
    redis_ssl_certfile: str | os.PathLike[str] | None
    redis_ssl_keyfile: str | os.PathLike[str] | None


class Looks:
    """Makes a monitor's looks: reads what is published, asks the collector, publishes what that saw.

    Attributes:
        collector: where lags come from; `own`: it was made for this monitor, which closes it.
        board: what is read first (embedded), or written to (standalone).
        works: what the collector said of itself after the last look; None where it said nothing yet.
    """

    def __init__(
        self,
        collector: AnyCollector,
        topics: Iterable[str],
        config: HealthManagerConfig,
        mode: HealthMode = HealthMode.EMBEDDED,
        board: Board | None = None,
        own: bool = False,
    ) -> None:
        collectors.check(collector)
        self.collector, self.config, self.mode, self.board, self._own = collector, config, mode, board, own
        self.health = Health(config, topics, mode)
        self.works: bool | None = None
        self._publishing = 0  # the process of which a thread is at it: a lock might be inherited by a forked child

    def rounds(self) -> Rounds:
        """New rounds for a run that begins."""
        return Rounds(
            self.health,
            self.config.refresh_interval,
            self.config.timeout_seconds,
            together=collectors.is_together(self.collector),
            published=self.board is not None and self.mode is HealthMode.EMBEDDED,
        )

    def make(self, look: Look, deliver: Callable[[Look, Outcome], None]) -> None:
        """Make a look, on a thread that may be blocked; deliver what it brings, then, standalone, publish it."""
        try:
            if look.kind is Kind.PUBLISHED:
                outcome = self.board.look(look) if self.board is not None else Outcome()
            else:
                outcome = collectors.read(self.collector, look)
        except BaseException as error:  # a collector that calls sys.exit(): else nobody would hear of this look again
            outcome = collectors.failed(look, error)
        deliver(look, outcome)
        if look.kind is not Kind.PUBLISHED:
            self.works = collectors.works(self.collector)  # here, where a collector that has to go and see may block
            self._publish(outcome)

    def close(self) -> None:
        """Let go of connections, in the background where a look may still hold them; a later look connects anew."""
        if self._own or self.board is not None:
            threading.Thread(target=self._close, name="superclient-health-close", daemon=True).start()

    def _publish(self, outcome: Outcome) -> None:
        """Standalone: write what was seen into Redis, unless an earlier look is still at it."""
        if self.board is None or self.mode is not HealthMode.STANDALONE or self._publishing == os.getpid():
            return
        self._publishing = os.getpid()
        try:
            self.board.write(outcome.found, self.config)
        except CacheError as error:
            self.health.unpublished(str(error))
        else:
            self.health.unpublished(None)
        finally:
            self._publishing = 0

    def _close(self) -> None:
        close = getattr(self.collector, "close", None)
        if self._own and callable(close):
            close()
        if self.board is not None:
            self.board.close()


def of_producer(config: SmartProducerConfig) -> Looks:
    """What the monitor of a producer with this configuration is made of.

    Raises:
        ConfigurationError: there is no consumer_group, or no bootstrap.servers.
        ImportError: Redis is enabled, and redis-py is not installed.
    """
    health = config.health_manager
    if health is None or health.consumer_group is None:
        raise ConfigurationError("consumer_group is missing: there is nobody whose lag could be watched")
    collector = collectors.for_group(health.consumer_group, config.kafka_config, health.timeout_seconds)
    remote = config.cache.remote_enabled
    board = Board(config.cache, collector.connection, health.consumer_group) if remote else None
    return Looks(collector, config.topics, health, board=board, own=True)


def standalone(
    consumer_group: str, kafka_config: Mapping[str, Any], topics: Iterable[str], options: Mapping[str, Any]
) -> Looks:
    """What a standalone monitor is made of; see PartitionHealthMonitor.standalone."""
    redis = {name: value for name, value in options.items() if name.startswith("redis_")}
    others = {name: value for name, value in options.items() if name not in redis}
    health = HealthManagerConfig(consumer_group=consumer_group, **others)
    cache = CacheConfig(remote_enabled=True, **{**_environment(redis), **redis})
    collector = collectors.for_group(consumer_group, kafka_config, health.timeout_seconds)
    board = Board(cache, collector.connection, consumer_group)
    return Looks(collector, topics, health, HealthMode.STANDALONE, board, own=True)


def _environment(given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable in ("REDIS_HOST", "REDIS_PORT", "REDIS_DB"):
        name, text = variable.lower(), os.environ.get(variable, "").strip()
        if not text or name in given:
            continue
        if name != "redis_host" and not text.isdecimal():
            raise ConfigurationError(f"{variable} must be a whole number, not {text!r}")
        found[name] = text if name == "redis_host" else int(text)
    return found
