"""What the Gofka client writes and reads, against 113 recorded exchanges with the broker: GOF-31, GOF-33, GOF-35."""

from __future__ import annotations

import ast
import json
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from superclient.errors import SuperclientError
from superclient.gofka import errors, frames, wire
from superclient.gofka.wire import (
    Broker,
    BrokerError,
    Coordinator,
    CreateTopic,
    DescribeGroups,
    Fetch,
    FindCoordinator,
    Frames,
    GroupDescription,
    Heartbeat,
    Joined,
    JoinGroup,
    Kind,
    LeaveGroup,
    ListGroups,
    Member,
    Metadata,
    MetadataReply,
    OffsetCommit,
    OffsetFetch,
    Partition,
    Produce,
    ProduceReply,
    Synced,
    SyncGroup,
    Topic,
    WireError,
    frame,
)

ROOT = Path(__file__).parents[2]
RECORDED = {
    (each["api"], each["case"]): each
    for each in json.loads((ROOT / "tests/data/gofka-exchanges.json").read_text(encoding="utf-8"))
}


class Refusal(NamedTuple):
    """The error of a broker: its kind, what people are shown, its numbers (base, end or expected, got)."""

    kind: Kind
    shown: str
    numbers: tuple[int, ...] = ()


CLOSED, OLD = "the broker closes", "the broker is an old one"
DONE = None
NO_LOG = "failed to get or create log: failed to create new log: "
LONG = f"{NO_LOG}failed to create log directory: …: file name too long"
PARSE = f"{NO_LOG}failed to parse base offset from segment file name: strconv.ParseInt: parsing …: invalid syntax"


def past_end(offset: int, end: int) -> Refusal:
    return Refusal(Kind.PAST_END, f"failed to fetch message: offset {offset} out of range [0, {end})", (0, end))


def topic(name: str, *ids: int) -> Topic:
    return Topic(name, tuple(Partition(each, "b1", ("b1",)) for each in ids))


def known(*topics: Topic, address: str = "127.0.0.1:9092") -> MetadataReply:
    return MetadataReply((Broker("b1", address),), topics)


def described(state: str, *members: Member) -> GroupDescription:
    return GroupDescription(0, "cg", state, "consumer", "sticky", members)


def join(group: str, member: str, *topics: str) -> JoinGroup:
    return JoinGroup(group, member, "t", "host", 30_000, topics)


A, B = Member("A", "t", "host", ("multi",), (0, 1, 2, 3)), Member("B", "t", "host", ("multi",), ())
ALL_TOPICS = {
    "one": 1, "a\0b": 1, "early": 1, "warm": 1, "orders": 1, "pbt": 1, "multi": 4, "empty": 1, "bin": 1, "n" * 256: 1,
}  # fmt: skip

