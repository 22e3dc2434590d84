"""What a SmartProducer, its monitor and its caches are told: frozen values, checked when they are made.

A value that cannot be meant is a ConfigurationError (a ValueError) that names the field. Nothing here connects, reads
a file or shows a secret.
"""

import difflib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Literal, TypeVar

from superclient.errors import ConfigurationError
from superclient.redact import MASK, reportable

CERT_REQS = ("required", "optional", "none")
_OWN = ("topics", "consumer_group", "health_manager", "cache", "cache_config", "smart_enabled", "key_stickiness")
# librdkafka's settings have dots; what has none and is nearly one of ours is a slip of the pen, but for its callbacks.
_CALLBACKS = ("_cb", "_delivery", "logger")


class HealthMode(Enum):
    """Whom a monitor works for: the processes that read Redis, or the producer in its own process."""

    STANDALONE = "standalone"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class HealthManagerConfig:
    """How the health of partitions is watched.

    Attributes:
        consumer_group: whose committed offsets make the lag; None: the SmartProducerConfig's.
        health_threshold: score, 0 to 1, from which on a partition is healthy.
        refresh_interval: seconds between two looks.
        max_lag_for_health: records of lag at which the score is 0.
        timeout_seconds: how long one look may take.
        cache_enabled: whether what was seen still counts after a look that fails.
        cache_max_size: topics that are watched, at most, beside those that were named: producers may meet others.
        cache_ttl_seconds: for how long what was seen counts while nothing new comes; within two to five intervals.
    """

    consumer_group: str | None = None
    health_threshold: float = 0.5
    refresh_interval: float = 30.0
    max_lag_for_health: float = 1000
    timeout_seconds: float = 20.0
    cache_enabled: bool = True
    cache_max_size: int = 1000
    cache_ttl_seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.consumer_group is not None:
            _text("consumer_group", self.consumer_group)
        _number("health_threshold", self.health_threshold, low=0.0, high=1.0)
        for name in ("refresh_interval", "max_lag_for_health", "timeout_seconds", "cache_ttl_seconds"):
            _positive(name, getattr(self, name))
        _switch("cache_enabled", self.cache_enabled)
        _whole("cache_max_size", self.cache_max_size, low=1)


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """Where keys' partitions, and health that others publish, are remembered.

    Attributes:
        local_max_size: entries in memory at most; 0: none, so with `remote_enabled` Redis alone.
        local_ttl_seconds: seconds after which an entry in memory is forgotten; fractions count.
        remote_enabled: whether Redis remembers too, for all processes (needs `superclient[redis]`).
        remote_ttl_seconds: seconds after which an entry in Redis is forgotten; fractions count.
        redis_password: in no repr and in no log.
        redis_ssl_cert_reqs: "required", "optional" or "none": what is asked of the server's certificate.
        redis_ssl_ca_certs, redis_ssl_certfile, redis_ssl_keyfile: PEM files: who signs servers, and who we are.
    """

    local_max_size: int = 1000
    local_ttl_seconds: float = 300.0
    remote_enabled: bool = False
    remote_ttl_seconds: float = 900.0
    redis_host: str = "localhost"
    redis_port: int = 6379
    redis_db: int = 0
    redis_password: str | None = field(default=None, repr=False)
    redis_ssl_enabled: bool = False
    redis_ssl_cert_reqs: Literal["required", "optional", "none"] = "required"
    redis_ssl_ca_certs: str | os.PathLike[str] | None = None
    redis_ssl_certfile: str | os.PathLike[str] | None = None
    redis_ssl_keyfile: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        _whole("local_max_size", self.local_max_size, low=0)
        _positive("local_ttl_seconds", self.local_ttl_seconds)
        _positive("remote_ttl_seconds", self.remote_ttl_seconds)
        _switch("remote_enabled", self.remote_enabled)
        _switch("redis_ssl_enabled", self.redis_ssl_enabled)
        _text("redis_host", self.redis_host)
        if set("/@") & set(self.redis_host):  # a URL may hold a password: it is not shown
            raise ConfigurationError("redis_host must be a host name or an address; a URL has no place here")
        _whole("redis_port", self.redis_port, low=1, high=65535)
        _whole("redis_db", self.redis_db, low=0)
        if self.redis_password is not None and not isinstance(self.redis_password, str):
            raise ConfigurationError(f"redis_password must be a str, not a {type(self.redis_password).__name__}")
        if self.redis_ssl_cert_reqs not in CERT_REQS:
            raise _wrong("redis_ssl_cert_reqs", self.redis_ssl_cert_reqs, f"one of {', '.join(CERT_REQS)}")
        for name in ("redis_ssl_ca_certs", "redis_ssl_certfile", "redis_ssl_keyfile"):
            path = getattr(self, name)
            if path is not None and (not isinstance(path, (str, os.PathLike)) or not os.fspath(path)):
                raise _wrong(name, path, "the path of a PEM file")
        if self.redis_ssl_keyfile is not None and self.redis_ssl_certfile is None:
            raise ConfigurationError("redis_ssl_keyfile needs redis_ssl_certfile: a key says nothing without it")


