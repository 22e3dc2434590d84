"""How to reach a cluster as the program reaches it, and what a small read of ours brings back.

Each of the three library modules beside this one has the same small face over these values:

    describe_topic(connection, topic, timeout) -> number of partitions, or None where the topic does not exist
    last_record(connection, topic, timeout)    -> LastRecord
    send(connection, topic, records, timeout)  -> number of acknowledged records

All block at most `timeout` seconds, raise the ClusterError family alone, create no topic, leave no descriptor or thread
behind, and log nothing: they are called on superclient's own threads, never on a program's event loop.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class ClusterKey(NamedTuple):
    """What makes two connections the same cluster to us: where it is and as whom we come."""

    bootstrap: tuple[str, ...]
    principal: str


@dataclass(frozen=True, slots=True)
class Connection:
    """A library's own settings for reaching a cluster.

    Attributes:
        library: "kafka-python", "aiokafka" or "confluent-kafka".
        bootstrap: sorted "host:port" strings.
        principal: security protocol, mechanism and user, or a digest where the user is a certificate; never a secret.
        settings: the library's own names and values that an internal client needs (bootstrap servers, security, DNS,
            api_version); holds secrets, therefore in no repr.
        loop: the program's event loop, for an asynchronous OAuth token provider bound to it.
    """

    library: str
    bootstrap: tuple[str, ...]
    principal: str
    settings: Mapping[str, object] = field(repr=False, hash=False, compare=False)
    loop: "AbstractEventLoop | None" = field(default=None, repr=False, hash=False, compare=False)

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