SPOKEN: dict[tuple[str, str], tuple[Any, Any]] = {
    ("Produce", "error: no leader yet"): (
        Produce("early", 0, b"x"),
        Refusal(
            Kind.NOT_LEADER,
            "failed to produce message: failed to replicate message through consensus: node is not the leader",
        ),
    ),
    ("Produce", "ok, first message"): (Produce("orders", 0, b"hello"), ProduceReply(0, 0)),
    ("Produce", "ok, partition 5 of a one-partition topic"): (Produce("orders", 5, b"to five"), ProduceReply(5, 1)),
    ("Produce", "ok, partition -1"): (Produce("orders", -1, b"to minus one"), ProduceReply(-1, 2)),
    ("Produce", "ok, partition 2304"): (Produce("orders", 2304, b"p2304"), ProduceReply(2304, 3)),
    ("Produce", "ok, empty message"): (Produce("empty", 0, b""), ProduceReply(0, 0)),
    ("Produce", "ok, 256 bytes 00..ff"): (Produce("bin", 0, bytes(range(256))), ProduceReply(0, 0)),
    ("Produce", "error: name too long for a directory"): (
        Produce("n" * 256, 0, b"x"),
        Refusal(Kind.STORED, f"failed to produce message: {LONG}"),
    ),
    ("Fetch", "ok, offset 0"): (Fetch("orders", 0, 0), b"hello"),
    ("Fetch", "ok, offset 1"): (Fetch("orders", 0, 1), b"to five"),
    ("Fetch", "ok, empty message"): (Fetch("empty", 0, 0), b""),
    ("Fetch", "ok, 256 bytes"): (Fetch("bin", 0, 0), bytes(range(256))),
    ("Fetch", "error: at the end"): (Fetch("orders", 0, 4), past_end(4, 4)),
    ("Fetch", "error: offset 2^62"): (Fetch("orders", 0, 2**62), past_end(2**62, 4)),
    ("Fetch", "error: offset -1"): (
        Fetch("orders", 0, -1),
        Refusal(Kind.NEGATIVE_OFFSET, "failed to fetch message: offset -1 not found in any segment"),
    ),
    ("Fetch", "error: partition 5"): (Fetch("orders", 5, 0), past_end(0, 0)),
    ("Fetch", "error: unknown topic"): (Fetch("nosuch", 0, 0), past_end(0, 0)),
    ("Fetch", "error: name too long"): (
        Fetch("n" * 256, 0, 9),
        Refusal(Kind.OTHER, f"failed to fetch message: {LONG}"),
    ),
    ("CreateTopic (protobuf)", "ok, 4 partitions"): (CreateTopic("multi", 4), DONE),
    ("CreateTopic (protobuf)", "ok, again with 2 partitions"): (CreateTopic("multi", 2), DONE),
    ("CreateTopic (protobuf)", "ok, back to 4 partitions"): (CreateTopic("multi", 4), DONE),
    ("CreateTopic (protobuf)", "ok, 0 partitions becomes 1"): (CreateTopic("one", 0), DONE),
    ("CreateTopic (protobuf)", "error: NUL in the name"): (
        CreateTopic("a\0b", 1),
        Refusal(
            Kind.OTHER,
            "failed to create log for topic a?b partition 0: failed to create new log: "
            "failed to create log directory: …: invalid argument",
        ),
    ),
    ("Metadata", "all topics"): (Metadata(), ALL_TOPICS),
    ("Metadata", "one topic of 4 partitions"): (Metadata(["multi"]), known(topic("multi", 3, 0, 1, 2))),
    ("Metadata", "unknown topic"): (Metadata(["nosuch"]), known(topic("nosuch"))),
    ("Metadata", "two topics, the order asked"): (
        Metadata(["orders", "one"]),
        known(topic("orders", 0), topic("one", 0)),
    ),
    ("OffsetFetch", "none"): (OffsetFetch("grp", "orders", 0), -1),
    ("OffsetCommit", "ok, offset 0"): (OffsetCommit("grp", "orders", 0, 0), DONE),
    ("OffsetFetch", "0 is a commit"): (OffsetFetch("grp", "orders", 0), 0),
    ("OffsetCommit", "ok, offset 3 with metadata"): (OffsetCommit("grp", "orders", 0, 3, "meta"), DONE),
    ("OffsetFetch", "3"): (OffsetFetch("grp", "orders", 0), 3),
    ("OffsetCommit", "ok, unknown topic and partition"): (OffsetCommit("grp", "nosuch", 9, 7), DONE),
    ("OffsetCommit", "ok, negative offset"): (OffsetCommit("grp", "orders", 1, -5), DONE),
    ("OffsetFetch", "-5"): (OffsetFetch("grp", "orders", 1), -5),
    ("OffsetCommit", "ok, 5*2^40"): (OffsetCommit("grp", "orders", 2, 5 * 2**40), DONE),
    ("OffsetFetch", "5*2^40"): (OffsetFetch("grp", "orders", 2), 5 * 2**40),
    ("OffsetCommit", "error: group name too long"): (
        OffsetCommit("g" * 256, "orders", 0, 1),
        Refusal(Kind.OTHER, "failed to commit offset: failed to create group directory: …: file name too long"),
    ),
    ("FindCoordinator", "ok"): (FindCoordinator("grp"), Coordinator(0, "", 1, "127.0.0.1", 9092)),
    ("ListGroups", "no groups"): (ListGroups(), ()),
    ("DescribeGroups", "no groups asked"): (DescribeGroups([]), ()),
    ("DescribeGroups", "absent group"): (DescribeGroups(["cg"]), (GroupDescription(16, "cg", "", "", "", ()),)),
    ("Heartbeat", "error: group not found"): (
        Heartbeat("cg", "A", 1),
        Refusal(Kind.GROUP_UNKNOWN, "heartbeat failed: group cg not found"),
    ),
    ("SyncGroup", "error: group not found"): (
        SyncGroup("cg", "A", 1),
        Refusal(Kind.GROUP_UNKNOWN, "sync group failed: group cg not found"),
    ),
    ("LeaveGroup", "error: group not found"): (
        LeaveGroup("cg", "A"),
        Refusal(Kind.GROUP_UNKNOWN, "failed to leave group: group cg not found"),
    ),
    ("JoinGroup", "first member"): (join("cg", "A", "multi"), Joined("cg", 1, "A", "A")),
    ("DescribeGroups", "before the first Sync"): (
        DescribeGroups(["cg"]),
        (described("preparing_rebalance", Member("A", "t", "host", ("multi",), ())),),
    ),
    ("SyncGroup", "first member gets all"): (SyncGroup("cg", "A", 1), Synced((0, 1, 2, 3), 1)),
    ("Heartbeat", "ok"): (Heartbeat("cg", "A", 1), DONE),
    ("JoinGroup", "second member"): (join("cg", "B", "multi"), Joined("cg", 2, "B", "A")),
    ("Heartbeat", "error: generation mismatch"): (
        Heartbeat("cg", "A", 1),
        Refusal(Kind.GENERATION, "heartbeat failed: generation mismatch: expected 2, got 1", (2, 1)),
    ),
    ("SyncGroup", "error: generation mismatch"): (
        SyncGroup("cg", "A", 1),
        Refusal(Kind.GENERATION, "sync group failed: generation mismatch: expected 2, got 1", (2, 1)),
    ),
    ("SyncGroup", "late member gets nothing"): (SyncGroup("cg", "B", 2), Synced((), 2)),
    ("SyncGroup", "first member at the new generation"): (SyncGroup("cg", "A", 2), Synced((0, 1, 2, 3), 2)),
    ("SyncGroup", "unknown member"): (SyncGroup("cg", "Z", 2), Synced((), 2)),
    ("Heartbeat", "error: member not found"): (
        Heartbeat("cg", "Z", 2),
        Refusal(Kind.MEMBER_UNKNOWN, "heartbeat failed: member Z not found in group cg"),
    ),
    ("DescribeGroups", "two members"): (DescribeGroups(["cg"]), (described("stable", A, B),)),
    ("DescribeGroups", "one absent, one present"): (
        DescribeGroups(["nog", "cg"]),
        (GroupDescription(16, "nog", "", "", "", ()), described("stable", B, A)),
    ),
    ("ListGroups", "one group"): (ListGroups(), ("cg",)),
    ("LeaveGroup", "unknown member: ok, and the generation is bumped"): (LeaveGroup("cg", "Z"), DONE),
    ("Heartbeat", "error: generation 3 after that"): (
        Heartbeat("cg", "A", 2),
        Refusal(Kind.GENERATION, "heartbeat failed: generation mismatch: expected 3, got 2", (3, 2)),
    ),
    ("SyncGroup", "A at 3"): (SyncGroup("cg", "A", 3), Synced((0, 1, 2, 3), 3)),
    ("JoinGroup", "new id A2 joins"): (join("cg", "A2", "multi"), Joined("cg", 4, "A2", "A")),
    ("LeaveGroup", "old id A leaves"): (LeaveGroup("cg", "A"), DONE),
    ("SyncGroup", "A2 at 5"): (SyncGroup("cg", "A2", 5), Synced((0, 1), 5)),
    ("SyncGroup", "B at 5"): (SyncGroup("cg", "B", 5), Synced((2, 3), 5)),
    ("JoinGroup", "same id joins again"): (join("cg", "B", "multi"), Joined("cg", 6, "B", "A2")),
    ("JoinGroup", "and again before any Sync"): (join("cg", "B", "multi"), Joined("cg", 6, "B", "A2")),
    ("JoinGroup", "two topics in one group"): (join("cg2", "M", "multi", "orders"), Joined("cg2", 1, "M", "M")),
    ("SyncGroup", "two topics: ids without topic"): (SyncGroup("cg2", "M", 1), Synced((0, 1, 2, 3, 0), 1)),
    ("LeaveGroup", "last member"): (LeaveGroup("cg2", "M"), DONE),
    ("Heartbeat", "error: group gone"): (
        Heartbeat("cg2", "M", 1),
        Refusal(Kind.GROUP_UNKNOWN, "heartbeat failed: group cg2 not found"),
    ),
    ("Metadata", "broker started with --addr=:9092"): (
        Metadata(["fresh"]),
        known(topic("fresh", 0), address=":9092"),
    ),
    ("FindCoordinator", "broker started with --addr=:9092"): (FindCoordinator("grp"), Coordinator(0, "", 1, "", 9092)),
    ("Produce", "error: topic from before a broker restart"): (
        Produce("orders", 0, b"again"),
        Refusal(Kind.STORED, f"failed to produce message: {PARSE}"),
    ),
    ("Fetch", "ok: what that failed Produce stored"): (Fetch("orders", 0, 0), b"again"),
    ("Fetch", "error: end of a topic from before a restart"): (
        Fetch("orders", 0, 2**62),
        Refusal(Kind.POISONED, f"failed to fetch message: {PARSE}"),
    ),
    ("OffsetFetch", "committed offsets survive a restart"): (OffsetFetch("grp", "orders", 0), 3),
    # Brokers of before 2026: the same requests, replies without a size.
    ("Produce", "broker of 2025-11: ok"): (Produce("t", 0, b"hi"), OLD),
    ("Fetch", "broker of 2025-11: ok"): (Fetch("t", 0, 0), OLD),
    ("Fetch", "broker of 2025-11: error: past the end"): (Fetch("t", 0, 99), OLD),
    ("Metadata", "broker of 2025-11: all"): (Metadata(), OLD),
    ("OffsetCommit", "broker of 2025-11: ok"): (OffsetCommit("g", "t", 0, 1), OLD),
    ("OffsetFetch", "broker of 2025-11: 1"): (OffsetFetch("g", "t", 0), OLD),
    ("JoinGroup", "broker of 2025-11: ok"): (join("g", "m", "t"), OLD),
    ("SyncGroup", "broker of 2025-11: ok"): (SyncGroup("g", "m", 1), OLD),
    ("Heartbeat", "broker of 2025-11: error"): (Heartbeat("g", "m", 9), OLD),
    ("LeaveGroup", "broker of 2025-11: ok"): (LeaveGroup("g", "m"), OLD),
    ("FindCoordinator", "broker of 2025-11: fatal"): (FindCoordinator("g"), CLOSED),
    ("DescribeGroups", "broker of 2025-11: fatal"): (DescribeGroups(["g"]), CLOSED),
    ("ListGroups", "broker of 2025-11: fatal"): (ListGroups(), CLOSED),
}


