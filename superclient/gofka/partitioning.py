"""Which partition a record is for. The broker has none in truth: the number shows in the envelope and the echo."""

import struct
from collections.abc import Callable

Partitioner = Callable[[str, bytes | None, int], int]
"""(topic, key, number of partitions) → partition, from 0."""

_SEED, _FACTOR, _WORD = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF
_words = struct.Struct("<I").iter_unpack


def by_key(topic: str, key: bytes | None, partitions: int) -> int:
    """The partition that Kafka's Java client chooses for this key; 0 without one.

    A record without key stays in partition 0 since that is where the broker puts everything: spread over others it
    would need an envelope, and be of no use to readers that do not know it.
    """
    return 0 if key is None else murmur2(key) % partitions


def murmur2(key: bytes) -> int:
    """The hash of Kafka's Java client (MurmurHash 2 by A. Appleby, 32 bits, little-endian), without its sign."""
    whole = len(key) & ~3
    mixed = _SEED ^ len(key)
    for (word,) in _words(key[:whole]):
        part = word * _FACTOR & _WORD
        mixed = (mixed * _FACTOR & _WORD) ^ ((part ^ part >> 24) * _FACTOR & _WORD)
    if whole < len(key):
        mixed = (mixed ^ int.from_bytes(key[whole:], "little")) * _FACTOR & _WORD
    mixed = (mixed ^ mixed >> 13) * _FACTOR & _WORD
    return (mixed ^ mixed >> 15) & 0x7FFFFFFF
