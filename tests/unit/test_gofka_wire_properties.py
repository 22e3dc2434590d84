"""The Gofka client's bytes against whatever may come: any split of the stream, any reply, also damaged: GOF-37."""

from __future__ import annotations

import contextlib
import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from superclient.gofka import wire
from superclient.gofka.faults import fault_in
from superclient.gofka.wire import (
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

RECORDED = json.loads((Path(__file__).parents[1] / "data/gofka-exchanges.json").read_text(encoding="utf-8"))
FIRST = wire.FIRST_CORRELATION
Reply = tuple["int | None", bytes]

# A busy machine is no failure: no example has a time limit.
calmly = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many_times = settings(calmly, max_examples=100)

INT16, INT32, INT64 = (st.integers(-(2**bits), 2**bits - 1) for bits in (15, 31, 63))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(["é" * 300, "g" * 0x100])
TEXTS = st.lists(TEXT, max_size=4)

# One of each request, and the letters of its body: s a string, S a counted list of them, b bytes, i and q numbers.
LAYOUTS = {
    Produce: "sib", Fetch: "siq", Metadata: "S", OffsetCommit: "ssiqs", OffsetFetch: "ssi", FindCoordinator: "s",
    JoinGroup: "ssssiS", Heartbeat: "ssi", LeaveGroup: "ss", SyncGroup: "ssi", DescribeGroups: "S", ListGroups: "",
}  # fmt: skip
VALUES: dict[str, Any] = {"s": TEXT, "S": TEXTS, "b": st.binary(max_size=100), "i": INT32, "q": INT64}
REQUESTS: dict[Any, Any] = {
    each: each(*({"s": "g", "S": ["t"], "b": b"x", "i": 1, "q": 1}[letter] for letter in layout))
    for each, layout in LAYOUTS.items()
} | {CreateTopic: CreateTopic("t", 1)}
CAN_BE_ERRORS = [Produce, Fetch, OffsetCommit, Heartbeat, LeaveGroup, SyncGroup, JoinGroup]


# --- Frames ----------------------------------------------------------------------------------------------------------


def stream_of(replies: list[Reply]) -> bytes:
    """The bytes of replies, as the broker frames them."""
    words = [b"" if correlation is None else struct.pack(">I", correlation) for correlation, _ in replies]
    return b"".join(
        struct.pack(">I", len(word) + len(body)) + word + body for word, (_, body) in zip(words, replies, strict=True)
    )


def pieces(data: Any, stream: bytes) -> list[bytes]:
    """The stream in pieces that hypothesis chooses: cuts anywhere, empty pieces too."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12), label="cuts"))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def expecting(replies: list[Reply]) -> Frames:
    frames = Frames()
    for correlation, _ in replies:
        frames.expect(correlation)
    return frames


def read_all(frames: Frames, parts: list[bytes]) -> tuple[list[Reply], str | None]:
    """What comes out until the fault, if there is one: its words. After it, nothing comes out any more."""
    replies: list[Reply] = []
    for part in parts:
        try:
            replies += frames.feed(part)
        except WireError as error:
            if frames.fault != str(error):
                raise AssertionError(f"{frames.fault!r} is kept of {error!r}") from error
            with pytest.raises(WireError):
                frames.feed(b"\0" * 100)
    return replies, frames.fault


def numbered(bodies: list[tuple[bool, bytes]]) -> list[Reply]:
    """Replies with rising ids; those with False are protobuf and have none."""
    return [(FIRST + place if binary else None, body) for place, (binary, body) in enumerate(bodies)]


BODIES = st.binary(max_size=40) | st.builds(
    lambda size, seed: (seed * size)[:size], st.sampled_from([65_527, 65_536, 70_000]), st.binary(min_size=1)
)
REPLIES = st.lists(st.tuples(st.booleans(), BODIES), max_size=6).map(numbered)


@many_times
@given(REPLIES, st.data())
def test_any_split_of_the_stream_gives_the_same_replies(replies: list[Reply], data: Any) -> None:
    """GOF-37: replies over 64 KiB too, mixed with those of protobuf, in pieces of any size."""
    assert read_all(expecting(replies), pieces(data, stream_of(replies))) == (replies, None)


def test_the_recorded_replies_byte_by_byte() -> None:
    """GOF-37: all recorded replies with a size, as one stream, in pieces of 1, 2, 3, … bytes."""
    replies: list[Reply] = []
    for each in RECORDED:
        request, response = bytes.fromhex(each["request_hex"]), bytes.fromhex(each["response_hex"])
        if response and not each["case"].startswith("broker of 2025-11") and each["api"] != "pipelining":
            protobuf = "protobuf" in each["api"]
            replies.append((None, response[4:]) if protobuf else (struct.unpack(">I", request[8:12])[0], response[8:]))
    assert len(replies) > 70
    stream = stream_of(replies)
    for size in (1, 2, 3, 5, 7, 64, 1000, len(stream)):
        parts = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert read_all(expecting(replies), parts) == (replies, None)


@many_times
@given(REPLIES, st.integers(0, 2**32 - 1), INT32, st.binary(max_size=20), st.data())
def test_a_fault_shows_in_any_split_and_after_the_same_replies(
    replies: list[Reply], size: int, correlation: int, rest: bytes, data: Any
) -> None:
    """GOF-37: what was answered well is delivered, then a fault, wherever the stream was cut."""
    due = FIRST + 1000
    bad = struct.pack(">Ii", size, correlation) + rest
    frames, whole = expecting(replies), expecting(replies)
    for each in (frames, whole):
        each.expect(due)
    stream = stream_of(replies) + bad
    read, fault = read_all(frames, pieces(data, stream))
    assert (read, fault) == read_all(whole, [stream])
    assert read[: len(replies)] == replies
    if correlation != due:
        assert read == replies
        assert fault


@pytest.mark.parametrize(
    ("due", "stream", "words"),
    [
        ([FIRST], struct.pack(">II", 8, FIRST + 1), "answered request 0x40000001 instead of 0x40000000"),
        ([FIRST], struct.pack(">Ii", 8, -1), "answered request 0xffffffff"),
        ([FIRST], struct.pack(">I", 100 * 2**20 + 1), "announced a reply of 104857601 bytes"),
        ([FIRST], b"\xff\xff\xff\xff", "announced a reply of 4294967295 bytes"),
        ([FIRST], struct.pack(">I", 3), "announced a reply of 3 bytes"),
        ([FIRST], struct.pack(">I", 0), "announced a reply of 0 bytes"),
        ([None], struct.pack(">I", 100 * 2**20 + 1), "announced a reply of 104857601 bytes"),
        ([FIRST], struct.pack(">I", FIRST), "the framing of before 2026"),
        ([], b"\0", "nobody asked for"),
    ],
)
def test_what_is_wrong_with_a_frame_is_seen_at_its_header(due: list[int | None], stream: bytes, words: str) -> None:
    """GOF-37: not when the rest of it has come, if it ever does, whether or not a good reply came before."""
    with pytest.raises(WireError, match=words):
        expecting([(each, b"") for each in due]).feed(stream)
    good: list[Reply] = [(FIRST + 77, b"good")]
    frames = expecting([*good, *((each, b"") for each in due)])
    assert frames.feed(stream_of(good) + stream) == good
    assert words in str(frames.fault)


def test_a_frame_without_a_body_is_a_reply() -> None:
    """GOF-37: it is for the request to say whether that can be."""
    assert read_all(expecting([(None, b""), (FIRST, b"")]), [struct.pack(">III", 0, 4, FIRST)]) == (
        [(None, b""), (FIRST, b"")],
        None,
    )


def test_an_old_broker_is_recognised_in_any_split() -> None:
    """GOF-37: by the first word of its replies alone."""
    old = [each for each in RECORDED if each["case"].startswith("broker of 2025-11") and each["response_hex"]]
    assert len(old) == 10
    for each in old:
        request, response = bytes.fromhex(each["request_hex"]), bytes.fromhex(each["response_hex"])
        due: list[Reply] = [(struct.unpack(">I", request[8:12])[0], b"")]
        for cut in range(len(response)):
            replies, fault = read_all(expecting(due), [response[:cut], response[cut:]])
            assert replies == []
            assert "the framing of before 2026, which cannot be read safely" in str(fault)


def test_memory_follows_what_came_not_what_was_announced() -> None:
    """GOF-37: a frame of 100 MiB that never comes costs nothing; what was read is not kept."""
    frames = expecting([(FIRST + place, b"") for place in range(1001)])
    reply = bytes(1000)
    tracemalloc.start()
    try:
        for place in range(1000):
            frames.feed(stream_of([(FIRST + place, reply)]))
        frames.feed(struct.pack(">II", 100 * 2**20, FIRST + 1000) + bytes(1000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


@many_times
@given(st.lists(st.binary(max_size=30), max_size=5), st.lists(st.none() | st.just(FIRST), max_size=3))
def test_no_stream_makes_frames_raise_anything_else(parts: list[bytes], due: list[int | None]) -> None:
    """GOF-37: random bytes are replies or a WireError."""
    replies, _ = read_all(expecting([(each, b"") for each in due]), parts)
    assert sum(len(body) for _, body in replies) <= sum(map(len, parts))


# --- Requests --------------------------------------------------------------------------------------------------------


def parsed(layout: str, data: bytes) -> list[Any]:
    """What a broker would read of a request's body; every length in it is checked, and the end is its end."""
    at = 0

    def take(size: int) -> bytes:
        nonlocal at
        assert 0 <= size <= len(data) - at
        at += size
        return data[at - size : at]

    def number(form: str) -> int:
        value: int = struct.unpack(form, take(struct.calcsize(form)))[0]
        return value

    def value(letter: str) -> Any:
        if letter == "s":
            return take(number(">h")).decode()
        if letter == "S":
            return [value("s") for _ in range(number(">i"))]
        return take(number(">i")) if letter == "b" else number(f">{letter}")

    values = [value(letter) for letter in layout]
    assert at == len(data)
    return values


@calmly
@given(st.data())
@pytest.mark.parametrize("kind", LAYOUTS, ids=lambda kind: kind.__name__)
def test_a_request_says_what_it_was_given(kind: Any, data: Any) -> None:
    """GOF-35: read back by another hand: size, key, version, correlation id, client id and each field in its order."""
    values = [data.draw(VALUES[letter]) for letter in LAYOUTS[kind]]
    correlation = data.draw(st.integers(FIRST, 2**31 - 1))
    written = frame(kind(*values), correlation, "client é")
    assert struct.unpack(">I", written[:4])[0] == len(written) - 4
    assert parsed("hhis" + LAYOUTS[kind], written[4:]) == [kind.api, 0, correlation, "client é", *values]


@calmly
@given(TEXT, st.integers(0, 2**31 - 1))
def test_create_topic_is_protobuf(name: str, partitions: int) -> None:
    """GOF-35: read back by another hand: a message in field 4 with a string in 1 and a number in 2."""

    def varint(data: bytes) -> tuple[int, bytes]:
        number = shift = 0
        for place, byte in enumerate(data, 1):
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number, data[place:]
        raise AssertionError(data)

    written = frame(CreateTopic(name, partitions), 0, "unused")
    assert struct.unpack(">I", written[:4])[0] == len(written) - 4
    assert written[4] == 4 << 3 | 2
    size, inner = varint(written[5:])
    assert len(inner) == size
    assert inner[0] == 1 << 3 | 2
    size, inner = varint(inner[1:])
    assert inner[:size].decode() == name
    assert inner[size] == 2 << 3
    assert varint(inner[size + 1 :]) == (partitions, b"")


# --- Replies ---------------------------------------------------------------------------------------------------------


def string(text: str) -> bytes:
    return struct.pack(">h", len(text.encode())) + text.encode()


def many(items: Any) -> bytes:
    items = list(items)
    return struct.pack(">i", len(items)) + b"".join(items)


def blob(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def error_body(text: str) -> bytes:
    return b"\0" + string(text)


def tuples(items: Any) -> Any:
    return st.lists(items, max_size=3).map(tuple)


@calmly
@given(INT32, st.integers(0, 2**63 - 1))
def test_a_reply_to_produce(partition: int, offset: int) -> None:
    """GOF-37: any 12 bytes are a stored message, those that look like an error too."""
    body = struct.pack(">iq", partition, offset)
    assert Produce("t", partition, b"").reply(body) == ProduceReply(partition, offset)


def test_produce_is_decided_by_twelve_bytes() -> None:
    """GOF-37: partition 2304 makes the shape of an error; an offset below 0 is none; 12 bytes are never an error."""
    assert fault_in(struct.pack(">iq", 2304, 3)) is not None
    assert Produce("t", 2304, b"").reply(struct.pack(">iq", 2304, 3)) == ProduceReply(2304, 3)
    with pytest.raises(WireError):
        Produce("t", 0, b"").reply(struct.pack(">iq", 0, -1))
    with pytest.raises(BrokerError, match="ten chars!"):
        Produce("t", 0, b"").reply(error_body("ten chars!"))


@calmly
@given(INT64)
def test_a_reply_to_offset_fetch_is_never_an_error(offset: int) -> None:
    """GOF-37: 5 · 2^40 makes the shape of one."""
    assert OffsetFetch("g", "t", 0).reply(struct.pack(">q", offset)) == offset
    assert OffsetFetch("g", "t", 0).reply(struct.pack(">q", 5 * 2**40)) == 5 * 2**40
    assert fault_in(struct.pack(">q", 5 * 2**40)) is not None


@calmly
@given(st.binary(max_size=300) | st.integers(0, 2**17).map(bytes))
def test_a_reply_to_fetch(value: bytes) -> None:
    """GOF-37: no message makes the shape of an error."""
    assert Fetch("t", 0, 0).reply(blob(value)) == value


@pytest.mark.parametrize("size", [2**24 - 1, 2**24, 2**24 + 2**16])
def test_a_large_reply_to_fetch(size: int) -> None:
    """GOF-37: nor does one whose length begins with another byte."""
    assert len(Fetch("t", 0, 0).reply(blob(bytes(size)))) == size


@calmly
@given(st.lists(INT32, max_size=300), INT32)
def test_a_reply_to_sync_group(partitions: list[int], generation: int) -> None:
    """GOF-37: no assignment makes the shape of an error."""
    body = many(struct.pack(">i", each) for each in partitions) + struct.pack(">i", generation)
    assert SyncGroup("g", "m", 1).reply(body) == Synced(tuple(partitions), generation)


@calmly
@given(st.builds(MetadataReply, tuples(st.builds(wire.Broker, TEXT, TEXT)), tuples(
    st.builds(Topic, TEXT, tuples(st.builds(Partition, INT32, TEXT, tuples(TEXT)))))))  # fmt: skip
def test_a_reply_to_metadata(reply: MetadataReply) -> None:
    """GOF-37: brokers, topics, partitions, replicas."""
    body = many(string(each.id) + string(each.address) for each in reply.brokers) + many(
        string(topic.name)
        + many(struct.pack(">i", each.id) + string(each.leader) + many(map(string, each.replicas))
               for each in topic.partitions)
        for topic in reply.topics
    )  # fmt: skip
    assert Metadata().reply(body) == reply


@calmly
@given(st.builds(Coordinator, INT16, TEXT, INT32, TEXT, INT32), INT32)
def test_a_reply_to_find_coordinator(reply: Coordinator, throttle: int) -> None:
    """GOF-37: the throttle time is read past."""
    body = struct.pack(">ih", throttle, reply.error) + string(reply.message)
    body += struct.pack(">i", reply.node) + string(reply.host) + struct.pack(">i", reply.port)
    assert FindCoordinator("g").reply(body) == reply


@calmly
@given(st.builds(Joined, TEXT, INT32, TEXT, TEXT))
def test_a_reply_to_join_group(reply: Joined) -> None:
    """GOF-37: also where long ids make the shape of an error."""
    body = string(reply.group) + struct.pack(">i", reply.generation) + string(reply.member) + string(reply.leader)
    assert JoinGroup(reply.group, "m", "c", "h", 1, ["t"]).reply(body) == reply


def test_join_group_with_long_ids_and_with_an_error() -> None:
    """GOF-37: the group that was asked for decides what is an error."""
    member = "m" * (ord("a") + 256 - 8)
    body = string("a") + struct.pack(">i", 1) + string(member) + string("")
    assert fault_in(body) is not None
    assert JoinGroup("a", member, "c", "h", 1, []).reply(body) == Joined("a", 1, member, "")
    with pytest.raises(BrokerError):
        JoinGroup("b", member, "c", "h", 1, []).reply(body)
    with pytest.raises(BrokerError, match="failed to join group: no"):
        JoinGroup("a", member, "c", "h", 1, []).reply(error_body("failed to join group: no"))
    with pytest.raises(WireError, match="another group"):
        JoinGroup("b", "m", "c", "h", 1, []).reply(string("a") + struct.pack(">i", 1) + string("m") + string("m"))


@calmly
@given(tuples(st.builds(GroupDescription, INT16, TEXT, TEXT, TEXT, TEXT, tuples(
    st.builds(Member, TEXT, TEXT, TEXT, tuples(TEXT), tuples(INT32))))))  # fmt: skip
def test_a_reply_to_describe_groups(reply: tuple[GroupDescription, ...]) -> None:
    """GOF-37: groups, members, what they subscribed to and were given."""
    body = b"\0\0\0\0" + many(
        struct.pack(">h", group.error)
        + b"".join(map(string, (group.group, group.state, group.protocol_type, group.protocol)))
        + many(
            b"".join(map(string, (each.id, each.client_id, each.host)))
            + blob(many(map(string, each.topics)))
            + blob(many(struct.pack(">i", number) for number in each.partitions))
            for each in group.members
        )
        for group in reply
    )
    assert DescribeGroups(["g"]).reply(body) == reply


def test_the_smallest_items_fill_a_reply() -> None:
    """GOF-37: what a count may be is judged by the least that an item takes."""
    assert Metadata().reply(bytes(4) + many([bytes(6)])) == MetadataReply((), (Topic("", ()),))
    smallest = Topic("", (Partition(0, "", ()),))
    assert Metadata().reply(bytes(4) + many([string("") + many([bytes(10)])])) == MetadataReply((), (smallest,))
    assert Metadata().reply(many([bytes(4)]) + bytes(4)) == MetadataReply((wire.Broker("", ""),), ())
    assert DescribeGroups(["g"]).reply(bytes(4) + many([bytes(14)])) == (GroupDescription(0, "", "", "", "", ()),)
    member = bytes(6) + blob(bytes(4)) + blob(bytes(4))
    (group,) = DescribeGroups(["g"]).reply(bytes(4) + many([bytes(10) + many([member])]))
    assert group.members == (Member("", "", "", (), ()),)


def test_a_negative_count_is_not_an_empty_list() -> None:
    """GOF-37: also where everything else would fit."""
    with pytest.raises(WireError, match="counts -1"):
        SyncGroup("g", "m", 1).reply(struct.pack(">ii", -1, 1))
    with pytest.raises(WireError, match="counts -1"):
        ListGroups().reply(bytes(6) + struct.pack(">i", -1))


@pytest.mark.parametrize("content", [(bytes(5), bytes(4)), (bytes(4), bytes(5)), (b"", bytes(4)), (bytes(4), b"")])
def test_a_member_whose_parts_have_another_length(content: tuple[bytes, bytes]) -> None:
    """GOF-37: what is inside a length fills it."""
    member = bytes(6) + blob(content[0]) + blob(content[1])
    with pytest.raises(WireError):
        DescribeGroups(["g"]).reply(bytes(4) + many([bytes(10) + many([member])]))


@calmly
@given(TEXTS)
def test_a_reply_to_list_groups(names: list[str]) -> None:
    """GOF-37: names; an error code, which was never seen, is an error."""
    groups = many(string(name) + string("consumer") for name in names)
    assert ListGroups().reply(bytes(6) + groups) == tuple(names)
    with pytest.raises(BrokerError, match="error 15"):
        ListGroups().reply(b"\0\0\0\0\0\x0f" + groups)


@pytest.mark.parametrize("kind", CAN_BE_ERRORS, ids=lambda kind: kind.__name__)
@calmly
@given(text=TEXT.filter(lambda text: len(text.encode()) != 9) | st.just("x" * 32_767))
def test_an_error_body(kind: Any, text: str) -> None:
    """GOF-37: where errors can be, any text is one, but for nine bytes as the answer to a Produce."""
    with pytest.raises(BrokerError) as caught:
        REQUESTS[kind].reply(error_body(text))
    assert caught.value.text == text


@pytest.mark.parametrize("kind", [set(REQUESTS) - set(CAN_BE_ERRORS)])
def test_where_errors_cannot_be_the_shape_of_one_is_no_reply(kind: set[Any]) -> None:
    """GOF-37: Metadata, OffsetFetch, FindCoordinator, DescribeGroups, ListGroups and CreateTopic know no error body."""
    assert len(kind) == 6
    for each in kind:
        with pytest.raises(WireError):
            REQUESTS[each].reply(error_body("failed to do that: for a reason"))


def test_names_that_are_no_utf8_do_not_hide_the_others() -> None:
    """GOF-37: another client may have given one; it is shown by its bytes."""
    strange = b"\0\0\0\0\0\0\0\0\0\x02" + b"\0\x02\xff\xfe" + string("consumer") + string("fine") + string("consumer")
    assert ListGroups().reply(strange) == ("\\xff\\xfe", "fine")
    with pytest.raises(BrokerError, match=r"^…$") as caught:
        Fetch("t", 0, 0).reply(b"\0\0\x09no \xff: a/b")
    assert caught.value.text == "no \\xff: a/b"


# --- Damage ----------------------------------------------------------------------------------------------------------

BY_KEY = {each.api: REQUESTS[each] for each in REQUESTS}


def recorded_replies() -> list[tuple[Any, bytes]]:
    """Each recorded reply of our requests (its body), with a request that could have been the one it answers."""
    found = []
    for each in RECORDED:
        request, response = bytes.fromhex(each["request_hex"]), bytes.fromhex(each["response_hex"])
        if not response or each["api"] == "pipelining":
            continue
        protobuf = "protobuf" in each["api"]
        start = 4 if protobuf or each["case"].startswith("broker of 2025-11") else 8
        found.append((BY_KEY[None if protobuf else request[5]], response[start:]))
    return found


REPLIES_RECORDED = recorded_replies()
HOSTILE = [b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\x7f\xff", b"\x80\0", b"\0\0\0\0", b"\xff" * 10]


def answered(request: Any, body: bytes) -> None:
    """Reads a reply; anything but a value, a WireError or a BrokerError fails the test."""
    with contextlib.suppress(WireError, BrokerError):
        request.reply(body)


def test_every_truncation_of_a_recorded_reply() -> None:
    """GOF-37: each is an error of ours or a value, and so is each with a byte more."""
    for request, body in REPLIES_RECORDED:
        for end in range(len(body)):
            answered(request, body[:end])
        answered(request, body + b"\0")


def test_a_shortened_or_lengthened_good_reply_is_refused() -> None:
    """GOF-37: in the binary APIs nothing that is too short or too long is believed."""
    for request, body in REPLIES_RECORDED:
        if request.api is None:
            continue
        for wrong in [*(body[:end] for end in range(len(body))), body + b"\0"]:
            # Twelve bytes are a stored message, and three or four may be an error: only the frame's size tells.
            if (request.api == 0 and len(wrong) == 12) or (len(wrong) <= 4 and fault_in(wrong)):
                continue
            with pytest.raises(WireError):
                request.reply(wrong)


def test_every_hostile_number_in_every_place_of_a_recorded_reply() -> None:
    """GOF-37: huge and negative lengths and counts, each at once an error, in memory of the reply's own size."""
    for request, body in REPLIES_RECORDED:
        for at in range(min(len(body), 120)):
            for number in HOSTILE:
                answered(request, body[:at] + number + body[at + len(number) :])


@many_times
@given(st.sampled_from(list(REQUESTS.values())), st.binary(max_size=200))
def test_random_replies(request: Any, body: bytes) -> None:
    """GOF-37: to any request."""
    answered(request, body)


@many_times
@given(
    st.sampled_from(REPLIES_RECORDED),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 8), st.binary(max_size=8) | st.sampled_from(HOSTILE))),
)
def test_mutated_replies(reply: tuple[Any, bytes], edits: list[tuple[int, int, bytes]]) -> None:
    """GOF-37: recorded replies with pieces taken out, put in and replaced, to any request."""
    _, body = reply
    for at, removed, added in edits:
        body = body[:at] + added + body[at + removed :]
    for request in REQUESTS.values():
        answered(request, body)


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (Metadata(), b"\0\0\0\0\x7f\xff\xff\xff" + bytes(1000)),
        (Metadata(), b"\x7f\xff\xff\xff" + bytes(1000)),
        (Metadata(), b"\0\0\0\0\0\0\0\x01\0\x01t\x7f\xff\xff\xff" + bytes(1000)),
        (SyncGroup("g", "m", 1), b"\x7f\xff\xff\xff" + bytes(1000)),
        (ListGroups(), bytes(6) + b"\x7f\xff\xff\xff" + bytes(1000)),
        (DescribeGroups(["g"]), bytes(4) + b"\x7f\xff\xff\xff" + bytes(1000)),
        (DescribeGroups(["g"]), bytes(4) + b"\0\0\0\x01" + bytes(10) + b"\x7f\xff\xff\xff" + bytes(1000)),
        (Fetch("t", 0, 0), b"\x7f\xff\xff\xff" + bytes(1000)),
        (CreateTopic("t", 1), b"\x22\xff\xff\xff\xff\x7f" + bytes(1000)),
        (CreateTopic("t", 1), b"\x22" + b"\xff" * 1000),
    ],
)
def test_a_count_that_the_reply_cannot_hold_costs_nothing(request_: Any, body: bytes) -> None:
    """GOF-37: refused by the bytes that are left, before anything is made of it."""
    tracemalloc.start()
    try:
        with pytest.raises(WireError):
            request_.reply(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\x12\0", b"\x22", b"\x22\x05\x08", b"\x22\x02\x08", b"\x23", b"\x24", b"\x20\x01", b"\x22\x80",
        b"\x22\x01\xff",
    ],
)  # fmt: skip
def test_what_does_not_answer_a_create_topic(body: bytes) -> None:
    """GOF-37: absent, cut short, of another kind."""
    with pytest.raises(WireError):
        CreateTopic("t", 1).reply(body)


@pytest.mark.parametrize(
    "body",
    [b"\x22\x02\x08\x01", b"\x22\x10\x08\x01\x31" + bytes(8) + b"\x3d" + bytes(4), b"\xa2\x06\x01x\x22\x02\x08\x01"],
)
def test_fields_that_we_do_not_know_are_read_past(body: bytes) -> None:
    """GOF-35: a later broker may say more."""
    assert CreateTopic("t", 1).reply(body) is None


@pytest.mark.parametrize("body", [b"\x22\0", b"\x22\x02\x08\0", b"\x22\x04\x12\x02no", b"\x22\x02\x10\x05"])
def test_a_topic_that_was_not_made(body: bytes) -> None:
    """GOF-35: success that is absent is false, whatever the message."""
    with pytest.raises(BrokerError):
        CreateTopic("t", 1).reply(body)
