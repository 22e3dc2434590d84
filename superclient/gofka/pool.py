"""Connections kept for the next one who needs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from types import TracebackType
from typing import NamedTuple

from superclient.gofka.connection import Connection
from superclient.gofka.errors import ConnectionError, GofkaError  # noqa: A004
from superclient.gofka.wire import FindCoordinator

_ASKED_AFTER = 10.0  # seconds; one that was idle for longer may have been dropped on the way without a word


class _Kept(NamedTuple):
    broker: tuple[str, int]
    connection: Connection
    timer: asyncio.TimerHandle
    since: float


class ConnectionPool:
    """At most so many connections, each used by one task at a time and kept for the next; for one event loop.

    Args:
        max_connections: of all brokers together; who comes when all are in use waits, first come, first served.
        max_idle_time: seconds after which an unused connection is closed.
        connection_timeout: seconds for connecting, and for each request.
        client_id: what the broker is told.
        ssl_context: encrypts, where given.

    Raises ValueError for numbers that cannot be meant.
    """

    def __init__(
        self,
        max_connections: int = 10,
        max_idle_time: float = 300,
        connection_timeout: float = 30,
        *,
        client_id: str = "superclient",
        ssl_context: SSLContext | None = None,
    ) -> None:
        if not max_connections >= 1:
            raise ValueError(f"max_connections is 1 or more; it is {max_connections!r}")
        if not (max_idle_time > 0 and connection_timeout > 0):
            raise ValueError("max_idle_time and connection_timeout are above 0")
        self._max_idle = max_idle_time
        self._timeout = connection_timeout
        self._client_id = client_id
        self._ssl = ssl_context
        self._most = max_connections
        self._places = asyncio.Semaphore(max_connections)
        self._taken = 0  # places: connections in use, and those that are being made
        self._idle: list[_Kept] = []  # used last: last
        self._closed = False

    @asynccontextmanager
    async def get_connection(self, host: str, port: int) -> AsyncIterator[Connection]:
        """A connection of one's own for the block. One that is broken, or left in the middle of a request, is closed.

        Raises ConnectionError where none can be made, or the pool is closed.
        """
        async with self._places:
            self._taken += 1
            try:
                connection = await self._healthy((host, port)) or await self._new(host, port)
                try:
                    yield connection
                finally:
                    await self._give_back(connection)
            finally:
                self._taken -= 1

    @property
    def idle(self) -> int:
        """How many connections wait to be used."""
        return len(self._idle)

    async def _healthy(self, broker: tuple[str, int]) -> Connection | None:
        """A kept one, the last used first. One that has broken is dropped, one that was idle for long is asked."""
        now = asyncio.get_running_loop().time()
        while kept := next((each for each in reversed(self._idle) if each.broker == broker), None):
            self._forget(kept)
            try:
                if now - kept.since > _ASKED_AFTER:
                    await kept.connection.request(FindCoordinator("superclient"))  # changes nothing on the broker
            except GofkaError:
                pass  # it is closed, or of no use
            except BaseException:
                kept.connection.abort()
                raise
            else:
                if kept.connection.is_open:
                    return kept.connection
            await kept.connection.aclose()
        return None

    async def _new(self, host: str, port: int) -> Connection:
        if self._closed:
            raise ConnectionError("the pool is closed")
        while self._idle and len(self._idle) + self._taken > self._most:
            oldest = self._idle[0]  # one of another broker makes room
            self._forget(oldest)
            await oldest.connection.aclose()
        return await Connection.open(host, port, client_id=self._client_id, timeout=self._timeout, ssl=self._ssl)

    async def _give_back(self, connection: Connection) -> None:
        if self._closed or connection.under_way or not connection.is_open:
            await connection.aclose()
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._max_idle, self._expire, connection)
        self._idle.append(_Kept(connection.broker, connection, timer, loop.time()))

    def _forget(self, kept: _Kept) -> None:
        kept.timer.cancel()
        self._idle = [each for each in self._idle if each is not kept]

    def _expire(self, connection: Connection) -> None:
        self._idle = [each for each in self._idle if each.connection is not connection]
        connection.abort()

    async def close(self) -> None:
        """Close all that are idle; those in use are closed when they are given back."""
        self._closed = True
        idle = list(self._idle)
        for each in idle:
            self._forget(each)
            each.connection.abort()
        for each in idle:
            await each.connection.aclose()

    aclose = close

    async def __aenter__(self) -> "ConnectionPool":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
