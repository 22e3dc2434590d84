"""One table of every SUPERSTREAM_* variable: name, type, default, meaning; read once into a frozen Settings."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from superclient._boot import TRUE_WORDS
from superclient.contract import CODECS, MAX_NAME
from superclient.errors import SettingError

PREFIX = "SUPERSTREAM_"
FALSE_WORDS = ("false", "0", "no", "off", "")


def _flag(text: str) -> bool:
    word = text.strip().lower()
    if word not in (*TRUE_WORDS, *FALSE_WORDS):
        raise ValueError("takes true or false")
    return word in TRUE_WORDS


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))


def _milliseconds(text: str) -> int:
    if not text.strip().isdecimal() or int(text) > 60_000:
        raise ValueError("takes whole milliseconds from 0 to 60000")
    return int(text)


def _interval(text: str) -> int:
    if not text.strip().isdecimal() or not 1000 <= int(text) <= 60_000:
        raise ValueError("takes whole milliseconds from 1000 to 60000")
    return int(text)


def _group(text: str) -> str:
    name = text.strip()
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError(f"takes the name of a consumer group, up to {MAX_NAME} printable characters")
    return name


def _groups(text: str) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for part in _names(text):
        topic, _, group = part.partition("=")
        if re.fullmatch(r"[A-Za-z0-9._-]+", topic.strip()) is None or not group.strip():
            raise ValueError("takes topic=group, comma-separated")
        if found.setdefault(topic.strip(), _group(group)) != _group(group):
            raise ValueError(f"names two groups for topic {topic.strip()[:40]}")
    return tuple(found.items())


def _percent(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 100.0:  # NaN too
        raise ValueError("takes a number from 0 to 100")
    return number


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise ValueError(f"takes one of {', '.join(words)}")
        return word

    return read


def _codecs(text: str) -> tuple[str, ...]:
    names = tuple(name.lower() for name in _names(text))
    if not names or any(name not in CODECS for name in names):
        raise ValueError(f"takes a comma-separated list of {', '.join(CODECS)}")
    return names


def _codec(text: str) -> str:
    word = text.strip().lower()
    if word not in CODECS:
        raise ValueError(f"takes one of {', '.join(CODECS)}")
    return word


def _libraries(text: str) -> tuple[str, ...]:
    known = ("kafka-python", "aiokafka", "confluent-kafka")
    names = tuple(name.lower().replace("_", "-") for name in _names(text))
    for name in names:
        if name not in known:
            raise ValueError(f"takes a comma-separated list of {', '.join(known)}")
    return names


@dataclass(frozen=True, slots=True)
class Variable:
    """One row: the variable's name, how its text is read, its default, and what it means to a person."""

    name: str
    read: Callable[[str], Any]
    default: Any
    meaning: str

    @property
    def attribute(self) -> str:
        """The name of the field of Settings that holds it."""
        return self.name.removeprefix(PREFIX).lower()


