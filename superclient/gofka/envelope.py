r"""What the broker does not have, inside its raw messages: key, headers, timestamp, partition, batches, compression.

One message of the broker holds one envelope, one envelope a record or a batch. Numbers are big-endian:

    magic 8 (ff "GOFKA" 01 0a) · CRC-32 of the rest u32 · codec u8 · columns u8 · producer id u64 · sequence u64 ·
    number of records u32 · size of the records before compression u32 · records, compressed by the codec

    records = timestamps i64 (ms since 1970) × n · value lengths u32 × n · [key lengths i32 × n, −1: no key] ·
              [header lengths u32 × n] · [partitions i32 × n] · values · keys · headers
    headers of a record = (name length u32 · name UTF-8 · value length u32 · value) ×

Columns in [] are there if `columns` says so (1, 2, 4); column by column because that is quicker than record by record,
and compresses better. ff begins no UTF-8 text, protobuf or gzip; the newline shows what treats the bytes as text.
A message without magic and CRC is a raw value, of this client's or of another's, and never an error.

The sequence is the number of the first record among all of its producer. A producer that does not know whether a
message was stored sends the same bytes again, so that (producer id, sequence) tells a copy: see `Duplicates`.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

from superclient.gofka.codecs import Codec, numbered
from superclient.gofka.errors import ConsumeError

MAGIC = b"\xffGOFKA\x01\n"
MAX_RECORDS = 100 * 2**20
"""The largest size of the records of one envelope before compression, in bytes; whatever claims more is raw."""
MOST = 100_000
"""The largest number of records of one envelope."""
FIXED = 12
"""Bytes that each record takes in an envelope besides its own."""

Headers = Sequence[tuple[str, bytes]]
_HEAD = struct.Struct(">8sIBBQQII")
_COVERED = 12  # the CRC is of everything from here on
_KEYS, _HEADERS, _PARTITIONS = 1, 2, 4
_WORD = struct.Struct(">I")


@dataclass(slots=True, eq=False)
class Record:
    """One record on its way; `timestamp` in seconds since 1970, `headers` as `packed` makes them, in bytes."""

    value: bytes
    timestamp: float
    key: bytes | None = None
    headers: bytes = b""
    partition: int = 0


class Decoded(NamedTuple):
    """One record as it was sent. A raw value has no timestamp, and neither `producer_id` nor `sequence`.

    Attributes:
        timestamp: seconds since 1970, to the millisecond.
        partition: the one that was chosen for it.
        sequence: of the record itself: that of its envelope plus its place there.
    """

    key: bytes | None
    value: bytes
    headers: Headers
    timestamp: float | None
    partition: int
    producer_id: int | None
    sequence: int | None


def encode(records: Sequence[Record], *, codec: Codec | None, producer_id: int, sequence: int) -> bytes:
    """One message of the broker's for these records, at least one.

    A single one that has neither key, headers nor a partition above 0, and is not to be compressed, is its raw value,
    for every client to read; but for one that looks like an envelope.
    """
    first = records[0]
    bare = first.key is None and not first.headers and not first.partition and not first.value.startswith(MAGIC)
    if bare and codec is None and len(records) == 1:
        return first.value
    columns, data = _columns(records)
    size, number = len(data), 0
    if codec is not None:
        number, data = _smaller(codec, data)
    head = _HEAD.pack(MAGIC, 0, number, columns, producer_id, sequence, len(records), size)[_COVERED:]
    crc = zlib.crc32(data, zlib.crc32(head))
    return b"".join((MAGIC, _WORD.pack(crc), head, data))


def is_enveloped(message: bytes) -> bool:
    """Whether `encode` has made an envelope, so that a copy of the message can be told."""
    return message.startswith(MAGIC)


def decode(message: bytes) -> list[Decoded]:
    """The records of one message of the broker's, at least one; a message that is no envelope is a raw value.

    Raises ConsumeError where the package for its compression is not installed.
    """
    try:
        return _opened(message)
    except (struct.error, ValueError):  # nothing but what `encode` has made passes its CRC, other than on purpose
        return [Decoded(None, message, (), None, 0, None, None)]


def packed(headers: Mapping[str, bytes | str] | Iterable[tuple[str, bytes | str]] | None) -> bytes:
    """Headers, pairs of a name and bytes (text is UTF-8), as an envelope has them. Raises TypeError for others."""
    if not headers:
        return b""
    parts: list[bytes] = []
    for pair in headers.items() if isinstance(headers, Mapping) else headers:
        if isinstance(pair, str | bytes) or len(pair) != 2:
            raise TypeError(f"a header is a pair of a name and bytes; this is {pair!r}")
        name, value = pair
        value = value.encode() if isinstance(value, str) else value
        if not isinstance(name, str) or not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(
                f"a header is a pair of a name and bytes; the value of {name!r} is a {type(value).__name__}"
            )
        told, value = name.encode(), bytes(value)
        parts += (_WORD.pack(len(told)), told, _WORD.pack(len(value)), value)
    return b"".join(parts)


class Duplicates:
    """Remembers which envelopes of one partition were seen, so that a copy is read once only.

    Not only the highest sequence: a copy may come after its successors. It remembers the last `each` envelopes of the
    last `producers` producers; copies come within the few requests that a producer had under way.
    """

    def __init__(self, producers: int = 1000, each: int = 1000) -> None:
        self._producers, self._each = producers, each
        self._seen: dict[int, dict[int, None]] = {}

    def seen(self, records: Sequence[Decoded]) -> bool:
        """Whether these, all of one message, were given before. Raw ones cannot be told."""
        producer, sequence = records[0].producer_id, records[0].sequence
        if producer is None or sequence is None:
            return False
        mine = self._seen.pop(producer, {})
        self._seen[producer] = mine  # the last one to be forgotten
        if len(self._seen) > self._producers:
            del self._seen[next(iter(self._seen))]
        if sequence in mine:
            return True
        mine[sequence] = None
        if len(mine) > self._each:
            del mine[next(iter(mine))]
        return False


# --- writing ----------------------------------------------------------------------------------------------------------


def _columns(records: Sequence[Record]) -> tuple[int, bytes]:
    """(which columns there are, all of them)."""
    count, flags = len(records), 0
    values = [each.value for each in records]
    heads = [struct.pack(f">{count}q", *[round(each.timestamp * 1000) for each in records])]
    heads.append(struct.pack(f">{count}I", *map(len, values)))
    tails = values
    keys = [each.key for each in records]
    if keys.count(None) != count:
        flags |= _KEYS
        heads.append(struct.pack(f">{count}i", *[-1 if key is None else len(key) for key in keys]))
        tails += [key for key in keys if key]
    headers = [each.headers for each in records]
    if any(headers):
        flags |= _HEADERS
        heads.append(struct.pack(f">{count}I", *map(len, headers)))
        tails += headers
    partitions = [each.partition for each in records]
    if any(partitions):
        flags |= _PARTITIONS
        heads.append(struct.pack(f">{count}i", *partitions))
    return flags, b"".join(heads + tails)


def _smaller(codec: Codec, data: bytes) -> tuple[int, bytes]:
    """(the codec's number, what it makes of the data); (0, the data) where that is no smaller."""
    compressed = codec.compress(data)
    return (codec.number, compressed) if len(compressed) < len(data) else (0, data)


# --- reading ----------------------------------------------------------------------------------------------------------


def _opened(message: bytes) -> list[Decoded]:
    """Raises struct.error or ValueError for what is no envelope."""
    magic, crc, number, columns, producer, sequence, count, size = _HEAD.unpack_from(message)
    if magic != MAGIC or zlib.crc32(memoryview(message)[_COVERED:]) != crc:
        raise ValueError("no envelope, or not as it was written")
    if not 0 < count <= MOST or not count * FIXED <= size <= MAX_RECORDS:
        raise ValueError("more records than there can be")
    data = message[_HEAD.size :]
    if number:
        data = _decompressed(numbered(number, ConsumeError), data, size)
    if len(data) != size:
        raise ValueError("another size than announced")
    return _records(data, count, columns, producer, sequence)


def _decompressed(codec: Codec, data: bytes, size: int) -> bytes:
    try:
        return codec.decompress(data, size)
    except Exception as error:  # each codec has its own errors for what is not its own
        raise ValueError(f"no {codec.name}: {error}") from None


def _records(data: bytes, count: int, columns: int, producer: int, sequence: int) -> list[Decoded]:
    """Raises struct.error or ValueError for what does not add up."""
    reader = _Columns(data, count)
    stamps = reader.numbers("q", 8)
    values = reader.numbers("I", 4)
    keys: Sequence[int] = reader.numbers("i", 4) if columns & _KEYS else ()
    headers: Sequence[int] = reader.numbers("I", 4) if columns & _HEADERS else ()
    partitions: Sequence[int] = reader.numbers("i", 4) if columns & _PARTITIONS else (0,) * count
    found_values = reader.blobs(values)
    found_keys = reader.keys(keys) if keys else (None,) * count
    found_headers: Sequence[Headers] = [_pairs(each) for each in reader.blobs(headers)] if headers else ((),) * count
    if reader.place != len(data) or min(partitions) < 0:
        raise ValueError("the records are of another size, or in no partition")
    told = range(sequence, sequence + count)
    times = [stamp / 1000 for stamp in stamps]
    producers = (producer,) * count
    return list(map(Decoded, found_keys, found_values, found_headers, times, partitions, producers, told))


class _Columns:
    """Reads one column after the other."""

    def __init__(self, data: bytes, count: int) -> None:
        self.place = 0
        self._data = data
        self._count = count

    def numbers(self, kind: str, width: int) -> tuple[int, ...]:
        found = struct.unpack_from(f">{self._count}{kind}", self._data, self.place)
        self.place += width * self._count
        return found

    def blobs(self, lengths: Sequence[int]) -> list[bytes]:
        ends = list(accumulate(lengths, initial=self.place))
        self.place = ends[-1]
        if self.place > len(self._data):
            raise ValueError("more bytes than there are")
        data = self._data
        return [data[start:end] for start, end in pairwise(ends)]

    def keys(self, lengths: Sequence[int]) -> list[bytes | None]:
        found = self.blobs([max(length, 0) for length in lengths])
        return [None if length < 0 else key for length, key in zip(lengths, found, strict=True)]


def _pairs(data: bytes) -> Headers:
    """The headers of one record. Raises struct.error or ValueError for what does not add up."""
    place, parts = 0, []
    while place < len(data):
        (length,) = _WORD.unpack_from(data, place)
        place += 4 + length
        if place > len(data):
            raise ValueError("more bytes than there are")
        parts.append(data[place - length : place])
    if len(parts) % 2:
        raise ValueError("a header without value")
    return tuple((name.decode(), value) for name, value in zip(parts[::2], parts[1::2], strict=True))
