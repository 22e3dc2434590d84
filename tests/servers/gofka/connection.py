"""One connection to the broker double: in order, one request at a time, with the faults that were asked for."""

from __future__ import annotations

import asyncio
import itertools
import random
import struct
from collections import deque
from typing import TYPE_CHECKING, cast

from tests.servers.gofka import protocol
from tests.servers.gofka.errors import Closed, Crashed

if TYPE_CHECKING:
    from tests.servers.gofka.broker import Broker, Fault

MAX_FRAME = 100 * 2**20
_SIZE = struct.Struct(">I")
_CHUNK = 64 * 1024
_MOST_PIECES = 8


class Connection(asyncio.Protocol):
    """Reads frames, answers each before it looks at the next, and has the replies' bytes in its own hands."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._in = bytearray()
        self._out: deque[tuple[int, bytes]] = deque()  # (number of the reply, a part of it) that wait for the client
        self._batch: list[bytes] = []  # replies of this round, written in one go
        self._batched = 0
        self._replies = 0
        self._ending = False
        self._finished = False  # the client has said that nothing more comes
        self._blocked = False  # the client does not read
        self._blocked_since = 0.0
        self._half_sent = -1  # the reply of which some has gone out and some has not
        self._partial_since: float | None = None
        self._pump: asyncio.Handle | None = None
        self._held: asyncio.TimerHandle | None = None
        self.open = False

    # --- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.open = True
        self._broker.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """What has arrived is worked through all the same, as by a broker that has not noticed yet."""
        self._transport.close()  # it is already, but before 3.11 the one of TLS does not know
        self.open = False
        self._out.clear()
        self.proceed()
        self._broker.closed(self)

    def data_received(self, data: bytes) -> None:
        self._in += data
        self.proceed()

    def eof_received(self) -> bool:
        """The broker reads that it is the end when it has answered what came before."""
        self._finished = True
        self.proceed()
        return self._transport.get_extra_info("ssl_object") is None  # TLS has no half-closed connections

    def pause_writing(self) -> None:
        self._blocked, self._blocked_since = True, self._broker.state.now()

    def resume_writing(self) -> None:
        self._blocked = False
        self._send_on(now=False)  # not from within a write, which is where some transports call this
        self.proceed_soon()

    @property
    def blocked(self) -> bool:
        """Replies wait because the client does not read."""
        return self._blocked and bool(self._out)

    # --- requests

    def proceed(self) -> None:
        """Answers what can be answered now; called whenever something that held it back has gone."""
        position = 0
        while not self._stuck():
            if len(self._in) - position < 4:
                break
            (size,) = _SIZE.unpack_from(self._in, position)
            if not 0 < size <= MAX_FRAME:
                self._end()
                break
            if len(self._in) - position - 4 < size:
                break
            frame = bytes(self._in[position + 4 : position + 4 + size])
            position += 4 + size
            self._answer(frame)
        del self._in[:position]
        if self._finished and not self._stuck():
            self._end()
        self._flush()
        self._look_at_the_rest()

    def hurry(self) -> None:
        """Called now and then: ends what has taken the broker's 30 s."""
        now, limit = self._broker.state.now(), self._broker.state.options.io_timeout_s
        if self._partial_since is not None and now - self._partial_since > limit:
            self._end()
        if self.blocked and now - self._blocked_since > limit:
            self._truncate()
            self._blocked_since = now
            self.proceed()

    def abort(self) -> None:
        """Gone at once, with all that was under way."""
        self._ending = True
        self._in.clear()
        self._out.clear()
        for handle in (self._held, self._pump):
            if handle is not None:
                handle.cancel()
        self._held = self._pump = None
        self._transport.abort()

    def _stuck(self) -> bool:
        return self._ending or self._held is not None or self._broker.paused or (self._blocked and bool(self._out))

    def _answer(self, frame: bytes) -> None:
        broker = self._broker
        api = protocol.api_of(frame)
        broker.requests[api] += 1
        fault = broker.faults.next(api) if broker.faults else None
        if fault is not None and fault.kind == "unhandled":
            self._end()
            return
        try:
            if fault is not None and fault.kind == "refuse" and not fault.stored:
                reply: protocol.Reply | protocol.Later = protocol.refusal(
                    frame, fault.text, old_framing=broker.state.options.old_framing
                )
            else:
                reply = protocol.answer(frame, broker.state, self)
        except Closed:
            self._end()
            return
        except Crashed as error:
            broker.crash(str(error))
            return
        if isinstance(reply, bytes):
            self._reply(reply, frame, fault)
        elif delay := broker.delay():
            self._held = asyncio.get_running_loop().call_later(delay, self._later, reply, frame, fault)
        else:
            self._reply(reply(), frame, fault)

    def _later(self, finish: protocol.Later, frame: bytes, fault: Fault | None) -> None:
        self._held = None
        self._reply(finish(), frame, fault)
        self.proceed()

    def _reply(self, reply: bytes, frame: bytes, fault: Fault | None) -> None:
        if fault is None:
            self._write(reply)
            return
        old = self._broker.state.options.old_framing
        if fault.kind == "refuse":
            self._write(protocol.refusal(frame, fault.text, old_framing=old))
        elif fault.kind == "wrong correlation":
            place = 3 if old else 7
            self._write(reply[:place] + bytes([reply[place] ^ 1]) + reply[place + 1 :])
        elif fault.kind == "whole":
            self._write(reply)
            self._end()
        elif fault.kind == "half":
            self._write(reply[: len(reply) // 2])
            self._end()
        elif fault.kind == "none":
            self._end()

    def _look_at_the_rest(self) -> None:
        if not self._in or self._ending:
            self._partial_since = None
        elif self._stuck():  # whole requests wait: how many has the client under way?
            self._partial_since = None
            waiting, position = int(self._held is not None), 0
            while len(self._in) - position >= 4:
                position += 4 + _SIZE.unpack_from(self._in, position)[0]
                waiting += position <= len(self._in)
            self._broker.most_in_flight = max(self._broker.most_in_flight, waiting)
        elif self._partial_since is None:
            self._partial_since = self._broker.state.now()

    # --- replies

    def _write(self, reply: bytes) -> None:
        self._replies += 1
        if not self.open:
            return
        pieces = self._broker.state.options.pieces
        if not (self._out or self._blocked or pieces or len(reply) > _CHUNK):
            self._batch.append(reply)
            self._batched += len(reply)
            if self._batched > _CHUNK:
                self._flush()
            return
        self._flush()
        for part in _cut(reply, self._broker.random) if pieces else _chunks(reply):
            self._out.append((self._replies, part))
        self._send_on(now=not pieces)

    def _flush(self) -> None:
        if self._batch:
            self._transport.write(b"".join(self._batch))
            self._batch.clear()
            self._batched = 0
        if self._ending and not self._out:
            self._transport.close()

    def _send_on(self, *, now: bool = True) -> None:
        """Hands parts on while the client takes them; random pieces one in each step of the loop, to travel alone."""
        if self._pump is None and self._out and not self._blocked:
            if now and not self._broker.state.options.pieces:
                self._step()
            else:
                self._pump = asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        self._pump = None
        while self._out and not self._blocked and self.open:
            number, part = self._out.popleft()
            self._half_sent = number
            self._transport.write(part)
            if self._broker.state.options.pieces:
                self._send_on()
                break
        if not self._out:
            self._flush()
            if not self._blocked:
                self.proceed_soon()

    def proceed_soon(self) -> None:
        """Requests may have waited for the replies to go out."""
        if (self._in or self._finished) and not self._ending and self.open:
            asyncio.get_running_loop().call_soon(self.proceed)

    def _truncate(self) -> None:
        """A write that took too long is given up where it is, and the next reply goes on from there."""
        number, part = self._out[0]
        rest = [item for item in self._out if item[0] != number]
        self._out = deque([] if number == self._half_sent else [(number, part[: len(part) // 2])])
        self._half_sent = number
        self._out.extend(rest)

    def _end(self) -> None:
        """No more requests; the replies before this one still go out."""
        self._ending = True
        self._in.clear()
        self._partial_since = None
        self._flush()


def _chunks(reply: bytes) -> list[bytes]:
    return [reply[start : start + _CHUNK] for start in range(0, len(reply), _CHUNK)]


def _cut(reply: bytes, source: random.Random) -> list[bytes]:
    places = sorted(source.randrange(len(reply) + 1) for _ in range(source.randrange(_MOST_PIECES)))
    bounds = [0, *places, len(reply)]
    return [reply[start:end] for start, end in itertools.pairwise(bounds) if end > start]
