"""ProducerConfig, ConsumerConfig and AdminConfig: what a client is made with, checked when it is written.

A field that is None leaves the library's own default, and with it the agent free to do better. Whatever has no field
goes into `additional_config`, by librdkafka's names or in snake_case; what is in there wins over the field of its name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeVar, get_args

from superclient import redact
from superclient.toolkit import files
from superclient.toolkit.texts import held

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_HOUR = 3_600_000  # ms: more librdkafka does not take

Config = TypeVar("Config", bound="_Config")


@dataclass(frozen=True)
class _Config:
    """What the three have in common: their way from a mapping and into librdkafka's settings."""

    ROLE: ClassVar[str] = ""
    NAMES: ClassVar[Mapping[str, str]] = {}  # field → librdkafka's name
    FORCED: ClassVar[Mapping[str, object]] = {}  # what the wrapper relies on, whatever anybody configures

    bootstrap_servers: str | Sequence[str]
    additional_config: Mapping[str, Any] = field(default_factory=dict, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        fields_by_name = {librdkafka: name for name, librdkafka in self.NAMES.items()}
        others: dict[str, Any] = {}
        for name, value in self.additional_config.items():
            dotted = files.dotted(held("a name in additional_config", name))
            if dotted in fields_by_name:
                _set(self, fields_by_name[dotted], _meant(type(self), fields_by_name[dotted], value))
            else:
                others[dotted] = value
        _set(self, "additional_config", others)
        _set(self, "bootstrap_servers", _servers(self.bootstrap_servers))
        for one in fields(self):
            if one.type is bool and not isinstance(getattr(self, one.name), bool):
                raise ValueError(f"{one.name} is {getattr(self, one.name)!r}: it takes True or False")
        for name, value in [(name, getattr(self, name)) for name in self.NAMES] + list(others.items()):
            if isinstance(value, str):
                held(name, value)

    @classmethod
    def from_mapping(cls: type[Config], settings: Mapping[str, Any], **overrides: Any) -> Config:
        """From flat settings, by field or librdkafka's name, as in a configuration file; `overrides` are fields.

        A setting that only another role has (a group for a producer) is left out.

        Raises:
            ValueError, TypeError: a value that cannot be meant; a required one that is missing.
        """
        own = {files.dotted(name): name for name in cls._names()}
        own |= {librdkafka: name for name, librdkafka in cls.NAMES.items()}
        known: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for name, value in settings.items():
            dotted = files.dotted(name)
            if name in cls._names():
                known[name] = value
            elif dotted in own:
                known[own[dotted]] = value
            elif dotted not in _foreign(cls):
                others[dotted] = value
        known = {name: _meant(cls, name, value) for name, value in known.items()}
        known.update(overrides)
        others.update(known.pop("additional_config", None) or {})
        for one in fields(cls):
            if one.default is MISSING and one.default_factory is MISSING and one.name not in known:
                raise ValueError(f"{one.name} is missing")
        return cls(**known, additional_config=others)

    @classmethod
    def from_env_config(cls: type[Config], env: str | None = None, path: str | None = None, **overrides: Any) -> Config:
        """From an environment of the configuration file (`resolve_env_config`), with the role's own section over it.

        Raises:
            ConfigFileError: the file named is absent, or one that is there is malformed.
        """
        settings = files.for_role(files.resolve_env_config(env, path), cls.ROLE)
        if "bootstrap_servers" not in overrides:
            settings = files.with_servers(settings, env)
        return cls.from_mapping(settings, **overrides)

    def to_library(self) -> dict[str, Any]:
        """librdkafka's settings."""
        found = {librdkafka: getattr(self, name) for name, librdkafka in self.NAMES.items()}
        found = {name: value for name, value in found.items() if value is not None}
        return {**found, **self.additional_config, **self.FORCED}

    def masked(self) -> dict[str, object]:
        """The same for a screen: secrets masked, sorted by name."""
        return {name: redact.masked(name, value) for name, value in sorted(self.to_library().items())}

    @classmethod
    def _names(cls) -> frozenset[str]:
        return frozenset(one.name for one in fields(cls))


@dataclass(frozen=True)
class ProducerConfig(_Config):
    """How a KafkaProducer is made.

    With a `transactional_id` the producer is idempotent, whatever `enable_idempotence` says. Times are in milliseconds,
    `batch_size` in bytes; `compression_type` is none, gzip, snappy, lz4 or zstd.

    Raises:
        ValueError: a value that cannot be meant; the message names the field.
    """

    ROLE = "producer"
    NAMES: ClassVar[Mapping[str, str]] = {
        "bootstrap_servers": "bootstrap.servers",
        "acks": "acks",
        "retries": "retries",
        "batch_size": "batch.size",
        "linger_ms": "linger.ms",
        "compression_type": "compression.type",
        "max_in_flight_requests_per_connection": "max.in.flight.requests.per.connection",
        "enable_idempotence": "enable.idempotence",
        "transactional_id": "transactional.id",
        "transaction_timeout_ms": "transaction.timeout.ms",
    }
    # Without the reports of success nobody would hear of a delivery.
    FORCED: ClassVar[Mapping[str, object]] = {"delivery.report.only.error": False}

    acks: str | int = "all"
    retries: int = 3
    batch_size: int | None = None
    linger_ms: float | None = None
    compression_type: str | None = None
    max_in_flight_requests_per_connection: int = 5
    enable_idempotence: bool = True
    transactional_id: str | None = None
    transaction_timeout_ms: int = 60_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if str(self.acks) not in ("all", "-1", "0", "1"):
            raise ValueError(f"acks is {self.acks!r}: it takes all, -1, 0 or 1")
        _at_least(self, "retries linger_ms", 0)
        if self.compression_type is not None and self.compression_type not in CODECS:
            raise ValueError(f"compression_type is {self.compression_type!r}: it takes {', '.join(CODECS)}")
        _at_least(self, "batch_size max_in_flight_requests_per_connection transaction_timeout_ms", 1)
        if self.transactional_id is not None and not self.transactional_id.strip():
            raise ValueError("transactional_id is empty")
        if self.transactional_id is not None:
            _set(self, "enable_idempotence", True)
        if self.enable_idempotence and str(self.acks) not in ("all", "-1"):
            raise ValueError(f"acks is {self.acks!r}: an idempotent producer takes all (or enable_idempotence=False)")
        if self.enable_idempotence and self.max_in_flight_requests_per_connection > 5:
            raise ValueError("max_in_flight_requests_per_connection is over 5: an idempotent producer takes 1 to 5")

    def to_library(self) -> dict[str, Any]:
        """librdkafka's settings."""
        found = super().to_library()
        if "transactional.id" not in found:
            found.pop("transaction.timeout.ms", None)
        return found


@dataclass(frozen=True)
class ConsumerConfig(_Config):
    """How a KafkaConsumer is made; times are in milliseconds.

    Offsets are committed for records that were handed out, and for no other: the library's own storing of offsets is
    always off, so that auto-commit is harmless.

    Raises:
        ValueError: a value that cannot be meant; the message names the field.
        TypeError: `topics` is one text instead of a list.
    """

    ROLE = "consumer"
    NAMES: ClassVar[Mapping[str, str]] = {
        "bootstrap_servers": "bootstrap.servers",
        "group_id": "group.id",
        "auto_offset_reset": "auto.offset.reset",
        "enable_auto_commit": "enable.auto.commit",
        "auto_commit_interval_ms": "auto.commit.interval.ms",
        "session_timeout_ms": "session.timeout.ms",
        "heartbeat_interval_ms": "heartbeat.interval.ms",
        "isolation_level": "isolation.level",
    }
    FORCED: ClassVar[Mapping[str, object]] = {"enable.auto.offset.store": False}

    group_id: str
    topics: Sequence[str] | None = None
    auto_offset_reset: str = "earliest"
    enable_auto_commit: bool = True
    auto_commit_interval_ms: int = 1000
    session_timeout_ms: int = 30_000
    heartbeat_interval_ms: int = 10_000
    isolation_level: str = "read_committed"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.group_id, str) or not self.group_id.strip():
            raise ValueError("group_id is empty")
        if self.topics is not None:
            _set(self, "topics", tuple(topic_list(self.topics)))
        if self.auto_offset_reset not in ("earliest", "latest", "error", "beginning", "end", "smallest", "largest"):
            raise ValueError(f"auto_offset_reset is {self.auto_offset_reset!r}: it takes earliest, latest or error")
        if self.isolation_level not in ("read_committed", "read_uncommitted"):
            raise ValueError(
                f"isolation_level is {self.isolation_level!r}: it takes read_committed or read_uncommitted"
            )
        _at_least(self, "auto_commit_interval_ms session_timeout_ms heartbeat_interval_ms", 1)
        if self.heartbeat_interval_ms >= self.session_timeout_ms:
            raise ValueError("heartbeat_interval_ms is not below session_timeout_ms")

    def to_library(self) -> dict[str, Any]:
        """librdkafka's settings."""
        found = super().to_library()
        if found.get("group.protocol") == "consumer":  # KIP-848: the broker's own, and librdkafka refuses them here
            for name in ("session.timeout.ms", "heartbeat.interval.ms"):
                found.pop(name, None)
        return found


