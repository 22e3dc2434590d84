"""CreateTopic, which the broker takes in protobuf alone: the two messages of it, by hand.

gofka.v1.Request  { 4: CreateTopic { 1: string name, 2: int32 partitions } }
gofka.v1.Response { 4: CreateTopic { 1: bool success, 2: string message } }
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from superclient.gofka.errors import WireError
from superclient.gofka.faults import BrokerError
from superclient.gofka.layout import utf8

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_CREATE_TOPIC = 4


@dataclass(slots=True)
class CreateTopic:
    """Makes a topic with `partitions` partitions (0 becomes 1).

    The broker knows no "already exists": of a topic that is there it silently replaces the count. Ask Metadata first.
    """

    name: str
    partitions: int
    api: ClassVar[None] = None

    def body(self) -> bytes:
        """The message; WireError for a name or a count that the broker must not get."""
        name = utf8("name", self.name)
        if not isinstance(self.partitions, int) or not 0 <= self.partitions < 2**31:
            raise WireError(f"partitions: {self.partitions!r} is not a count of 32 bits")
        inner = _tag(1, _LENGTH) + _varint(len(name)) + name + _tag(2, _VARINT) + _varint(self.partitions)
        return _tag(_CREATE_TOPIC, _LENGTH) + _varint(len(inner)) + inner

    def reply(self, body: bytes) -> None:
        """None where it was made; BrokerError where not; WireError for anything that does not say so."""
        answer = dict(_fields(body)).get(_CREATE_TOPIC)
        if not isinstance(answer, bytes):
            raise WireError("a reply that does not answer a CreateTopic")
        fields = dict(_fields(answer))
        if fields.get(1, 0) == 0:
            text = fields.get(2, b"")
            raise BrokerError(text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else "")


def _tag(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field's number and value, unknown ones too; a varint is an int, all others are bytes."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _read_varint(message, at)
            yield number, value
            continue
        if kind == _LENGTH:
            size, at = _read_varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise WireError("a reply that is not protobuf")
        if size > len(message) - at:
            raise WireError("a protobuf reply that ends too early")
        yield number, message[at : at + size]
        at += size


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at == len(message):
            raise WireError("a protobuf reply that ends too early")
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise WireError("a reply that is not protobuf: a number of more than ten bytes")
