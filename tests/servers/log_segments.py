"""What a broker really wrote: the record batches in the segment files of a topic, read as the broker stores them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

# Record batch, magic 2 (KIP-98): base offset, length of the rest, leader epoch, magic, CRC, attributes, last offset
# delta, first and last timestamp, producer id and epoch, base sequence, number of records.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_BEFORE_LENGTH = 12


@dataclass(frozen=True)
class Batch:
    """One record batch on disk; `size` is all its bytes, the header included, as they came over the wire."""

    partition: int
    base_offset: int
    size: int
    records: int
    codec: str
    producer_id: int
    is_control: bool


@dataclass(frozen=True)
class LogSummary:
    """All batches of one topic."""

    batches: tuple[Batch, ...]

    @property
    def bytes(self) -> int:
        return sum(batch.size for batch in self.batches)

    @property
    def records(self) -> int:
        return sum(batch.records for batch in self.batches if not batch.is_control)

    @property
    def codecs(self) -> set[str]:
        return {batch.codec for batch in self.batches if not batch.is_control}

    @property
    def records_by_partition(self) -> dict[int, int]:
        counts: dict[int, int] = {}
        for batch in self.batches:
            if not batch.is_control:
                counts[batch.partition] = counts.get(batch.partition, 0) + batch.records
        return counts


def read_topic(log_dir: Path, topic: str) -> LogSummary:
    """The batches of `topic`, by partition and offset; a topic that does not exist has none."""
    folder_name = re.compile(re.escape(topic) + r"-(\d+)")
    batches: list[Batch] = []
    for folder in sorted(log_dir.iterdir()):
        match = folder_name.fullmatch(folder.name)
        if match is not None:
            for segment in sorted(folder.glob("*.log")):
                batches += _batches(segment.read_bytes(), int(match[1]))
    return LogSummary(tuple(batches))


def _batches(data: bytes, partition: int) -> Iterator[Batch]:
    position = 0
    while position + _HEADER.size <= len(data):
        base_offset, length, _, magic, _, attributes, _, _, _, producer_id, _, _, records = _HEADER.unpack_from(
            data, position
        )
        size = _BEFORE_LENGTH + length
        if magic != 2 or position + size > len(data):  # the broker is still writing the last batch
            return
        yield Batch(partition, base_offset, size, records, CODECS[attributes & 7], producer_id, bool(attributes & 0x20))
        position += size
