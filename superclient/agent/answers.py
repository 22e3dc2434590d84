"""What `superclient.explain` and `superclient.status` answer: frozen values that also print well."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from superclient.agent.features import FeatureOff
from superclient.kafka.vocabulary import PARTITIONER, TUNABLE

Source = Literal["user", "library", "default", "recommendation"]
"""Who a value is from: the program, its library's own default, the agent's sensible defaults, a recommendation."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a producer, by its canonical (Java) name.

    Attributes:
        name: for instance "linger.ms".
        value: what holds now; None where the library has no such setting.
        origin: who it is from.
        reason: why it holds, or why a recommendation for it does not, in a phrase.
    """

    name: str
    value: object
    origin: Source
    reason: str


@dataclass(frozen=True, slots=True)
class TopicLag:
    """How far a consumer group is behind in a topic that a lag-aware producer writes.

    Attributes:
        topic, group: their names.
        max, median: records, over the topic's partitions that have a leader; None where nothing is known.
        switches: how many times a partition came to lag too much, or stopped doing so.
        starved: partitions that get less than an equal share now.
        age: seconds since it was read.
        why: why nothing is known, or nothing newer; "" where all is well.
    """

    topic: str
    group: str
    max: int | None = None
    median: int | None = None
    switches: int = 0
    starved: int = 0
    age: float | None = None
    why: str = ""

    def __str__(self) -> str:
        if self.max is None or self.age is None:
            return f"lag of group {self.group} in topic {self.topic}: {self.why}"
        known = f"{self.max} records at most, {self.median} at the median, {self.starved} partitions spared"
        trouble = f"; {self.why}" if self.why else ""
        return f"lag of group {self.group} in topic {self.topic}: {known}, read {self.age:.1f} s ago{trouble}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One producer: what holds in it, and why.

    Attributes:
        client_id, library, library_version: as in its reports.
        topics: what it was seen to write.
        treatment: "tuned", "observed" (planned for, not changed) or "left alone".
        why: where its plan comes from, in a phrase.
        settings: what the agent may set first, then all others that may be reported, by name.
        lags: of a lag-aware producer, what its topics' consumer groups are behind.
    """

    client_id: str
    library: str
    library_version: str
    topics: tuple[str, ...]
    treatment: str
    why: str
    settings: tuple[Setting, ...]
    lags: tuple[TopicLag, ...] = ()

    def __getitem__(self, name: str) -> Setting:
        """The setting of this canonical name. Raises KeyError for one that is not shown."""
        for setting in self.settings:
            if setting.name == name:
                return setting
        raise KeyError(name)

    def __str__(self) -> str:
        title = f"{self.library} {self.library_version} producer {self.client_id!r}: {self.treatment} ({self.why})"
        told = [one for one in self.settings if one.name in (*TUNABLE, PARTITIONER) or one.origin != "library"]
        rows = [(one.name, text(one.value), one.origin, one.reason) for one in told]
        others = f"  and {len(self.settings) - len(told)} others as {self.library} has them"
        return "\n".join([title, *_table(rows), others, *(f"  {lag}" for lag in self.lags)])


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """A Kafka library that the program has imported: whether its producers are seen, and why not."""

    name: str
    version: str
    patched: bool
    why: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster that producers were made for.

    Attributes:
        bootstrap: "host:port" of the servers it was reached by.
        state: "known", "absent" (it has no recommendations) or "unknown" (not read yet, or out of reach).
        why: the same in a phrase.
        reported: Unix time of the last report that it acknowledged, or None.
        trouble: why the last report did not arrive, or "".
    """

    bootstrap: tuple[str, ...]
    state: str
    why: str
    reported: float | None
    trouble: str


@dataclass(frozen=True, slots=True)
class Status:
    """The agent in this process.

    Attributes:
        version: of superclient.
        active: whether it acts: False when it is switched off, or no Kafka library was imported yet.
        why: the same in a phrase.
        mode: "optimize" or "observe", by SUPERSTREAM_MODE.
        libraries: those that were imported.
        features_off: what a library's version lacks, and which feature is off for that.
        clusters: those that producers were made for.
        producers: those that are alive.
        heartbeat_alive: whether the one background thread runs; it does as long as there are producers.
    """

    version: str
    active: bool
    why: str
    mode: str
    libraries: tuple[LibraryStatus, ...]
    features_off: tuple[FeatureOff, ...]
    clusters: tuple[ClusterStatus, ...]
    producers: tuple[Explanation, ...]
    heartbeat_alive: bool

    def __str__(self) -> str:
        lines = [f"superclient {self.version}: {self.why}; mode {self.mode}"]
        lines += [f"  {one.name} {one.version}: {'patched' if one.patched else one.why}" for one in self.libraries]
        lines += [f"  {one.library}: {one.feature} is off: {one.why}" for one in self.features_off]
        for cluster in self.clusters:
            reported = "never reported to" if cluster.reported is None else f"last report {_clock(cluster.reported)}"
            trouble = f"; {cluster.trouble}" if cluster.trouble else ""
            lines.append(
                f"  cluster {','.join(cluster.bootstrap)}: {cluster.state} ({cluster.why}); {reported}{trouble}"
            )
        lines.append(f"  background thread: {'runs' if self.heartbeat_alive else 'does not run'}")
        return "\n".join([*lines, *(f"\n{producer}" for producer in self.producers)])


def text(value: object) -> str:
    """A value as a person reads it."""
    return "-" if value is None else str(value)


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _table(rows: Sequence[tuple[str, str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  " + "  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]