class Odd(NamedTuple):
    """A request of any key and body, to be refused."""

    api: int | None
    content: bytes = b""

    def body(self) -> bytes:
        return self.content

    def reply(self, body: bytes) -> None:
        raise AssertionError(body)


# What the broker closes the connection over, and the nearest that this client can be asked for.
MALFORMED: dict[tuple[str, str], Any] = {
    ("Produce", "fatal: body shorter than its length field"): Produce("orders", 0, None),  # type: ignore[arg-type]
    ("Fetch", "fatal: no offset"): Fetch("orders", 0, None),  # type: ignore[arg-type]
    ("Metadata", "fatal: no count"): Metadata(None),  # type: ignore[arg-type]
    ("OffsetCommit", "fatal: metadata string missing"): OffsetCommit("grp", "orders", 0, 1, None),  # type: ignore[arg-type]
    ("FindCoordinator", "fatal: no key"): FindCoordinator(None),  # type: ignore[arg-type]
    ("unknown key 2", "fatal"): Odd(2),
    ("unknown key 18", "fatal"): Odd(18),
    ("unknown key 19", "fatal"): Odd(19),
    ("unknown key 50", "fatal"): Odd(50),
    ("key 60", "fatal: read as protobuf, which it is not"): Odd(60),
    ("size 0", "fatal"): Odd(None),
    ("size 100 MiB + 1", "fatal"): Odd(None, bytes(100 * 2**20 + 1)),
}
# There is nothing that could be asked for: every header is whole, and CreateTopic is the one message of protobuf.
IMPOSSIBLE = {
    ("header", "fatal: cut in the header"),
    ("OffsetCommit (protobuf)", "unsupported oneof member 5"),
    ("protobuf", "garbage"),
}
# Well-formed, and not what this client writes: it has the binary forms of the same APIs.
OTHERS = {
    ("Produce (protobuf)", "ok, two raw messages"),
    ("Consume (protobuf)", "ok, offset 1"),
    ("Consume (protobuf)", "at the end"),
    ("Metadata (protobuf)", "all"),
}
VERSION_9 = ("Produce", "ok, api_version 9 is ignored")
TRAILING = ("Fetch", "ok, trailing bytes ignored")
PIPELINED = ("pipelining", "OffsetFetch, Fetch, Fetch past the end in one write")


