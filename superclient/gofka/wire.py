"""The Gofka broker's protocol as bytes: its requests, what their replies say, and no I/O.

A request's fields come in the order in which they travel; `frame` makes bytes of it, `Frames` cuts what is received
into bodies, the request's own `reply` reads one. All three raise WireError for what is not of this protocol; `reply`
raises BrokerError for an error of the broker's.

wire.py      messages, the cluster, committed offsets; the one module that others import
group_requests.py  groups                frames.py    frames, sizes, correlation ids
layout.py    numbers, strings, lists     faults.py    the broker's errors
protobuf.py  CreateTopic

Replies are tuples and requests are not frozen: half of what importing the client cost was to make dataclasses so.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from superclient.gofka.errors import WireError
from superclient.gofka.faults import BrokerError, Kind, raise_fault, raise_unless_done
from superclient.gofka.frames import APIS, FIRST_CORRELATION, MAX_FRAME, Frames, Request, correlations, frame
from superclient.gofka.group_requests import (
    Coordinator,
    DescribeGroups,
    FindCoordinator,
    GroupDescription,
    Heartbeat,
    Joined,
    JoinGroup,
    LeaveGroup,
    ListGroups,
    Member,
    Synced,
    SyncGroup,
)
from superclient.gofka.layout import MAX_STRING, Reader, pack, utf8
from superclient.gofka.protobuf import CreateTopic

__all__ = [
    "APIS",
    "FIRST_CORRELATION",
    "MAX_FRAME",
    "MAX_STRING",
    "Broker",
    "BrokerError",
    "Coordinator",
    "CreateTopic",
    "DescribeGroups",
    "Fetch",
    "FindCoordinator",
    "Frames",
    "GroupDescription",
    "Heartbeat",
    "JoinGroup",
    "Joined",
    "Kind",
    "LeaveGroup",
    "ListGroups",
    "Member",
    "Metadata",
    "MetadataReply",
    "OffsetCommit",
    "OffsetFetch",
    "Partition",
    "Produce",
    "ProduceReply",
    "Request",
    "SyncGroup",
    "Synced",
    "Topic",
    "WireError",
    "correlations",
    "frame",
]

_LENGTH = struct.Struct(">h")  # of a topic's name
_PLACE = struct.Struct(">ii")  # partition, size of the message
_STORED = struct.Struct(">iq")  # partition, offset

# --- Messages --------------------------------------------------------------------------------------------------------


class ProduceReply(NamedTuple):
    """`partition` is the one that was asked for: everything is stored in partition 0."""

    partition: int
    offset: int


@dataclass(slots=True)
class Produce:
    """Stores one message; a topic that is not there is made, with one partition."""

    topic: str
    partition: int
    value: bytes
    api: ClassVar[int] = 0

    def body(self) -> bytes:
        topic, value = utf8("topic", self.topic), self.value
        if isinstance(value, bytes):
            try:  # quicker than `pack`, for what goes most often
                return b"".join((_LENGTH.pack(len(topic)), topic, _PLACE.pack(self.partition, len(value)), value))
            except struct.error:
                pass
        return pack("sib", topic=self.topic, partition=self.partition, value=value)  # which says what is wrong

    def reply(self, body: bytes) -> ProduceReply:
        if len(body) != _STORED.size:  # the shape of an error is no test here: partition 2304 has it at offset 0
            raise_fault(body)
            raise WireError(f"a reply of {len(body)} bytes that neither says where a message is stored nor why not")
        reply = ProduceReply(*_STORED.unpack(body))
        if reply.offset < 0:
            raise WireError(f"a message stored at offset {reply.offset}")
        return reply


@dataclass(slots=True)
class Fetch:
    """The message at an offset. Asking for a topic that is not there makes a directory on the broker."""

    topic: str
    partition: int
    offset: int
    api: ClassVar[int] = 1

    def body(self) -> bytes:
        return pack("siq", topic=self.topic, partition=self.partition, offset=self.offset)

    def reply(self, body: bytes) -> bytes:
        raise_fault(body)
        reader = Reader(body)
        value = reader.blob()
        reader.end()
        return value


# --- The cluster -----------------------------------------------------------------------------------------------------


class Broker(NamedTuple):
    """`address` is "host:port", and ":port" of a broker that was not told its host."""

    id: str
    address: str


class Partition(NamedTuple):
    """`leader` and `replicas` are ids of brokers."""

    id: int
    leader: str
    replicas: tuple[str, ...]


class Topic(NamedTuple):
    """A topic without partitions is one that the broker does not know."""

    name: str
    partitions: tuple[Partition, ...]


class MetadataReply(NamedTuple):
    """In the order of the reply, which is random."""

    brokers: tuple[Broker, ...]
    topics: tuple[Topic, ...]


@dataclass(slots=True)
class Metadata:
    """The broker itself, and these topics, or all where none is named."""

    topics: Sequence[str] = ()
    api: ClassVar[int] = 3

    def body(self) -> bytes:
        return pack("S", topics=self.topics)

    def reply(self, body: bytes) -> MetadataReply:
        reader = Reader(body)
        brokers = reader.many(lambda r: Broker(r.string(), r.string()), 4)
        reply = MetadataReply(brokers, reader.many(_topic, 6))
        reader.end()
        return reply


def _topic(reader: Reader) -> Topic:
    return Topic(reader.string(), reader.many(_partition, 10))


def _partition(reader: Reader) -> Partition:
    return Partition(reader.int32(), reader.string(), reader.many(Reader.string, 2))


# --- Committed offsets -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class OffsetCommit:
    """Keeps a group's offset; whether the group, its generation, the topic or the offset exist is not looked at."""

    group: str
    topic: str
    partition: int
    offset: int
    metadata: str = ""
    api: ClassVar[int] = 8

    def body(self) -> bytes:
        place = pack("ssi", group=self.group, topic=self.topic, partition=self.partition)
        return place + pack("qs", offset=self.offset, metadata=self.metadata)

    def reply(self, body: bytes) -> None:
        raise_unless_done(body)


@dataclass(slots=True)
class OffsetFetch:
    """The offset that a group committed; −1: none (and any other number below 0: somebody committed that)."""

    group: str
    topic: str
    partition: int
    api: ClassVar[int] = 9

    def body(self) -> bytes:
        return pack("ssi", group=self.group, topic=self.topic, partition=self.partition)

    def reply(self, body: bytes) -> int:
        reader = Reader(body)  # never an error, although 5 · 2^40 has the shape of one
        offset = reader.int64()
        reader.end()
        return offset
