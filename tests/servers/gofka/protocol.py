"""The broker double's protocol: one request frame in, one reply frame out. Written from the recorded exchanges alone.

A client's own encoder must never be used here: what both get wrong would go unseen.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from tests.servers.gofka import protobuf
from tests.servers.gofka.errors import Closed, Crashed, Refused
from tests.servers.gofka.state import State

NAMES = {
    0: "Produce",
    1: "Fetch",
    3: "Metadata",
    8: "OffsetCommit",
    9: "OffsetFetch",
    10: "FindCoordinator",
    11: "JoinGroup",
    12: "Heartbeat",
    13: "LeaveGroup",
    14: "SyncGroup",
    15: "DescribeGroups",
    16: "ListGroups",
}
PROTOBUF = "protobuf"
_UNKNOWN_OF_OLD = {10, 15, 16}
_HIGHEST_KEY = 50
_UNKNOWN_GROUP = 16

_INT16, _INT32, _INT64 = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")
_HEADER = struct.Struct(">Hhi")  # API key (compared unsigned), version (ignored), correlation
_SIZE = struct.Struct(">I")

Reply = bytes
Later = Callable[[], bytes]
"""The second half of a Produce: stores the message and makes the reply."""


def api_of(frame: bytes) -> str:
    """The name of the API that a frame is for; "key N" where there is none."""
    key = int.from_bytes(frame[:2], "big")
    if len(frame) < 4 or key > _HIGHEST_KEY:
        return PROTOBUF
    return NAMES.get(key, f"key {key}")


def answer(frame: bytes, state: State, writer: Any = None) -> Reply | Later:
    """The whole reply frame. Closed: the connection ends without one. Crashed: so does the broker."""
    if len(frame) < 4 or frame[:2] > b"\0\x32":
        reply = protobuf.answer(frame, state, writer)
        return _SIZE.pack(len(reply)) + reply
    body = _Body(frame)
    key, correlation = body.header()
    handler = _HANDLERS.get(key)
    old = state.options.old_framing
    if handler is None or (old and key in _UNKNOWN_OF_OLD):
        raise Closed(f"API key {key} is unknown")
    if key == 0:
        return _produce(body, state, writer, lambda reply: _framed(correlation, reply, old))
    try:
        reply = handler(body, state)
    except Refused as error:
        reply = _error(_PREFIXES[key] + str(error))
    return _framed(correlation, reply, old)


class _Body:
    """Reads a request from its front; Closed where it is short. What is left over is ignored."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._position = 0

    def header(self) -> tuple[int, int]:
        key, _, correlation = self._unpack(_HEADER)
        self.text(negative_is_empty=True)
        return key, correlation

    def int32(self) -> int:
        number: int = self._unpack(_INT32)[0]
        return number

    def int64(self) -> int:
        number: int = self._unpack(_INT64)[0]
        return number

    def count(self) -> int:
        """A number of things to come; the broker makes room for them before it looks."""
        number = self.int32()
        if number < 0:
            raise Crashed(f"a count of {number}")
        return number

    def data(self, size: int) -> bytes:
        start = self._position
        self._position += size
        if self._position > len(self._frame):
            raise Closed("short body")
        return self._frame[start : self._position]

    def text(self, *, negative_is_empty: bool = False) -> str:
        (size,) = self._unpack(_INT16)
        if size < 0:
            if negative_is_empty:
                return ""
            raise Crashed(f"a string of {size} bytes")
        return self.data(size).decode(errors="surrogateescape")

    def _unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        try:
            values = layout.unpack_from(self._frame, self._position)
        except struct.error:
            raise Closed("short body") from None
        self._position += layout.size
        return values


def _produce(body: _Body, state: State, writer: Any, framed: Callable[[bytes], bytes]) -> Later:
    topic = body.text(negative_is_empty=True)
    try:
        topic.encode()
    except UnicodeEncodeError:
        raise Crashed("a Produce topic that is not UTF-8") from None
    partition = body.int32()
    value = body.data(body.count())
    offset = state.begin_produce(topic, writer)

    def finish() -> bytes:
        try:
            state.finish_produce(topic, offset, value, writer)
        except Refused as error:
            return framed(_error(_PREFIXES[0] + str(error)))
        return framed(_INT32.pack(partition) + _INT64.pack(offset))

    return finish


def _fetch(body: _Body, state: State) -> bytes:
    topic, partition, offset = body.text(), body.int32(), body.int64()
    value = state.fetch(topic, partition, offset)
    return _INT32.pack(len(value)) + value


