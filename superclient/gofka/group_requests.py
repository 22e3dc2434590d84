"""Requests about groups and their members, and what the broker's replies to them say; part of `wire`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from superclient.gofka.errors import WireError
from superclient.gofka.faults import BrokerError, fault_in, raise_fault, raise_unless_done
from superclient.gofka.layout import Reader, pack


class Coordinator(NamedTuple):
    """The answering broker itself. `error` 0 and `message` "" are good; `host` may be "" (use the one dialled)."""

    error: int
    message: str
    node: int
    host: str
    port: int


@dataclass(slots=True)
class FindCoordinator:
    """Where a group lives: in the broker that is asked."""

    key: str
    api: ClassVar[int] = 10

    def body(self) -> bytes:
        return pack("s", key=self.key)

    def reply(self, body: bytes) -> Coordinator:
        reader = Reader(body)
        reader.int32()  # throttle
        reply = Coordinator(reader.int16(), reader.string(), reader.int32(), reader.string(), reader.int32())
        reader.end()
        return reply


class Joined(NamedTuple):
    """Generations are for comparing by equality alone: a group that was empty begins again at 1."""

    group: str
    generation: int
    member: str
    leader: str


@dataclass(slots=True)
class JoinGroup:
    """Makes `member`, an id that must be unique in the world, one of a group, for `session_ms` after its last sign."""

    group: str
    member: str
    client_id: str
    client_host: str
    session_ms: int
    topics: Sequence[str]
    api: ClassVar[int] = 11

    def body(self) -> bytes:
        who = pack("ssss", group=self.group, member=self.member, client_id=self.client_id, client_host=self.client_host)
        return who + pack("iS", session_ms=self.session_ms, topics=self.topics)

    def reply(self, body: bytes) -> Joined:
        # An error is tried last: with long ids a good reply may have the shape of one, and none was ever seen here.
        try:
            reader = Reader(body)
            reply = Joined(reader.string(), reader.int32(), reader.string(), reader.string())
            reader.end()
        except WireError:
            raise_fault(body)
            raise
        if reply.group != self.group:
            raise fault_in(body) or WireError("the broker answered a Join with another group")
        return reply


@dataclass(slots=True)
class Heartbeat:
    """Keeps a member alive. The broker checks the group first, then the generation, then the member."""

    group: str
    member: str
    generation: int
    api: ClassVar[int] = 12

    def body(self) -> bytes:
        return pack("ssi", group=self.group, member=self.member, generation=self.generation)

    def reply(self, body: bytes) -> None:
        raise_unless_done(body)


@dataclass(slots=True)
class LeaveGroup:
    """Takes a member out; one that the group does not have also makes a new generation."""

    group: str
    member: str
    api: ClassVar[int] = 13

    def body(self) -> bytes:
        return pack("ss", group=self.group, member=self.member)

    def reply(self, body: bytes) -> None:
        raise_unless_done(body)


class Synced(NamedTuple):
    """`partitions` has ids without their topics: nothing to go by."""

    partitions: tuple[int, ...]
    generation: int


@dataclass(slots=True)
class SyncGroup:
    """Ends a rebalance; the member need not be one."""

    group: str
    member: str
    generation: int
    api: ClassVar[int] = 14

    def body(self) -> bytes:
        return pack("ssi", group=self.group, member=self.member, generation=self.generation)

    def reply(self, body: bytes) -> Synced:
        raise_fault(body)
        reader = Reader(body)
        reply = Synced(reader.many(Reader.int32, 4), reader.int32())
        reader.end()
        return reply


class Member(NamedTuple):
    """`topics` is what it subscribed to, `partitions` what the broker would give it, without their topics."""

    id: str
    client_id: str
    host: str
    topics: tuple[str, ...]
    partitions: tuple[int, ...]


class GroupDescription(NamedTuple):
    """`error` 16: no such group, and all the rest is empty. `state`: "stable" or "preparing_rebalance"."""

    error: int
    group: str
    state: str
    protocol_type: str
    protocol: str
    members: tuple[Member, ...]


@dataclass(slots=True)
class DescribeGroups:
    """Groups and their members, in random order. It can crash the broker while others join: never in a loop."""

    groups: Sequence[str]
    api: ClassVar[int] = 15

    def body(self) -> bytes:
        return pack("S", groups=self.groups)

    def reply(self, body: bytes) -> tuple[GroupDescription, ...]:
        reader = Reader(body)
        reader.int32()  # throttle
        reply = reader.many(_group, 14)
        reader.end()
        return reply


def _group(r: Reader) -> GroupDescription:
    return GroupDescription(r.int16(), r.string(), r.string(), r.string(), r.string(), r.many(_member, 22))


def _member(reader: Reader) -> Member:
    names = reader.string(), reader.string(), reader.string()
    subscription, assignment = Reader(reader.blob()), Reader(reader.blob())
    member = Member(*names, subscription.many(Reader.string, 2), assignment.many(Reader.int32, 4))
    subscription.end()
    assignment.end()
    return member


@dataclass(slots=True)
class ListGroups:
    """The names of the groups of this broker."""

    api: ClassVar[int] = 16

    def body(self) -> bytes:
        return b""

    def reply(self, body: bytes) -> tuple[str, ...]:
        reader = Reader(body)
        reader.int32()  # throttle
        error = reader.int16()
        groups = reader.many(lambda r: (r.string(), r.string()), 4)
        reader.end()
        if error:
            raise BrokerError(f"failed to list groups: error {error}")
        return tuple(name for name, _ in groups)