def request_bytes(name: tuple[str, str]) -> bytes:
    return bytes.fromhex(RECORDED[name]["request_hex"])


def response_bytes(name: tuple[str, str]) -> bytes:
    return bytes.fromhex(RECORDED[name]["response_hex"])


def correlation_of(request: Any, recorded: bytes) -> int | None:
    return None if request.api is None else int.from_bytes(recorded[8:12], "big")


def received(due: list[int | None], stream: bytes) -> list[tuple[int | None, bytes]]:
    frames = Frames()
    for correlation in due:
        frames.expect(correlation)
    return frames.feed(stream)


def understood(request: Any, body: bytes) -> Any:
    """What a reply's body says, in the form of the expectations above."""
    try:
        return request.reply(body)
    except BrokerError as error:
        numbers = (error.base, error.end) if error.kind is Kind.PAST_END else (error.expected, error.got)
        said = error.text.encode()
        return Refusal(error.kind, str(error), () if numbers == (-1, -1) else numbers) if said in body else error


def test_every_recorded_exchange_is_spoken_for() -> None:
    """GOF-35: of the 113 exchanges each is in one of the lists of this file."""
    lists = [SPOKEN, MALFORMED, IMPOSSIBLE, OTHERS, {VERSION_9, TRAILING, PIPELINED}]
    names = [name for each in lists for name in each]
    assert len(RECORDED) == 113
    assert sorted(names) == sorted(RECORDED)