def _metadata(body: _Body, state: State) -> bytes:
    asked = [body.text() for _ in range(body.count())]
    node = _string(state.options.node)
    names = asked or state.ordered(state.topics)
    reply = [_INT32.pack(1), node, _string(state.options.advertised), _INT32.pack(len(names))]
    for name in names:
        partitions = state.ordered(range(state.topics.get(name, 0)))
        reply += [_string(name), _INT32.pack(len(partitions))]
        reply += [_INT32.pack(partition) + node + _INT32.pack(1) + node for partition in partitions]
    return b"".join(reply)


def _offset_commit(body: _Body, state: State) -> bytes:
    group, topic = body.text(negative_is_empty=True), body.text(negative_is_empty=True)
    partition, offset = body.int32(), body.int64()
    body.text()  # the metadata, which must be there and cannot be read back
    state.commit(group, topic, partition, offset)
    return b"\1"


def _offset_fetch(body: _Body, state: State) -> bytes:
    return _INT64.pack(state.offsets.get((body.text(), body.text(), body.int32()), -1))


def _find_coordinator(body: _Body, state: State) -> bytes:
    body.text()
    host, _, port = state.options.advertised.rpartition(":")
    return struct.pack(">ihhi", 0, 0, 0, 1) + _string(host) + _INT32.pack(int(port))


def _join_group(body: _Body, state: State) -> bytes:
    group_id, member, client, host = body.text(), body.text(), body.text(), body.text()
    session_ms = body.int32()
    topics = [body.text() for _ in range(body.count())]
    group = state.groups.join(group_id, member, client, host, session_ms, topics)
    return _string(group.id) + _INT32.pack(group.generation) + _string(member) + _string(group.leader)


def _heartbeat(body: _Body, state: State) -> bytes:
    state.groups.heartbeat(body.text(), body.text(), body.int32())
    return b"\1"


def _leave_group(body: _Body, state: State) -> bytes:
    state.groups.leave(body.text(), body.text())
    return b"\1"


def _sync_group(body: _Body, state: State) -> bytes:
    partitions, generation = state.groups.sync(body.text(), body.text(), body.int32())
    return _int32s(partitions) + _INT32.pack(generation)


def _describe_groups(body: _Body, state: State) -> bytes:
    asked = [body.text() for _ in range(body.count())]
    reply = [_INT32.pack(0), _INT32.pack(len(asked))]
    for group_id in asked:
        group = state.groups.by_id.get(group_id)
        if group is None:
            reply += [_INT16.pack(_UNKNOWN_GROUP), _string(group_id), _string("") * 3, _INT32.pack(0)]
            continue
        reply += [_INT16.pack(0), _string(group_id), _string(group.state), _string("consumer"), _string("sticky")]
        reply.append(_INT32.pack(len(group.members)))
        for member in state.ordered(sorted(group.members.values(), key=lambda member: member.id)):
            topics = _INT32.pack(len(member.topics)) + b"".join(map(_string, member.topics))
            share = _int32s(group.assignments.get(member.id, []))
            reply += [_string(member.id), _string(member.client_id), _string(member.host)]
            reply += [_INT32.pack(len(topics)), topics, _INT32.pack(len(share)), share]
    return b"".join(reply)


def _list_groups(body: _Body, state: State) -> bytes:
    groups = state.ordered(state.groups.by_id)
    return struct.pack(">ihi", 0, 0, len(groups)) + b"".join(_string(g) + _string("consumer") for g in groups)


_HANDLERS: dict[int, Callable[..., Any]] = {
    0: _produce,
    1: _fetch,
    3: _metadata,
    8: _offset_commit,
    9: _offset_fetch,
    10: _find_coordinator,
    11: _join_group,
    12: _heartbeat,
    13: _leave_group,
    14: _sync_group,
    15: _describe_groups,
    16: _list_groups,
}
_PREFIXES = {
    0: "failed to produce message: ",
    1: "failed to fetch message: ",
    8: "failed to commit offset: ",
    12: "heartbeat failed: ",
    13: "failed to leave group: ",
    14: "sync group failed: ",
}


def refusal(frame: bytes, text: str, *, old_framing: bool) -> bytes:
    """The reply frame that refuses a binary request with this text, its API's prefix put in front."""
    key, correlation = _Body(frame).header()
    return _framed(correlation, _error(_PREFIXES.get(key, "") + text), old_framing)


def _framed(correlation: int, body: bytes, old_framing: bool) -> bytes:
    if old_framing:
        return _INT32.pack(correlation) + body
    return struct.pack(">Ii", 4 + len(body), correlation) + body


def _error(text: str) -> bytes:
    return b"\0" + _string(text)


def _string(text: str) -> bytes:
    data = text.encode(errors="surrogateescape")
    return _INT16.pack(len(data)) + data


def _int32s(numbers: list[int]) -> bytes:
    return struct.pack(f">i{len(numbers)}i", len(numbers), *numbers)
