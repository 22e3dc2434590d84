"""Cuts a stream into what stands between delimiters, as it comes: binary safe, memory bounded by the longest piece."""

from collections.abc import Iterator
from typing import Protocol

from superclient.errors import ToolkitError

_READ = 1 << 16  # bytes: what a pipe holds


class BadInput(ToolkitError, ValueError):
    """The input is not what was asked for; the message says where."""


class Readable(Protocol):
    """A binary stream; `read` answers what is there, b"" at the end."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""
        ...


def pieces(stream: Readable, delimiter: bytes, largest: int) -> Iterator[bytes]:
    """What stands between delimiters; the last one may lack its own.

    Raises:
        BadInput: a piece of more than `largest` bytes; the message says which.
    """
    left, number = b"", 0
    while read := stream.read(max(_READ, len(left))):
        *whole, left = (left + read).split(delimiter)
        yield from whole
        number += len(whole)
        if len(left) > largest:
            raise BadInput(f"line {number + 1} is longer than {largest:,} bytes")
    if left:
        yield left