@pytest.mark.parametrize("name", SPOKEN, ids=": ".join)
def test_requests_are_written_as_recorded_and_replies_understood(name: tuple[str, str]) -> None:
    """GOF-35: the same bytes as the recorded request, and of the response what its case says."""
    request, expected = SPOKEN[name]
    recorded, response = request_bytes(name), response_bytes(name)
    correlation = correlation_of(request, recorded)
    assert frame(request, 0x4000_0001 if correlation is None else correlation, "t") == recorded
    assert (response == b"") is (expected is CLOSED)
    if expected is CLOSED:
        assert received([correlation], response) == []
    elif expected is OLD:
        with pytest.raises(WireError, match="framing of before 2026, which cannot be read safely"):
            received([correlation], response)
    else:
        ((answered, body),) = received([correlation], response)
        assert answered == correlation
        reply = understood(request, body)
        if expected is ALL_TOPICS:
            assert reply.brokers == (Broker("b1", "127.0.0.1:9092"),)
            reply = {each.name: len(each.partitions) for each in reply.topics}
        assert reply == expected


@pytest.mark.parametrize("name", MALFORMED, ids=": ".join)
def test_what_the_broker_closes_over_is_refused_before_it_is_sent(name: tuple[str, str]) -> None:
    """GOF-35: a request that cannot be told is a WireError, and the recorded broker did close."""
    assert response_bytes(name) == b""
    with pytest.raises(WireError):
        frame(MALFORMED[name], wire.FIRST_CORRELATION, "t")


