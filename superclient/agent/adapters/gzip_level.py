"""A level for the gzip of kafka-python and aiokafka, which have no setting for it and always take the slowest, 9.

Both compress through a module's `gzip_encode(payload, compresslevel=None)`. A producer whose gzip is the agent's own
choice gets the level of its plan; one whose program chose gzip keeps what the library does.

Most batches of a program that waits for its records hold one or two, and there it is not the compressing that costs but
its 256 KiB of tables, made for every batch: 130 us on a cold cache, up to a tenth of an awaited send. So the tables are
as large as the batch can use. The smallest batches need not be compressed at all, where the library sends plain what
gzip makes no shorter: kafka-python does, aiokafka's C code sends whatever it gets, as gzip (docs/defaults.md).
"""

import functools
import struct
import zlib
from collections.abc import Callable
from typing import Any

LEVELS = {"gzip": (1, 9)}
SMALL = 512  # bytes of records; gzip would save less than the batch's own header and the request's take
_MARK = "_superclient_level"
_HEADER = b"\x1f\x8b\x08" + bytes(6) + b"\xff"  # deflate, no flags, no time, an unknown system


def patch(module: Any, level_now: Callable[[], int | None], plain_below: int = 0) -> bool:
    """Let the module's gzip take the level that `level_now()` gives, None: the library's own. False if it has none.

    Payloads of less than `plain_below` bytes are not compressed: for libraries that then send them plain.
    """
    encode = vars(module).get("gzip_encode")
    if encode is None:
        return False
    if not hasattr(encode, _MARK):

        @functools.wraps(encode)
        def gzip_encode(payload: Any, compresslevel: int | None = None) -> Any:
            level = None if compresslevel else level_now()
            return encode(payload, compresslevel) if level is None else compressed(payload, level, plain_below)

        setattr(gzip_encode, _MARK, True)
        module.gzip_encode = gzip_encode
    return True


def compressed(payload: Any, level: int, plain_below: int = 0) -> bytes:
    """The payload as gzip, as short as full tables make it; a small one stored in gzip, so longer than it was."""
    size = len(payload)
    if size < plain_below:
        return stored(payload)
    bits = max(size, 256).bit_length()
    # A window of twice the size reaches back to the first byte, and half as many symbols as bytes fill no table.
    packer = zlib.compressobj(level, zlib.DEFLATED, 16 + min(15, bits + 1), min(8, bits - 5))
    return packer.compress(payload) + packer.flush()


def stored(payload: Any) -> bytes:
    """Less than 64 KiB as gzip that is not compressed (RFC 1951, 3.2.4; RFC 1952): costs nothing, and is valid."""
    size = len(payload)
    block = struct.pack("<BHH", 1, size, size ^ 0xFFFF)
    return b"".join((_HEADER, block, payload, struct.pack("<LL", zlib.crc32(payload), size)))
