"""The values that travel through the agent: what a producer asks for, what was decided and why, and what it did.

All but Counters are frozen; Counters is written by a library's own sending thread and read by the heartbeat through
`snapshot()`, so a figure may be a batch behind, never wrong.
"""

import math
import time
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum

from superclient import contract
from superclient.kafka.connection import Connection

UNREACHABLE_FOR = 60.0
"""Seconds for which a cluster that could not be read is left alone."""


class State(Enum):
    """What we know: nothing (yet), that there is no recommendation to be had, or the record."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Advice:
    """The state of a cluster's metadata; `why` is a phrase for people."""

    state: State
    why: str
    metadata: contract.Metadata = field(default_factory=contract.Metadata)

    @property
    def interval(self) -> float:
        """Seconds between reports, and for which this advice is good."""
        return UNREACHABLE_FOR if self.state is State.UNKNOWN else self.metadata.report_interval_ms / 1000


@dataclass(frozen=True, slots=True)
class ProducerRequest:
    """A producer as the program asked for it, in canonical (Java) names.

    Attributes:
        library, library_version: "kafka-python", "3.0.12".
        client_id: as the program wrote it, or as the library made it up.
        connection: how to reach its cluster.
        written: what the program wrote itself, canonical name → value.
        defaults: the library's own defaults, read from the library in use.
        codecs: what this library can write in this process now, "none" included.
        tunable: the canonical names that this library can take, of vocabulary.TUNABLE.
        levels: codec → (lowest, highest) level that this library takes; a codec that is absent takes none.
        broker: the broker's version where the library knows it, for codecs that old brokers refuse.
    """

    library: str
    library_version: str
    client_id: str
    connection: Connection
    written: Mapping[str, object]
    defaults: Mapping[str, object]
    codecs: AbstractSet[str]
    tunable: frozenset[str]
    levels: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    broker: tuple[int, ...] | None = None

    def effective(self, name: str) -> object:
        """The value in force without the agent: the program's own, else the library's default, else None."""
        return self.written[name] if name in self.written else self.defaults.get(name)


class Action(str, Enum):
    """What was done with one setting."""

    SET = "set"
    KEPT = "kept"
    REFUSED = "refused"
    OBSERVED = "observed"  # would have been set


class Treatment(str, Enum):
    """What may be done with a producer, partitioning included: all of it, or nothing but watching and reporting."""

    TUNED = "tuned"
    OBSERVED = "observed"  # planned for in full, to be told and not done
    LEFT_ALONE = "left alone"  # excluded, switched off, or not known yet


class Origin(str, Enum):
    """Where a plan comes from."""

    RECOMMENDATION = "recommendation"
    DEFAULTS = "defaults"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Reason:
    """One decision: the setting, what was done, the value that now holds (or was refused), and why in a phrase."""

    name: str
    action: Action
    value: object
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to change in a producer, and a reason for every setting that was set, kept or refused.

    Attributes:
        changes: canonical name → value, only what differs from the program's own.
        reasons: in the order of vocabulary.TUNABLE, refusals of foreign names last.
        origin: where the changes come from; USER where there are none to make.
        topic: the topic whose recommendation decided, or "".
        why: one phrase for the log line and the report, for instance "no metadata topic on the cluster".
        compression_share: of the time, 0 to 1, that compressing may take where it holds up the program (an event loop).
        treatment: whether the producer may be changed at all, also in ways that are no setting; if not, no `changes`.
        groups: topic → the consumer group whose lag its records without a key avoid; empty unless that is planned.
    """

    changes: Mapping[str, int | str]
    reasons: tuple[Reason, ...]
    origin: Origin
    topic: str = ""
    why: str = ""
    compression_share: float = 1.0
    treatment: Treatment = Treatment.TUNED
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def proposed(self) -> dict[str, object]:
        """What would have been changed in a producer that is only observed: canonical name → value."""
        return {reason.name: reason.value for reason in self.reasons if reason.action is Action.OBSERVED}

    def same_effect(self, other: "Plan") -> bool:
        """Whether a producer has the same settings under either plan; `groups` may differ."""
        return self.changes == other.changes and self.treatment is other.treatment


@dataclass(slots=True)
class TopicCounters:
    """Totals of one topic; bytes before and after compression are None where the library cannot tell."""

    records: int = 0
    batches: int = 0
    bytes_before: int | None = None
    bytes_after: int | None = None


@dataclass(slots=True)
class NodeCounters:
    """Totals of one broker: produce requests, their bytes, the sum of round trips in milliseconds and their number."""

    requests: int = 0
    bytes: int | None = None
    latency_ms: float = 0.0
    latencies: int = 0


@dataclass(slots=True)
class Counters:
    """What one producer has done since it was made; `topics` doubles as the list of topics it was seen to write.

    `noted` are further topics, seen and not counted yet. `counted` is False as long as the library has told nothing:
    then figures are absent. `source` is an adapter's own,
    where counting is deferred to its `refresh`.
    """

    topics: dict[str, TopicCounters] = field(default_factory=dict)
    nodes: dict[str, NodeCounters] = field(default_factory=dict)
    retries: int = 0
    errors: int = 0
    started: float = field(default_factory=time.time)
    counted: bool = True
    noted: Collection[str] = ()
    source: object | None = field(default=None, repr=False, compare=False)

    @property
    def again(self) -> float:
        """When their source wants its next refresh (time.monotonic()) if no round comes before; infinite for any."""
        return float(getattr(self.source, "again", math.inf))

    def topic(self, name: str) -> TopicCounters:
        """The totals of a topic, made on first sight."""
        return self.topics.get(name) or self.topics.setdefault(name, TopicCounters())

    def node(self, name: str) -> NodeCounters:
        """The totals of a broker, made on first sight."""
        return self.nodes.get(name) or self.nodes.setdefault(name, NodeCounters())
