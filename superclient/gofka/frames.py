"""Where a request ends and a reply begins: frames, their sizes and their correlation ids."""

import struct
from collections import deque
from collections.abc import Iterator
from typing import Protocol, TypeVar

from superclient.gofka.errors import WireError
from superclient.gofka.layout import utf8

MAX_FRAME = 100 * 2**20
"""The largest frame in bytes, without the four of its size."""
FIRST_CORRELATION = 0x4000_0000
"""The lowest correlation id: no size is as large, so that a reply without one, of an old broker, gives itself away."""
APIS = frozenset((0, 1, 3, *range(8, 17)))
"""The keys that the broker knows; it closes the connection over any other."""

_LAST_CORRELATION = 0x7FFF_FFFF
_WORD = struct.Struct(">I")
_REQUEST = struct.Struct(">IhhIh")  # size, API, version, correlation id, length of the client's name that follows
_Reply_co = TypeVar("_Reply_co", covariant=True)


class Request(Protocol[_Reply_co]):
    """What can be asked of the broker, and what comes of it."""

    @property
    def api(self) -> int | None:
        """Its key; None for a request in protobuf, whose frames have no header."""

    def body(self) -> bytes:
        """What follows the header; WireError for what cannot be told."""

    def reply(self, body: bytes) -> _Reply_co:
        """What a reply's body says; BrokerError where that is an error, WireError where it is no reply to this."""


def frame(request: Request[object], correlation: int, client_id: str) -> bytes:
    """The whole frame, its size first, to be written in one go.

    Raises WireError, and so keeps from the broker, what it would close the connection over or end at: strings over
    32,767 bytes or without UTF-8, numbers out of their range, frames over 100 MiB, APIs that it does not have.
    """
    api = request.api
    if api is None:
        body = request.body()
        return b"".join((_WORD.pack(_sized(len(body))), body))
    if api not in APIS:
        raise WireError(f"the broker has no API {api}")
    if not FIRST_CORRELATION <= correlation <= _LAST_CORRELATION:
        raise WireError(f"correlation id {correlation} is not in {FIRST_CORRELATION}…{_LAST_CORRELATION}")
    client = utf8("client_id", client_id)
    body = request.body()
    size = _sized(_REQUEST.size - 4 + len(client) + len(body))
    return b"".join((_REQUEST.pack(size, api, 0, correlation, len(client)), client, body))


def _sized(size: int) -> int:
    if not 0 < size <= MAX_FRAME:
        raise WireError(f"a request of {size} bytes; the broker takes 1 to {MAX_FRAME}")
    return size


def correlations() -> Iterator[int]:
    """Ids for the requests of one connection, for ever: from FIRST_CORRELATION up, and again from there."""
    while True:
        yield from range(FIRST_CORRELATION, _LAST_CORRELATION + 1)


class Frames:
    """Cuts what one connection receives into the replies that are due, in whatever pieces it comes.

    It holds at most the frame that is not complete yet, and no byte of it before it came.

    Attributes:
        fault: why the stream cannot be read on; None while it can. A `feed` that completed good replies before the
            fault returns them, and the fault is here: look at it after each. A further `feed` raises it.
    """

    fault: str | None

    def __init__(self) -> None:
        self.fault = None
        self._due: deque[int | None] = deque()
        self._buffer = bytearray()

    def expect(self, correlation: int | None) -> None:
        """The reply after all that are due is one with this id; None: one in protobuf, which has none."""
        self._due.append(correlation)

    def feed(self, data: bytes) -> list[tuple[int | None, bytes]]:
        """The replies that are complete now, in order: (correlation id or None, body).

        Raises WireError where there is none before a fault: another id than the one due, a size that cannot be, bytes
        that nobody asked for, or the framing of old brokers, which says so. Drop the connection then.
        """
        if self.fault is not None:
            raise WireError(self.fault)
        kept = self._buffer
        if kept:
            kept += data
        stream = kept or data  # most replies come whole, and never see the buffer
        replies: list[tuple[int | None, bytes]] = []
        start = 0
        try:
            while start < len(stream) and (end := self._end_of_frame(stream, start)):
                correlation = self._due.popleft()
                replies.append((correlation, _copy(stream, start + (4 if correlation is None else 8), end)))
                start = end
        except WireError as error:
            self.fault = str(error)
            if not replies:
                raise
        finally:
            if stream is kept:
                del kept[:start]
            elif start < len(data):
                kept += data[start:]
        return replies

    def _end_of_frame(self, stream: bytes | bytearray, start: int) -> int:
        """Where the frame ends that starts there; 0 while it is not complete. What is wrong shows with its header."""
        available = len(stream) - start
        if not self._due:
            raise WireError("the broker sent a reply that nobody asked for")
        if available < 4:
            return 0
        due = self._due[0]
        size: int = _WORD.unpack_from(stream, start)[0]
        if size == due:
            raise WireError("the broker speaks the framing of before 2026, which cannot be read safely")
        if not (0 if due is None else 4) <= size <= MAX_FRAME:
            raise WireError(f"the broker announced a reply of {size} bytes; {MAX_FRAME} is the limit")
        if due is not None and available >= 8:
            correlation: int = _WORD.unpack_from(stream, start + 4)[0]
            if correlation != due:
                raise WireError(f"the broker answered request {correlation:#x} instead of {due:#x}")
        return start + 4 + size if available >= 4 + size else 0


def _copy(stream: bytes | bytearray, start: int, end: int) -> bytes:
    if isinstance(stream, bytes):
        return stream[start:end]
    with memoryview(stream) as whole, whole[start:end] as part:
        return bytes(part)