VARIABLES = (
    Variable("SUPERSTREAM_DISABLED", _flag, False, "Switches the agent off: nothing is patched."),
    Variable("SUPERSTREAM_DEBUG", _flag, False, "Shows every decision on stderr."),
    Variable("SUPERSTREAM_TOPICS_LIST", _names, (), "Topics the program writes, comma-separated; saves learning them."),
    Variable(
        "SUPERSTREAM_LATENCY_SENSITIVE", _flag, False, "Leaves every producer's linger as it is, neither up nor down."
    ),
    Variable(
        "SUPERSTREAM_METADATA_TIMEOUT_MS",
        _milliseconds,
        500,
        "How long the first producer of a cluster may wait for recommendations; later ones do not wait.",
    ),
    Variable("SUPERSTREAM_DISABLED_LIBRARIES", _libraries, (), "Libraries to leave alone, comma-separated."),
    Variable("SUPERSTREAM_DEFAULTS", _flag, True, "`off`: no sensible defaults where no recommendation is known."),
    Variable(
        "SUPERSTREAM_DEFAULT_CODEC",
        _codec,
        None,
        "The codec of the defaults, for every library. Unset: gzip, which every consumer reads, in kafka-python and"
        " aiokafka; none in confluent-kafka, which it would slow down. `zstd` where a team knows its consumers.",
    ),
    Variable(
        "SUPERSTREAM_PARTITIONING",
        _one_of("auto", "default", "sticky", "lag-aware"),
        "auto",
        "Where records without a key go. `auto`, `lag-aware`: of topics with a consumer group to partitions where that"
        " group does not lag, in all three libraries; of other topics like `sticky`, which is one partition until a"
        " batch is full, where the library's own partitioner would choose at random (kafka-python, aiokafka). `auto`"
        " not where SUPERSTREAM_DEFAULTS=off and nothing is recommended. `default`: as without the agent.",
    ),
    Variable(
        "SUPERSTREAM_CONSUMER_GROUP",
        _group,
        None,
        "The consumer group whose lag records without a key are to avoid, for topics for which neither"
        " SUPERSTREAM_CONSUMER_GROUPS nor the metadata names one.",
    ),
    Variable(
        "SUPERSTREAM_CONSUMER_GROUPS",
        _groups,
        (),
        "The same by topic: `topic=group`, comma-separated; goes before the metadata's `consumer_group`.",
    ),
    Variable(
        "SUPERSTREAM_LAG_INTERVAL_MS",
        _interval,
        5000,
        "How often the lag of these groups is read, 1000 to 60000.",
    ),
    Variable(
        "SUPERSTREAM_LIVE_SWAP",
        _flag,
        False,
        "Lets a confluent-kafka producer that is in use get new settings by a new handle behind the same object.",
    ),
    Variable(
        "SUPERSTREAM_MODE",
        _one_of("optimize", "observe"),
        "optimize",
        "`observe`: plans and reports what it would do, and changes nothing.",
    ),
    Variable(
        "SUPERSTREAM_ROLLOUT_PERCENT",
        _percent,
        100.0,
        "The share of producers to optimise, 0 to 100, chosen by a stable hash of host name and client id; the others"
        " are observed.",
    ),
    Variable(
        "SUPERSTREAM_EXCLUDE_TOPICS",
        _names,
        (),
        "Topics (globs, comma-separated) whose producers are left as they are.",
    ),
    Variable(
        "SUPERSTREAM_EXCLUDE_CLIENT_IDS",
        _names,
        (),
        "Client ids (globs, comma-separated) of producers to leave as they are.",
    ),
    Variable(
        "SUPERSTREAM_MAX_LINGER_MS",
        _milliseconds,
        None,
        "The longest linger that any recommendation may reach. Unset: 1000, and 100 where a program awaits its sends.",
    ),
    Variable(
        "SUPERSTREAM_ALLOWED_CODECS",
        _codecs,
        None,
        "The codecs that recommendations and defaults may use, comma-separated. Unset: all.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of every variable of the table, by `Variable.attribute`."""

    disabled: bool = False
    debug: bool = False
    topics_list: tuple[str, ...] = ()
    latency_sensitive: bool = False
    metadata_timeout_ms: int = 500
    disabled_libraries: tuple[str, ...] = ()
    defaults: bool = True
    default_codec: str | None = None
    partitioning: str = "auto"
    consumer_group: str | None = None
    consumer_groups: tuple[tuple[str, str], ...] = ()
    lag_interval_ms: int = 5000
    live_swap: bool = False
    mode: str = "optimize"
    rollout_percent: float = 100.0
    exclude_topics: tuple[str, ...] = ()
    exclude_client_ids: tuple[str, ...] = ()
    max_linger_ms: int | None = None
    allowed_codecs: tuple[str, ...] | None = None


def read(environ: Mapping[str, str]) -> tuple[Settings, tuple[SettingError, ...]]:
    """The settings of an environment, and what did not parse: a malformed value is named, its default holds."""
    values: dict[str, Any] = {}
    problems: list[SettingError] = []
    for variable in VARIABLES:
        text = environ.get(variable.name)
        if text is None:
            continue
        try:
            values[variable.attribute] = variable.read(text)
        except ValueError as error:
            problems.append(
                SettingError(f"{variable.name}={text[:80]!r} {error}; the default {default_text(variable)} holds")
            )
    return Settings(**values), tuple(problems)


def default_text(variable: Variable) -> str:
    """A default as a person would write it."""
    if isinstance(variable.default, bool):
        return "true" if variable.default else "false"
    return "(none)" if variable.default in ((), None) else repr(variable.default)


def detected(environ: Mapping[str, str]) -> dict[str, str]:
    """The SUPERSTREAM_* variables that are set, by name."""
    return {name: environ[name] for name in sorted(environ) if name.startswith(PREFIX)}


assert [field.name for field in fields(Settings)] == [variable.attribute for variable in VARIABLES]
