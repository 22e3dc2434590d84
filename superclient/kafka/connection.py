"""How to reach a cluster as the program reaches it, and what a small read of ours brings back.

Each of the three library modules beside this one has the same small face over these values:

    describe_topic(connection, topic, timeout) -> number of partitions, or None where the topic does not exist
    last_record(connection, topic, timeout)    -> LastRecord
    send(connection, topic, records, timeout)  -> number of acknowledged records
    offsets_reader(connection)                 -> OffsetsReader, the one thing that stays connected

All block at most `timeout` seconds, raise the ClusterError family alone, create no topic, leave no descriptor or thread
behind, and log nothing: they are called on superclient's own threads, never on a program's event loop.
"""

import weakref
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from superclient.errors import ClusterError, Unreachable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class ClusterKey(NamedTuple):
    """What makes two connections the same cluster to us: where it is and as whom we come."""

    bootstrap: tuple[str, ...]
    principal: str


class Borrowed(Mapping[str, Any]):
    """Settings of which callables and token providers are held weakly, as long as the program's producer holds them.

    Such an object may own the producer itself: held strongly in a registry, neither would ever be collected.
    Looking up one that is gone raises Unreachable: whoever could have logged in is no more.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._values = {name: _lent(value) for name, value in settings.items()}

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        if not isinstance(value, weakref.ref):
            return value
        borrowed = value()
        if borrowed is None:
            raise Unreachable(f"the program's {name} is gone")
        return borrowed

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _lent(value: Any) -> Any:
    if not (callable(value) or hasattr(value, "token")):
        return value
    try:
        return weakref.ref(value)
    except TypeError:  # a type without weak references: rather no last report than a producer that is never collected
        return None


@dataclass(frozen=True, slots=True)
class Connection:
    """A library's own settings for reaching a cluster.

    Attributes:
        library: "kafka-python", "aiokafka" or "confluent-kafka".
        bootstrap: sorted "host:port" strings.
        principal: security protocol, mechanism and user, or a digest where the user is a certificate; never a secret.
        settings: the library's own names and values that an internal client needs (bootstrap servers, security, DNS,
            api_version); holds secrets, therefore in no repr; the program's callables are only borrowed.
        loop: the program's event loop, for an asynchronous OAuth token provider bound to it; borrowed as well.
    """

    library: str
    bootstrap: tuple[str, ...]
    principal: str
    settings: Mapping[str, Any] = field(repr=False, hash=False, compare=False)
    lender: "weakref.ref[AbstractEventLoop] | None" = field(default=None, repr=False, hash=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", Borrowed(self.settings))

    @property
    def loop(self) -> "AbstractEventLoop | None":
        """The program's loop, while there is one."""
        return self.lender() if self.lender is not None else None

    @property
    def key(self) -> ClusterKey:
        """The cluster's identity, for caches."""
        return ClusterKey(self.bootstrap, self.principal)


class Found(Enum):
    """What a look for the last record of a topic met."""

    RECORD = "record"
    EMPTY = "empty"
    NO_TOPIC = "no topic"


@dataclass(frozen=True, slots=True)
class LastRecord:
    """The last record of partition 0: its value where there is one (None also for a tombstone)."""

    found: Found
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class Offsets:
    """What one reading of groups and their topics brought.

    Attributes:
        ends: topic → partition → log end offset; a topic that does not exist, and a partition without a leader, is
            absent.
        starts: the same with log start offsets, which may be up to a minute old: retention moves them forward.
        committed: group → topic → partition → committed offset, only where there is one.
        refused: group → why its offsets could not be read (no right to it, its coordinator is away); in no `committed`.
    """

    ends: Mapping[str, Mapping[int, int]]
    starts: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    committed: Mapping[str, Mapping[str, Mapping[int, int]]] = field(default_factory=dict)
    refused: Mapping[str, ClusterError] = field(default_factory=dict)


class OffsetsReader(Protocol):
    """Reads offsets again and again through connections that stay open; one thread at a time, each time any.

    A reading costs one ListOffsets request per leader and one OffsetFetch per group, of all partitions of all topics
    (and once a minute one more ListOffsets per leader, for where they start). It joins no group and creates no topic.
    """

    def read(self, groups: Mapping[str, Collection[str]], timeout: float) -> Offsets:
        """The offsets of these groups (group → its topics), after `timeout` seconds at the latest.

        Raises:
            ClusterError: nothing could be read; the next call connects anew where that is needed.
        """
        ...

    def close(self) -> None:
        """Close its connections, quickly and for good; raises nothing."""
        ...

    def abandon(self) -> None:
        """In a forked child: let go of what belongs to the parent, and close nothing."""
        ...