@dataclass(frozen=True)
class AdminConfig(_Config):
    """How a KafkaAdmin is made; `request_timeout_ms` bounds every call, and is an hour at most.

    Raises:
        ValueError: a value that cannot be meant; the message names the field.
    """

    ROLE = "admin"
    NAMES: ClassVar[Mapping[str, str]] = {"bootstrap_servers": "bootstrap.servers"}

    request_timeout_ms: int = 30_000

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(self, "request_timeout_ms", 1)
        if self.request_timeout_ms > _HOUR:
            raise ValueError(f"request_timeout_ms is {self.request_timeout_ms!r}: it takes {_HOUR} at most")


def topic_list(topics: Iterable[str]) -> list[str]:
    """The topics of a subscription.

    Raises:
        TypeError: one text instead of a list, or something in it that is no text.
        ValueError: it is empty, or has a name that the library cannot hold.
    """
    if isinstance(topics, (str, bytes)) or not isinstance(topics, (list, tuple)):
        raise TypeError(f"topics is {topics!r}: it takes a list of names, also for one")
    if not topics:
        raise ValueError("topics is empty")
    for topic in topics:
        if not isinstance(topic, str) or not topic:
            raise TypeError(f"topics has {topic!r}: it takes names")
        held(f"topic {topic!r}", topic)
    return list(topics)


