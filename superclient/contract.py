"""What travels over Kafka: the names of the system topics, the metadata record, and the agents' reports.

Both records are parsed here and nowhere else, with the limits that keep a hostile or broken record harmless.
Everything read from Kafka is input from the network (AGT-36): of a topic's optimized configuration only the four
tunable settings are taken, each parsed and range-checked; whatever else is there is named once and ignored.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from superclient.errors import ContractError

METADATA_TOPIC = "superstream.metadata_v1"
CLIENTS_TOPIC = "superstream.clients"
SCHEMA_VERSION = 1

MAX_RECORD_BYTES = 4 * 1024 * 1024
MAX_TOPICS = 10_000
MAX_NAME = 249  # Kafka's own limit on a topic name
DEFAULT_REPORT_INTERVAL_MS = 300_000
REPORT_INTERVAL_RANGE = (1_000, 86_400_000)
DEFAULT_LEARN_PERIOD_MINUTES = 10

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
RANGES = {  # the widest that any of the three libraries takes
    "compression.level": (-1, 22),
    "batch.size": (1, 256 * 1024 * 1024),
    "linger.ms": (0, 900_000),
}


@dataclass(frozen=True, slots=True)
class TopicAdvice:
    """The recommendation for one topic.

    Attributes:
        topic: its name.
        configuration: canonical name → value, only what was valid.
        refused: canonical (or foreign) name → why it was not taken.
        reduction: predicted reduction of bytes, percent, 0 to 100.
        daily_bytes: bytes written to the topic a day.
        allow_linger: the program's sends may be delayed by the linger where waiting for them cannot be seen.
        enabled: False leaves the topic's producers alone.
        rollout_percentage: the share of its producers, 0 to 100, that the recommendation is for.
        consumer_group: the group whose lag matters to the topic, "" where none is named.
    """

    topic: str
    configuration: Mapping[str, int | str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    reduction: float = 0.0
    daily_bytes: float = 0.0
    allow_linger: bool = False
    enabled: bool = True
    rollout_percentage: float = 100.0
    consumer_group: str = ""

    @property
    def impact(self) -> float:
        """Bytes a day that the recommendation is expected to save, times 100."""
        return self.reduction * self.daily_bytes


@dataclass(frozen=True, slots=True)
class Metadata:
    """The last record of superstream.metadata_v1."""

    active: bool = True
    report_interval_ms: int = DEFAULT_REPORT_INTERVAL_MS
    learn_period_ms: int = DEFAULT_LEARN_PERIOD_MINUTES * 60_000
    topics: Mapping[str, TopicAdvice] = field(default_factory=dict)


def parse_metadata(raw: bytes | None) -> Metadata:
    """Read a metadata record; unknown fields are ignored, a wrong value of a known optional one gives its default
    (but a rollout that cannot be read is a rollout to nobody).

    Raises:
        ContractError: not a JSON object, too large, or `topics_configuration` is not a list. A single broken topic is
            left out, the others count.
    """
    if raw is None:
        raise ContractError("the metadata record has no value")
    if len(raw) > MAX_RECORD_BYTES:
        raise ContractError(f"the metadata record has {len(raw)} bytes, more than {MAX_RECORD_BYTES}")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ContractError(f"the metadata record is not JSON: {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise ContractError(f"the metadata record is a JSON {type(document).__name__}, not an object")
    entries = document.get("topics_configuration", [])
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise ContractError("topics_configuration is not a list")
    learn = _number(document.get("agent_learn_period_mins"), DEFAULT_LEARN_PERIOD_MINUTES, 0, 24 * 60)
    return Metadata(
        active=document.get("active", True) is not False,
        report_interval_ms=int(
            _number(document.get("report_interval_ms"), DEFAULT_REPORT_INTERVAL_MS, *REPORT_INTERVAL_RANGE)
        ),
        learn_period_ms=int(learn * 60_000),
        topics={advice.topic: advice for entry in entries[:MAX_TOPICS] if (advice := _topic(entry)) is not None},
    )


def _topic(entry: object) -> TopicAdvice | None:
    if not isinstance(entry, dict):
        return None
    name = entry.get("topic_name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        return None
    configuration: dict[str, int | str] = {}
    refused: dict[str, str] = {}
    wanted = entry.get("optimized_configuration")
    for key, value in wanted.items() if isinstance(wanted, dict) else ():
        _take(str(key)[:MAX_NAME], value, configuration, refused)
    return TopicAdvice(
        topic=name,
        configuration=configuration,
        refused=refused,
        reduction=_number(entry.get("potential_reduction_percentage"), 0.0, 0.0, 100.0),
        daily_bytes=_number(entry.get("daily_writes_bytes"), 0.0, 0.0, 1e18),
        allow_linger=entry.get("allow_linger") is True,
        enabled=entry.get("enabled", True) is not False,
        rollout_percentage=_rollout(entry.get("rollout_percentage")),
        consumer_group=_group(entry.get("consumer_group")),
    )


def _rollout(value: object) -> float:
    """All, where nothing is said; what is said and cannot be read is for nobody, since it was meant as a limit."""
    return 100.0 if value is None else _number(value, 0.0, 0.0, 100.0)


def _group(value: object) -> str:
    fits = isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable()
    return str(value) if fits else ""


def _take(key: str, value: object, configuration: dict[str, int | str], refused: dict[str, str]) -> None:
    if key == "compression.type":
        codec = value.strip().lower() if isinstance(value, str) else None
        if codec in CODECS:
            configuration[key] = codec
        else:
            refused[key] = f"{_shown(value)} is no codec of Kafka's"
    elif key in RANGES:
        low, high = RANGES[key]
        number = _integer(value)
        if number is not None and low <= number <= high:
            configuration[key] = number
        else:
            refused[key] = f"{_shown(value)} is not a whole number from {low} to {high}"
    else:
        refused[key] = "not a setting that is taken from metadata"


def _integer(value: object) -> int | None:
    """A whole number given as int, integral float or decimal string; None for anything else (bool included)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,15}\s*", value):
        return int(value)
    return None


