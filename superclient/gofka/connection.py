"""One connection to a broker: requests go out at once, replies come in their order, each within its time."""

import asyncio
import ssl as tls
from collections import deque
from math import inf
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from superclient.gofka.errors import ConnectionError, RequestTimeoutError, WireError  # noqa: A004  ours are built-in too
from superclient.gofka.wire import BrokerError, Frames, Request, correlations, frame

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Waiter(Protocol[T_contra]):
    """Who is told a reply, or why there is none, as soon as it is here; a future is one. Must not raise."""

    def done(self) -> bool:
        """Whether it wants to hear no more."""

    def set_result(self, reply: T_contra, /) -> object: ...

    def set_exception(self, error: Exception, /) -> object: ...


class _Pending(NamedTuple):
    request: Request[Any]
    waiter: Waiter[Any]
    deadline: float


class Connection(asyncio.Protocol):
    """Made by `open`; `async with` closes it.

    The broker answers in order, so whatever makes one reply unusable makes the connection unusable: a time-out, bytes
    that are no reply, another correlation id. It is closed then, and everything under way fails.

    Attributes:
        broker: (host, port) as they were given. address: the same as a text.
    """

    def __init__(self, host: str, port: int, client_id: str, timeout: float) -> None:
        self.broker = host, port
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._client_id = client_id
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._pending: deque[_Pending] = deque()
        self._correlations = correlations()
        self._watch: asyncio.TimerHandle | None = None
        self._watched = inf  # when that looks for what is late
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = self._loop.create_future()
        self._reason: str | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        client_id: str = "superclient",
        timeout: float = 30.0,
        ssl: "tls.SSLContext | None" = None,
    ) -> "Connection":
        """Connect.

        Args:
            timeout: seconds for connecting, and for each request that does not say otherwise.
            ssl: encrypts, and verifies the broker as the context says.

        Raises ConnectionError where that does not work, in time.
        """
        connection = cls(host, port, client_id, timeout)
        loop = connection._loop
        connecting = loop.create_task(loop.create_connection(lambda: connection, host, port, ssl=ssl))
        try:  # not by wait_for, which before Python 3.12 may swallow a cancellation
            await asyncio.wait([connecting], timeout=timeout)
            if not connecting.done():
                raise RequestTimeoutError(f"{connection.address} does not answer within {timeout:g} s")
            connecting.result()
        except BaseException as error:
            connection.abort()
            connecting.cancel()
            connecting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            if isinstance(error, ConnectionError) or not isinstance(error, OSError | ValueError):
                raise
            raise ConnectionError(f"cannot connect to {connection.address}: {error}") from None  # ValueError: the host
        return connection

    @property
    def is_open(self) -> bool:
        """Whether requests may be sent over it."""
        return self._reason is None and self._transport is not None and not self._transport.is_closing()

    @property
    def under_way(self) -> int:
        """How many requests wait for their reply."""
        return len(self._pending)

    async def request(self, request: Request[T], *, timeout: float | None = None) -> T:
        """Send a request of `superclient.gofka.wire` and return its reply.

        Raises BrokerError (the broker's own error: the connection goes on), WireError where the request cannot be told
        or the reply is none, RequestTimeoutError, or ConnectionError; after the last three it is closed, but for a
        request that was never sent. A cancelled request is answered all the same; that reply is thrown away.
        """
        await self._writable.wait()
        return await self.submit(request, timeout=timeout)

    def submit(self, request: Request[T], *, timeout: float | None = None) -> "asyncio.Future[T]":
        """Send it now; the reply comes by the future, which raises as `request` does."""
        reply: asyncio.Future[T] = self._loop.create_future()
        self.send(request, reply, timeout)
        return reply

    def send(self, request: Request[T], waiter: Waiter[T], timeout: float | None = None) -> None:
        """Send it now, and tell the waiter its reply, or the error that `request` raises.

        Raises WireError or ConnectionError for what was not sent: the waiter hears nothing then.
        """
        transport = self._transport
        if self._reason is not None or transport is None or transport.is_closing():
            raise ConnectionError(self._reason or f"{self.address} closes the connection")
        correlation = next(self._correlations)
        transport.write(frame(request, correlation, self._client_id))  # what is done after it costs no time
        self._frames.expect(None if request.api is None else correlation)
        deadline = self._loop.time() + (self._timeout if timeout is None else timeout)
        self._pending.append(_Pending(request, waiter, deadline))
        if deadline < self._watched:
            self._look_at(deadline)

    def abort(self) -> None:
        """Close it, without waiting for the socket's end; what is under way fails with ConnectionError."""
        self._fail(f"the connection to {self.address} was closed here")

    async def aclose(self) -> None:
        """Close it, and wait until its socket is closed; what is under way fails with ConnectionError."""
        self.abort()
        if self._transport is not None:
            await asyncio.shield(self._closed)

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- time ------------------------------------------------------------------------------------------------------

    def _look_at(self, moment: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch, self._watched = self._loop.call_at(moment, self._late), moment

    def _late(self) -> None:
        """The earliest deadline has come, of a request that may have been answered since."""
        self._watch, self._watched = None, inf
        if not self._pending:
            return
        first = min(self._pending, key=lambda each: each.deadline)
        if first.deadline > self._loop.time():
            self._look_at(first.deadline)
            return
        error = RequestTimeoutError(f"{self.address} has not answered {type(first.request).__name__} in time")
        self._pending.remove(first)
        self._fail(f"closed, since {error}")
        _refuse(first.waiter, error)

    # --- what the transport says -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._reason is not None:  # nobody waits for it any more
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            for _, body in self._frames.feed(data):
                if self._pending:  # whoever got a reply may have closed the connection over it
                    self._answer(self._pending.popleft(), body)
            if self._frames.fault is not None:
                raise WireError(self._frames.fault)
        except (WireError, MemoryError) as error:
            self._fail(f"{self.address}: {error}")

    def _answer(self, pending: _Pending, body: bytes) -> None:
        try:
            value = pending.request.reply(body)
        except Exception as error:
            _refuse(pending.waiter, error)
            if not isinstance(error, BrokerError):
                raise
        else:
            if not pending.waiter.done():
                pending.waiter.set_result(value)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"{self.address} closed the connection" + (f" ({error})" if error else ""))
        if not self._closed.done():
            self._closed.set_result(None)

    def _fail(self, reason: str) -> None:
        """Close it; each request under way fails with an error of its own, since raising one changes it."""
        if self._reason is None:
            self._reason = reason
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._writable.set()
        pending, self._pending = self._pending, deque()
        for each in pending:
            _refuse(each.waiter, ConnectionError(reason))


def _refuse(waiter: Waiter[Any], error: Exception) -> None:
    if not waiter.done():
        waiter.set_exception(error)
        if isinstance(waiter, asyncio.Future):
            waiter.exception()  # whoever waits raises it; a reply that nobody waits for is no news
