"""The broker's numbers, strings and lists as bytes, and back: big-endian, signed, each length before what it counts."""

import struct
from collections.abc import Callable
from typing import TypeVar

from superclient.gofka.errors import WireError

MAX_STRING = 32_767
"""The longest string in UTF-8 bytes: a longer one has a negative length, which ends the broker's process."""

_INTEGERS = {"h": struct.Struct(">h"), "i": struct.Struct(">i"), "q": struct.Struct(">q")}
_INT16, _INT32, _INT64 = _INTEGERS.values()
_Item = TypeVar("_Item")


def pack(layout: str, /, **values: object) -> bytes:
    """The values, one after the other; their names are for the errors.

    `layout` has a letter for each: h, i, q an int of 16, 32, 64 bits; s a str; S an iterable of them, counted; b bytes.
    Raises WireError for a value that cannot be told in it: the broker would close the connection, or end.
    """
    parts: list[bytes] = []
    for kind, (name, value) in zip(layout, values.items(), strict=True):
        if kind == "s":
            parts.append(_string(name, value))
        elif kind == "b":
            if not isinstance(value, bytes):
                raise WireError(f"{name}: {type(value).__name__} is not bytes")
            parts += (_integer("i", f"length of {name}", len(value)), value)
        elif kind == "S":
            if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
                raise WireError(f"{name}: {type(value).__name__} is no list of strings")
            strings = [_string(name, item) for item in value]
            parts += (_integer("i", f"count of {name}", len(strings)), *strings)
        else:
            parts.append(_integer(kind, name, value))
    return b"".join(parts)


def _integer(kind: str, name: str, value: object) -> bytes:
    form = _INTEGERS[kind]
    try:
        return form.pack(value)
    except struct.error:
        raise WireError(f"{name}: not an integer of {8 * form.size} bits") from None


def _string(name: str, value: object) -> bytes:
    encoded = utf8(name, value)
    return _INT16.pack(len(encoded)) + encoded


def utf8(name: str, value: object) -> bytes:
    """A string as it travels, without its length; WireError for one that must not."""
    if not isinstance(value, str):
        raise WireError(f"{name}: {type(value).__name__} is not a str")
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise WireError(f"{name}: characters that UTF-8 does not have (lone surrogates)") from None
    if len(encoded) > MAX_STRING:
        raise WireError(f"{name}: {len(encoded)} bytes; a string has at most {MAX_STRING}")
    return encoded


class Reader:
    """Takes a body apart from its front; raises WireError where it is short, long, or counts what it cannot hold."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def int16(self) -> int:
        return self._integer(_INT16)

    def int32(self) -> int:
        return self._integer(_INT32)

    def int64(self) -> int:
        return self._integer(_INT64)

    def string(self) -> str:
        """What is not UTF-8 comes as `\\xff`: a name that somebody else gave must not hide the rest of a reply."""
        return self._take(self.int16()).decode("utf-8", "backslashreplace")

    def blob(self) -> bytes:
        """Bytes after their length of 32 bits."""
        return self._take(self.int32())

    def many(self, item: Callable[["Reader"], _Item], at_least: int) -> tuple[_Item, ...]:
        """As many items as a count of 32 bits says; each has `at_least` bytes, so that a huge count ends here."""
        count = self.int32()
        if not 0 <= count <= (len(self._body) - self._at) // at_least:
            raise WireError(f"a reply that counts {count} where {len(self._body) - self._at} bytes are left")
        return tuple([item(self) for _ in range(count)])

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._body):
            raise WireError(f"a reply with {len(self._body) - self._at} bytes after its end")

    def _integer(self, form: struct.Struct) -> int:
        number: int = form.unpack(self._take(form.size))[0]
        return number

    def _take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        if size < 0 or self._at > len(self._body):
            raise WireError(f"a reply of {len(self._body)} bytes that ends too early, or has a negative length")
        return self._body[start : self._at]
