"""The broker double's other protocol: gofka.v1.Request and Response in protobuf, written and read by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.servers.gofka.errors import Closed, Refused
from tests.servers.gofka.state import State

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def answer(frame: bytes, state: State, writer: Any = None) -> bytes:
    """The Response to a Request, without its size. Closed: not one, or one that fails in any way."""
    chosen = [(number, value) for number, value in fields(frame) if number in _HANDLERS]
    if not chosen:
        raise Closed("no request that the broker knows")
    number, value = chosen[-1]
    if not isinstance(value, bytes):
        raise Closed("a message was due")
    return _field(number, _HANDLERS[number](_Message(value), state, writer))


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field in order; Closed where it is no protobuf."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise Closed("field number 0")
        value: int | bytes
        if kind == _VARINT:
            value, position = _varint(data, position)
        else:
            if kind == _BYTES:
                size, position = _varint(data, position)
            elif kind in {_FIXED64, _FIXED32}:
                size = 8 if kind == _FIXED64 else 4
            else:
                raise Closed(f"wire type {kind}")
            value, position = data[position : position + size], position + size
            if position > len(data):
                raise Closed("cut field")
        yield number, value


class _Message:
    """The fields of one message, of the types that the handler asks for."""

    def __init__(self, data: bytes) -> None:
        self._fields = list(fields(data))

    def every(self, number: int) -> list[bytes]:
        return [value for n, value in self._fields if n == number and isinstance(value, bytes)]

    def text(self, number: int) -> str:
        try:
            return (self.every(number) or [b""])[-1].decode()
        except UnicodeDecodeError as error:
            raise Closed("a string that is not UTF-8") from error

    def integer(self, number: int) -> int:
        value = ([value for n, value in self._fields if n == number and isinstance(value, int)] or [0])[-1]
        return value - 2**64 if value >= 2**63 else value


def _produce(request: _Message, state: State, writer: Any) -> bytes:
    offset = 0
    for value in request.every(2):
        try:
            offset = state.begin_produce(request.text(1), writer)
            state.finish_produce(request.text(1), offset, value, writer)
        except Refused as error:
            raise Closed(str(error)) from error
    return _number(2, offset)


def _consume(request: _Message, state: State, writer: Any) -> bytes:
    try:
        return _field(1, state.fetch(request.text(1), request.integer(2), request.integer(3)))
    except Refused as error:
        if "out of range" in str(error) or "not found in any segment" in str(error):
            return b""
        raise Closed(str(error)) from error


def _metadata(request: _Message, state: State, writer: Any) -> bytes:
    node = state.options.node.encode()
    reply = _field(1, _field(1, node) + _field(2, state.options.advertised.encode()))
    for name in state.ordered(state.topics):
        topic = _field(1, name.encode()) + _number(2, state.topics[name]) + _number(3, 1)
        for partition in state.ordered(range(state.topics[name])):
            topic += _field(4, _number(2, partition) + _field(3, node) + _field(4, node))
        reply += _field(2, topic)
    return reply


def _create_topic(request: _Message, state: State, writer: Any) -> bytes:
    name = request.text(1)
    try:
        state.create_topic(name, request.integer(2))
    except Refused as error:
        return _field(2, str(error).encode())
    return _number(1, 1) + _field(2, f"Topic {name} created successfully".encode())


_HANDLERS = {1: _produce, 2: _consume, 3: _metadata, 4: _create_topic}


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise Closed("cut varint")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise Closed("varint of more than ten bytes")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, value: bytes) -> bytes:
    return _encoded(number << 3 | _BYTES) + _encoded(len(value)) + value


def _number(number: int, value: int) -> bytes:
    return _encoded(number << 3) + _encoded(value) if value else b""