@dataclass(frozen=True, slots=True, init=False, repr=False)
class SmartProducerConfig:
    """A SmartProducer's whole configuration, with what was left out filled in.

    Attributes:
        kafka_config: librdkafka's settings, a copy of what was given.
        topics: whose partitions' health is watched.
        consumer_group: by whose lag; None: nothing is watched, and the producer is a plain one.
        health_manager: how; None exactly where there is no consumer_group.
        cache: where keys' partitions are remembered.
        smart_enabled: False makes a plain producer.
        key_stickiness: True: a key stays at its first partition; "hash": always its hash partition; False: keys are
            spread over healthy partitions like records without one.
    """

    kafka_config: dict[str, Any]
    topics: tuple[str, ...]
    consumer_group: str | None
    health_manager: HealthManagerConfig | None
    cache: CacheConfig
    smart_enabled: bool
    key_stickiness: bool | Literal["hash"]

    def __init__(
        self,
        kafka_config: Mapping[str, Any],
        topics: Iterable[str],
        consumer_group: str | None = None,
        health_manager: HealthManagerConfig | Mapping[str, Any] | None = None,
        cache: CacheConfig | Mapping[str, Any] | None = None,
        smart_enabled: bool = True,
        key_stickiness: bool | Literal["hash"] = True,
        *,
        cache_config: CacheConfig | Mapping[str, Any] | None = None,
    ) -> None:
        """Fill in what follows from the rest, and check it: either `cache` or `cache_config`, which are the same.

        Raises:
            ConfigurationError: a value, or two that contradict each other; the message names the field.
        """
        health = _made(HealthManagerConfig, "health_manager", health_manager)
        given = _one_of(_made(CacheConfig, "cache", cache), _made(CacheConfig, "cache_config", cache_config))
        group = _group(consumer_group, health)
        _switch("smart_enabled", smart_enabled)
        if not isinstance(key_stickiness, bool) and key_stickiness != "hash":
            raise _wrong("key_stickiness", key_stickiness, 'True, False or "hash"')
        watched = _names(topics)
        if group is not None and smart_enabled and not watched:
            raise ConfigurationError("topics must name at least one topic: their partitions are what is watched")
        values = {
            "kafka_config": _settings(kafka_config),
            "topics": watched,
            "consumer_group": group,
            "health_manager": _for_group(health, group),
            "cache": given or CacheConfig(),
            "smart_enabled": smart_enabled,
            "key_stickiness": key_stickiness,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "SmartProducerConfig":
        """From one flat dict: librdkafka's settings beside `topics`, `consumer_group`, `health_manager`, `cache` (or
        `cache_config`), `smart_enabled` and `key_stickiness`. The dict is left as it is.

        Raises:
            ConfigurationError: as the constructor; also for a key that is nearly one of these.
        """
        if not isinstance(settings, Mapping):
            raise _wrong("settings", type(settings).__name__, "a dict")
        own = {name: settings[name] for name in _OWN if name in settings}
        kafka = {name: value for name, value in settings.items() if name not in own}
        for name in kafka:
            if isinstance(name, str) and "." not in name and not name.endswith(_CALLBACKS):
                near = difflib.get_close_matches(name, _OWN, 1, cutoff=0.8)
                if near:
                    raise ConfigurationError(f"{name} is no setting; did you mean {near[0]}?")
        if "topics" not in own:
            raise ConfigurationError("topics is missing: a list of topic names")
        return cls(kafka, **own)

    @property
    def cache_config(self) -> CacheConfig:
        """The same as `cache`."""
        return self.cache

    def __repr__(self) -> str:
        """Without secrets: of librdkafka's settings, values only where they are known to be harmless."""
        shown = reportable(self.kafka_config)
        parts = [f"kafka_config={ {name: shown.get(name, MASK) for name in self.kafka_config} }"]
        parts += [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.name != "kafka_config"]
        return f"{type(self).__name__}({', '.join(parts)})"


# --- what belongs together --------------------------------------------------------------------------------------------

_C = TypeVar("_C", HealthManagerConfig, CacheConfig)


def _made(kind: type[_C], name: str, given: _C | Mapping[str, Any] | None) -> _C | None:
    if given is None or isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{name} must be a {kind.__name__} or a dict, not a {type(given).__name__}")
    known = [each.name for each in fields(kind)]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise ConfigurationError(f"{name} has no setting {key}; {hint}")
    return kind(**given)


def _one_of(cache: CacheConfig | None, cache_config: CacheConfig | None) -> CacheConfig | None:
    if cache is not None and cache_config is not None and cache != cache_config:
        raise ConfigurationError("cache and cache_config are the same setting, and differ here; give one of them")
    return cache if cache is not None else cache_config


def _group(consumer_group: str | None, health: HealthManagerConfig | None) -> str | None:
    if consumer_group is not None:
        _text("consumer_group", consumer_group)
    within = health.consumer_group if health is not None else None
    if consumer_group is not None and within is not None and consumer_group != within:
        raise ConfigurationError(f"consumer_group is {consumer_group!r}, but in health_manager it is {within!r}")
    group = within if consumer_group is None else consumer_group
    if health is not None and group is None:
        raise ConfigurationError("consumer_group is missing: health_manager needs to know whose lag it is about")
    return group


def _for_group(health: HealthManagerConfig | None, group: str | None) -> HealthManagerConfig | None:
    if group is None:
        return None
    given = {each.name: getattr(health, each.name) for each in fields(health)} if health is not None else {}
    return HealthManagerConfig(**{**given, "consumer_group": group})


def _names(topics: Iterable[str]) -> tuple[str, ...]:
    if isinstance(topics, (str, bytes)) or not isinstance(topics, Iterable):
        raise _wrong("topics", topics, "a list of topic names")
    names = tuple(topics)
    for name in names:
        if not isinstance(name, str) or not name:
            raise _wrong("topics", name, "a list of topic names")
    return tuple(dict.fromkeys(names))


def _settings(kafka_config: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(kafka_config, Mapping):
        raise ConfigurationError(f"kafka_config must be a dict, not a {type(kafka_config).__name__}")
    if not all(isinstance(name, str) for name in kafka_config):
        raise ConfigurationError("kafka_config must have the names of librdkafka's settings as keys")
    return dict(kafka_config)


# --- single values ----------------------------------------------------------------------------------------------------


def _wrong(name: str, value: object, takes: str) -> ConfigurationError:
    return ConfigurationError(f"{name} must be {takes}, not {value!r}")


def _text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, value, "a name")


def _switch(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise _wrong(name, value, "True or False")


def _number(name: str, value: object, *, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise _wrong(name, value, f"a number from {low:g} to {high:g}")


def _positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise _wrong(name, value, "a number greater than 0")


def _whole(name: str, value: object, *, low: int, high: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        raise _wrong(name, value, f"a whole number from {low} " + (f"to {high}" if high is not None else "on"))