def test_what_cannot_be_asked_for_was_closed_over_too() -> None:
    """GOF-35: the rest of the malformed requests has no form here at all."""
    assert {response_bytes(name) for name in IMPOSSIBLE} == {b""}


def test_a_version_or_trailing_bytes_are_all_that_some_recordings_have_more() -> None:
    """GOF-35: the two requests that this client writes otherwise, and their replies."""
    ours = frame(Produce("bin", 0, b"v9"), 0x4000_0008, "t")
    assert request_bytes(VERSION_9) == ours[:6] + b"\x00\x09" + ours[8:]
    ((_, body),) = received([0x4000_0008], response_bytes(VERSION_9))
    assert Produce("bin", 0, b"v9").reply(body) == ProduceReply(0, 1)
    ours = frame(Fetch("orders", 0, 0), 0x4000_000F, "t")
    assert request_bytes(TRAILING) == (len(ours)).to_bytes(4, "big") + ours[4:] + b"\x00\x10\x00\x00"
    ((_, body),) = received([0x4000_000F], response_bytes(TRAILING))
    assert Fetch("orders", 0, 0).reply(body) == b"hello"


def test_pipelined_requests_and_replies() -> None:
    """GOF-35: three requests in one write, three replies in one read, the last an error."""
    requests = [OffsetFetch("grp", "orders", 0), Fetch("orders", 0, 0), Fetch("orders", 0, 9)]
    ids = [0x4000_0101, 0x4000_0102, 0x4000_0103]
    assert b"".join(frame(each, i, "t") for each, i in zip(requests, ids, strict=True)) == request_bytes(PIPELINED)
    replies = received(list(ids), response_bytes(PIPELINED))
    assert [i for i, _ in replies] == ids
    read = [understood(each, body) for each, (_, body) in zip(requests, replies, strict=True)]
    assert read == [3, b"hello", past_end(9, 4)]


def test_the_replies_of_protobuf_messages_that_are_not_ours_are_none_to_create_topic() -> None:
    """GOF-35: a reply to something else does not say that a topic was made."""
    for name in OTHERS:
        ((_, body),) = received([None], response_bytes(name))
        with pytest.raises(WireError, match="does not answer a CreateTopic"):
            CreateTopic("t", 1).reply(body)


def test_the_api_keys() -> None:
    """GOF-35: 0, 1, 3, 8–16, and CreateTopic, which has none."""
    keys = {
        Produce: 0, Fetch: 1, Metadata: 3, OffsetCommit: 8, OffsetFetch: 9, FindCoordinator: 10, JoinGroup: 11,
        Heartbeat: 12, LeaveGroup: 13, SyncGroup: 14, DescribeGroups: 15, ListGroups: 16, CreateTopic: None,
    }  # fmt: skip
    assert {each: each.api for each in keys} == keys
    assert {key for key in keys.values() if key is not None} == wire.APIS
    assert {each for each in vars(wire).values() if hasattr(each, "api") and hasattr(each, "reply")} - {
        wire.Request
    } == set(keys)


TOO_LONG = "é" * 16_384


