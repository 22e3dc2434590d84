"""What may be sent: checked, and made into a record that whoever gave it cannot change any more."""

import time
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from superclient.gofka.envelope import Record

Headers: TypeAlias = "Mapping[str, bytes | str] | Iterable[tuple[str, bytes | str]] | None"
"""As the caller has them; text is sent as UTF-8."""


def record(message: bytes, partition: int | None, key: bytes | None, headers: bytes) -> Record:
    """A record as of now; in partition 0 where none is given. `headers` as `envelope.packed` makes them.

    Raises TypeError for a message or key that is not bytes, ValueError for a number that no partition has.
    """
    if partition is not None and not (isinstance(partition, int) and 0 <= partition < 2**31):
        raise ValueError(f"a partition is a number of 0 and up; it is {partition!r}")
    value = message if type(message) is bytes else _bytes("a message", message)
    return Record(value, time.time(), None if key is None else _bytes("a key", key), headers, partition or 0)


def _bytes(what: str, given: object) -> bytes:
    if isinstance(given, bytes | bytearray | memoryview):
        return bytes(given)  # the caller may go on writing into it
    raise TypeError(f"{what} is bytes (texts: send_string); this is a {type(given).__name__}")
