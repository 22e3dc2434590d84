"""One connection to a broker: requests go out at once, replies come in their order, each within its time."""

import asyncio
import contextlib
import ssl as tls
from collections import deque
from types import TracebackType
from typing import Any, NamedTuple, TypeVar, cast

from superclient.gofka.errors import ConnectionError, RequestTimeoutError, WireError  # noqa: A004  ours are built-in too
from superclient.gofka.wire import BrokerError, Frames, Request, correlations, frame

T = TypeVar("T")


class _Pending(NamedTuple):
    request: Request[Any]
    reply: "asyncio.Future[Any]"
    deadline: float


class Connection(asyncio.Protocol):
    """Made by `open`; `async with` closes it.

    The broker answers in order, so whatever makes one reply unusable makes the connection unusable: a time-out, bytes
    that are no reply, another correlation id. It is closed then, and everything under way fails.
    """

    def __init__(self, address: str, client_id: str, timeout: float) -> None:
        self.address = address
        self._client_id = client_id
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._frames = Frames()
        self._pending: deque[_Pending] = deque()
        self._correlations = correlations()
        self._watch: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = self._loop.create_future()
        self._reason = "it was closed"

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
        address = f"{host}:{port}"
        loop = asyncio.get_running_loop()
        connecting = loop.create_connection(lambda: cls(address, client_id, timeout), host, port, ssl=ssl)
        try:
            _, connection = await asyncio.wait_for(connecting, timeout)
        except asyncio.TimeoutError:
            raise RequestTimeoutError(f"{address} does not answer within {timeout:g} s") from None
        except OSError as error:
            raise ConnectionError(f"cannot connect to {address}: {error}") from None
        return connection

    @property
    def is_open(self) -> bool:
        """Whether requests may be sent over it."""
        return self._transport is not None and not self._transport.is_closing()

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

    def submit(
        self, request: Request[T], *, timeout: float | None = None, reply: "asyncio.Future[T] | None" = None
    ) -> "asyncio.Future[T]":
        """Send it now; the reply comes by the future (`reply`, or a new one), which raises as `request` does."""
        if not self.is_open:
            raise ConnectionError(f"the connection to {self.address} is closed: {self._reason}")
        correlation = next(self._correlations)
        data = frame(request, correlation, self._client_id)
        self._frames.expect(None if request.api is None else correlation)
        if reply is None:
            reply = self._loop.create_future()
        seconds = self._timeout if timeout is None else timeout
        self._pending.append(_Pending(request, reply, self._loop.time() + seconds))
        if self._watch is None or self._watch.when() > self._pending[-1].deadline:
            self._look_at(self._pending[-1].deadline)
        cast(asyncio.Transport, self._transport).write(data)
        return reply

    async def aclose(self) -> None:
        """Close it; what is under way fails with ConnectionError."""
        self._fail(ConnectionError(f"the connection to {self.address} was closed here"))
        with contextlib.suppress(asyncio.CancelledError):
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
        self._watch = self._loop.call_at(moment, self._late)

    def _late(self) -> None:
        """The earliest deadline has come, of a request that may have been answered since."""
        self._watch = None
        if not self._pending:
            return
        first = min(self._pending, key=lambda each: each.deadline)
        if first.deadline > self._loop.time():
            self._look_at(first.deadline)
            return
        name = type(first.request).__name__
        error = RequestTimeoutError(f"{self.address} has not answered {name} in time")
        if not first.reply.done():
            first.reply.set_exception(error)
        self._fail(ConnectionError(f"closed, since {error}"))

    # --- what the transport says -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for _, body in self._frames.feed(data):
                self._answer(self._pending.popleft(), body)
            if self._frames.fault is not None:
                raise WireError(self._frames.fault)
        except WireError as error:
            self._fail(ConnectionError(f"{self.address}: {error}"))

    def _answer(self, pending: _Pending, body: bytes) -> None:
        try:
            value = pending.request.reply(body)
        except BrokerError as error:
            if not pending.reply.done():
                pending.reply.set_exception(error)
        except WireError as error:
            if not pending.reply.done():
                pending.reply.set_exception(error)
            raise
        else:
            if not pending.reply.done():
                pending.reply.set_result(value)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        why = f" ({error})" if error else ""
        self._fail(ConnectionError(f"{self.address} closed the connection{why}"))
        self._closed.set_result(None)

    def _fail(self, error: ConnectionError) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._reason = str(error)
            self._transport.abort()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._writable.set()
        pending, self._pending = self._pending, deque()
        for each in pending:
            if not each.reply.done():
                each.reply.set_exception(error)
                each.reply.exception()  # whoever waits raises it; a reply that nobody waits for is no news