@pytest.mark.parametrize(
    "make",
    [
        lambda: frame(Fetch("t", 2**31, 0), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Fetch("t", -(2**31) - 1, 0), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Fetch("t", 0, 2**63), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Fetch("t", 0, 1.5), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Fetch("t", 0, 0), 0, "t"),
        lambda: frame(Fetch("t", 0, 0), 2**31, "t"),
        lambda: frame(Fetch(TOO_LONG, 0, 0), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Fetch("t", 0, 0), wire.FIRST_CORRELATION, TOO_LONG),
        lambda: frame(Fetch("\ud800", 0, 0), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Fetch(b"t", 0, 0), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Metadata("orders"), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Metadata([TOO_LONG]), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Metadata(["a", 1]), wire.FIRST_CORRELATION, "t"),
        lambda: frame(OffsetCommit("g", "t", 0, 0, TOO_LONG), wire.FIRST_CORRELATION, "t"),
        lambda: frame(JoinGroup("g", TOO_LONG, "c", "h", 1, ["t"]), wire.FIRST_CORRELATION, "t"),
        lambda: frame(JoinGroup("g", "m", "c", "h", 2**31, ["t"]), wire.FIRST_CORRELATION, "t"),
        lambda: frame(CreateTopic(TOO_LONG, 1), wire.FIRST_CORRELATION, "t"),
        lambda: frame(CreateTopic("\udfff", 1), wire.FIRST_CORRELATION, "t"),
        lambda: frame(CreateTopic("t", -1), wire.FIRST_CORRELATION, "t"),
        lambda: frame(CreateTopic("t", 2**31), wire.FIRST_CORRELATION, "t"),
        lambda: frame(CreateTopic("t", "2"), wire.FIRST_CORRELATION, "t"),
        lambda: frame(Produce("t", 0, bytes(100 * 2**20 - 19)), wire.FIRST_CORRELATION, "t"),
    ],
)
def test_what_would_end_the_broker_is_refused(make: Callable[[], bytes]) -> None:
    """GOF-35: strings over 32,767 bytes or not of UTF-8, numbers out of range, frames over 100 MiB: a short error."""
    with pytest.raises(WireError) as caught:
        make()
    assert len(str(caught.value)) < 200


def test_the_limits_themselves_are_fine() -> None:
    """GOF-35: a string of 32,767 bytes, a frame of 100 MiB, the outermost numbers."""
    assert len(frame(Metadata([TOO_LONG[:-1] + "x"]), wire.FIRST_CORRELATION, "")) == 4 + 10 + 4 + 2 + 32_767
    assert len(frame(Produce("t", 0, bytes(100 * 2**20 - 22)), wire.FIRST_CORRELATION, "t")) == 4 + 100 * 2**20
    assert frame(Fetch("t", -(2**31), 2**63 - 1), 2**31 - 1, "").endswith(b"\x80\0\0\0\x7f" + b"\xff" * 7)


def test_the_shortest_items_of_a_list_are_read() -> None:
    """GOF-37: every string and list in them empty, at the very end of the reply."""
    empty, none = b"\0\0", bytes(4)
    one = struct.pack(">i", 1)
    assert Metadata().reply(one + empty * 2 + none).brokers == (Broker("", ""),)
    assert Metadata().reply(none + one + empty + none).topics == (Topic("", ()),)
    partition = Partition(0, "", ())
    assert Metadata().reply(none + one + empty + one + none + empty + none).topics == (Topic("", (partition,)),)
    replica = Metadata().reply(none + one + empty + one + none + empty + one + empty).topics[0].partitions[0]
    assert replica == Partition(0, "", ("",))
    assert ListGroups().reply(none + empty + one + empty * 2) == ("",)
    group = none + one + empty * 5
    assert DescribeGroups(()).reply(group + none) == (GroupDescription(0, "", "", "", "", ()),)
    nothing = struct.pack(">ii", 4, 0)
    member = DescribeGroups(()).reply(group + one + empty * 3 + nothing * 2)[0].members
    assert member == (Member("", "", "", (), ()),)
    assert SyncGroup("g", "m", 1).reply(one + none + none) == Synced((0,), 0)


