"""gzip, snappy, lz4: how the records of an envelope are compressed. The last two need a package of their own."""

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from superclient.gofka.errors import GofkaError, ProduceError

_GZIP = 31  # zlib's window bits for gzip's own header and checksum


class UnknownCodecError(ProduceError, ValueError):
    """A compression that there is not; the message has those that there are."""


class Codec(NamedTuple):
    """One way to compress.

    Attributes:
        name: as the user writes it.
        number: as the envelope does.
        compress: bytes → bytes.
        decompress: (bytes, their size before compression) → bytes; raises an error of some kind where they are broken,
            or not of that size, and never makes more than that of them.
    """

    name: str
    number: int
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes, int], bytes]


def codec(name: str, error: type[GofkaError] = ProduceError) -> Codec:
    """The codec of this name. Raises UnknownCodecError, or `error` naming the package that is missing."""
    if name not in _CODECS:
        raise UnknownCodecError(f"compression is None, {', '.join(map(repr, _CODECS))}; it is {name!r}")
    number, package, make = _CODECS[name]
    try:
        return Codec(name, number, *make())
    except ImportError:
        raise error(f"{name} compression needs a package that is not installed: pip install {package}") from None


def numbered(number: int, error: type[GofkaError]) -> Codec:
    """The codec of an envelope. Raises ValueError for a number that none has, `error` naming the package it needs."""
    names = {known: name for name, (known, _, _) in _CODECS.items()}
    if number not in names:
        raise ValueError(f"there is no codec {number}")
    return codec(names[number], error)


_Pair = tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]


def _gzip() -> _Pair:
    def compress(data: bytes) -> bytes:
        making = zlib.compressobj(wbits=_GZIP)
        return making.compress(data) + making.flush()

    def decompress(data: bytes, size: int) -> bytes:
        reading = zlib.decompressobj(wbits=_GZIP)
        return _whole(reading.decompress(data, size + 1), size, reading.eof and not reading.unused_data)

    return compress, decompress


def _snappy() -> _Pair:
    snappy = import_module("snappy")

    def decompress(data: bytes, size: int) -> bytes:
        if _announced(data) != size:
            raise ValueError("another size than announced")
        return _whole(snappy.uncompress(data), size, True)

    return lambda data: bytes(snappy.compress(data)), decompress


def _lz4() -> _Pair:
    frame = import_module("lz4.frame")

    def decompress(data: bytes, size: int) -> bytes:
        with frame.LZ4FrameDecompressor() as reading:
            return _whole(reading.decompress(data, size + 1), size, reading.eof and not reading.unused_data)

    return lambda data: bytes(frame.compress(data)), decompress


def _whole(data: bytes, size: int, ended: bool) -> bytes:
    if not ended or len(data) != size:
        raise ValueError("another size than announced")
    return data


def _announced(data: bytes) -> int:
    """The size with which snappy's bytes begin: seven bits a byte, the low ones first."""
    size = 0
    for place, byte in enumerate(data[:5]):
        size |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return size
    return -1


# Name → its number in the envelope, never to be given to another; the package to install; how to get at it.
_CODECS: dict[str, tuple[int, str, Callable[[], _Pair]]] = {
    "gzip": (1, "", _gzip),
    "snappy": (2, "python-snappy", _snappy),
    "lz4": (3, "lz4", _lz4),
}