def _number(value: object, default: float, low: float, high: float) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return default
    if isinstance(value, float) and math.isnan(value):  # an int may be too large to ask
        return default
    return float(min(max(value, low), high))


def _shown(value: object) -> str:
    # Refusals reach logs and reports: a value of a megabyte, or one with markup, must not.
    text = repr(value) if isinstance(value, (int, float, str, bool, type(None))) else type(value).__name__
    return text if len(text) <= 40 else text[:37] + "..."


@dataclass(frozen=True, slots=True)
class ClientReport:
    """One record of superstream.clients; a field that is None is left out (a figure absent, not guessed)."""

    client_id: str
    ip_address: str
    message_type: str  # "client_info" | "client_stats"
    version: str
    topics: Sequence[str]
    original_configuration: Mapping[str, object]
    optimized_configuration: Mapping[str, object]
    environment_variables: Mapping[str, str]
    hostname: str
    superstream_client_uid: str
    most_impactful_topic: str
    language: str
    error: str
    sequence: int
    write_before_compression_delta: int | None = None
    write_after_compression_delta: int | None = None
    producer_metrics: Mapping[str, float] | None = None
    topic_metrics: Mapping[str, Mapping[str, float]] | None = None
    node_metrics: Mapping[str, Mapping[str, float]] | None = None
    app_info_metrics: Mapping[str, str] | None = None
    reasons: Sequence[Mapping[str, object]] | None = None
    lag_metrics: Mapping[str, Mapping[str, object]] | None = None  # topic → what is known of its consumer group's lag
    type: str = "producer"
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> bytes:
        """The record's value: one JSON object, UTF-8."""
        document: dict[str, Any] = {
            name: value for name in self.__slots__ if (value := getattr(self, name)) is not None
        }
        return json.dumps(document, separators=(",", ":"), allow_nan=False, default=_plain).encode()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(str(item) for item in value)
    return str(value)