def test_correlation_ids_begin_where_no_size_can_be_and_come_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """GOF-35: from 0x40000000, which is over 100 MiB; the last one is followed by the first."""
    ids = wire.correlations()
    assert [next(ids), next(ids)] == [0x4000_0000, 0x4000_0001]
    assert wire.FIRST_CORRELATION > wire.MAX_FRAME
    assert frames._LAST_CORRELATION == 2**31 - 1
    monkeypatch.setattr(frames, "_LAST_CORRELATION", 0x4000_0002)
    ids = wire.correlations()
    assert [next(ids) - 0x4000_0000 for _ in range(5)] == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "failed to produce message: failed to replicate message through consensus: timed out enqueuing operation",
            Kind.TIMED_OUT_ENQUEUING,
        ),
        # What it says about a record's fate counts, whatever else is in the text.
        (
            "failed to produce message: failed to get or create log: mkdir data/log/node is not the leader: x",
            Kind.STORED,
        ),
        ("failed to fetch message: offset 5 out of range", Kind.OTHER),
        ("failed to fetch message: offset 5 out of range [0, 99999999999999999999)", Kind.OTHER),
        ("failed to fetch message: offset 5 out of range [0, 9999999999999999999)", Kind.OTHER),
        ("failed to fetch message: offset 5 out of range [0, -1)", Kind.OTHER),
        ("heartbeat failed: generation mismatch: expected 4294967296, got 1", Kind.OTHER),
        (f"heartbeat failed: generation mismatch: expected {'9' * 5000}, got 1", Kind.OTHER),
        # A name is no message.
        ("heartbeat failed: group generation mismatch: expected 9, got 1 not found", Kind.GROUP_UNKNOWN),
        ("heartbeat failed: member group x not found not found in group node is not the leader", Kind.MEMBER_UNKNOWN),
        ("failed to join group: something new", Kind.OTHER),
        ("", Kind.OTHER),
    ],
)
def test_errors_are_sorted_by_their_words(text: str, kind: Kind) -> None:
    """GOF-33: the kind of an error that was not recorded."""
    assert BrokerError(text).kind is kind


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a: mkdir /srv/my data/log/x: no space left on device", "a: …: no space left on device"),
        ("a: mkdir C:\\gofka\\log: denied", "a: …: denied"),
        ("a: rename data/x: y data/y: denied", "a: …: denied"),
        ('a: parsing "/srv/secret', "a: parsing …"),
        ("open /srv/secret", "…"),
        ("one\nline\x1b[0m", "one?line?[0m"),
        ("x" * 5000, "x" * 300 + "…"),
        ("", "the broker gave no reason"),
    ],
)
def test_people_see_a_short_line_without_the_brokers_paths(text: str, shown: str) -> None:
    """GOF-33: what `str` and `repr` show; all of it is in `text`."""
    error = BrokerError(text)
    assert str(error) == shown
    assert repr(error) == f"BrokerError({shown!r})"
    assert error.text == text


def test_the_tree_of_errors() -> None:
    """GOF-33: who derives from whom; the tree drawn in the module is the one that holds."""
    for child, *parents in [
        (errors.GofkaError, SuperclientError),
        (errors.ConnectionError, errors.GofkaError, ConnectionError, OSError),
        (errors.RequestTimeoutError, errors.ConnectionError, TimeoutError),
        (errors.WireError, errors.GofkaError),
        (errors.ProduceError, errors.GofkaError),
        (errors.ConsumeError, errors.GofkaError),
        (errors.OffsetError, errors.GofkaError),
        (errors.GroupCoordinationError, errors.GofkaError),
        (errors.MetadataError, errors.GofkaError),
        (BrokerError, errors.GofkaError),
    ]:
        assert all(issubclass(child, parent) for parent in parents), child
        assert child.__name__ in ast.get_docstring(ast.parse(Path(errors.__file__).read_text(encoding="utf-8")))
    assert wire.WireError is errors.WireError


def test_an_error_of_the_brokers_can_be_pickled() -> None:
    """GOF-33: it comes back with all that it had."""
    error = pickle.loads(pickle.dumps(BrokerError("failed to fetch message: offset 4 out of range [2, 4)")))
    assert (error.kind, error.base, error.end) == (Kind.PAST_END, 2, 4)
    error = pickle.loads(pickle.dumps(BrokerError("mkdir /srv/x: denied")))
    assert (error.text, str(error)) == ("mkdir /srv/x: denied", "…: denied")


def test_the_standard_library_is_enough_and_there_is_no_io() -> None:
    """GOF-31: imported without site-packages, it loads no other package, and nothing that knows sockets."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import superclient.gofka.wire; print(*sys.modules, sep='\\n')"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(ROOT)], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    modules = set(ran.stdout.split())
    assert "superclient.gofka.wire" in modules
    assert {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) <= {"superclient", "__main__"}
    assert not modules & {"asyncio", "socket", "_socket", "ssl", "threading", "selectors"}