def _servers(servers: object) -> str:
    """As librdkafka takes them, from a text or a list of texts."""
    found = servers.split(",") if isinstance(servers, str) else servers
    if not isinstance(found, Sequence) or not all(isinstance(one, str) for one in found):
        raise TypeError(f"bootstrap_servers is {servers!r}: it takes HOST:PORT,… or a list of them")
    found = [one.strip() for one in found if one.strip()]
    if not found:
        raise ValueError("bootstrap_servers is empty: it takes HOST:PORT,…")
    if any("@" in one for one in found):  # what is before it would be in every log line of the library's
        raise ValueError("bootstrap_servers has an @ in it: credentials go into sasl.username and sasl.password")
    return ",".join(found)


def _meant(cls: type[_Config], name: str, value: Any) -> Any:
    """A text, as files of properties and command lines have it, as the number or truth that the field takes."""
    (kind,) = (one.type for one in fields(cls) if one.name == name)
    takes = get_args(kind) or (kind,)
    if not isinstance(value, str) or str in takes:
        return value
    if bool in takes:
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    for number in (int, float):
        if number in takes:
            try:
                return number(value)
            except ValueError:
                pass  # whoever checks the field names it
    return value


def _foreign(cls: type[_Config]) -> frozenset[str]:
    """The names that only the other roles have."""
    others = (ProducerConfig, ConsumerConfig, AdminConfig)
    theirs = {files.dotted(name) for other in others if other is not cls for name in other._names()}
    theirs |= {name for other in others if other is not cls for name in other.NAMES.values()}
    if cls is ProducerConfig:
        theirs.discard("request.timeout.ms")  # the brokers' for acks, by librdkafka's name
    return frozenset(theirs - set(cls.NAMES.values()) - {files.dotted(name) for name in cls._names()})


def _at_least(config: _Config, names: str, least: float) -> None:
    for name in names.split():
        value = getattr(config, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < least):
            raise ValueError(f"{name} is {value!r}: it takes a number from {least:g}")


def _set(config: _Config, name: str, value: object) -> None:
    object.__setattr__(config, name, value)  # frozen for everybody else
