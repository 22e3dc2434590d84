"""Connections kept for the next one who needs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from types import TracebackType

from superclient.gofka.connection import Connection
from superclient.gofka.errors import ConnectionError  # noqa: A004


class ConnectionPool:
    """At most so many connections, each used by one task at a time and kept for the next.

    Args:
        max_connections: of all brokers together; who comes when all are in use waits, first come, first served.
        max_idle_time: seconds after which an unused connection is closed.
        connection_timeout: seconds for connecting, and for each request.
        client_id: what the broker is told.
        ssl_context: encrypts, where given.
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
        if max_connections < 1:
            raise ValueError(f"max_connections is 1 or more; it is {max_connections!r}")
        self._max_idle = max_idle_time
        self._timeout = connection_timeout
        self._client_id = client_id
        self._ssl = ssl_context
        self._free = asyncio.Semaphore(max_connections)
        self._most = max_connections
        self._idle: list[tuple[tuple[str, int], Connection, asyncio.TimerHandle]] = []  # used last: last
        self._in_use: set[Connection] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    @asynccontextmanager
    async def get_connection(self, host: str, port: int) -> AsyncIterator[Connection]:
        """A connection of one's own for the block. One that is broken, or left in the middle of a request, is closed.

        Raises ConnectionError where none can be made, or the pool is closed.
        """
        async with self._free:
            connection = self._kept((host, port)) or await self._new(host, port)
            self._in_use.add(connection)
            try:
                yield connection
            finally:
                self._in_use.discard(connection)
                if connection.is_open and not connection.under_way and not self._closed:
                    timer = asyncio.get_running_loop().call_later(self._max_idle, self._expire, connection)
                    self._idle.append(((host, port), connection, timer))
                else:
                    await connection.aclose()

    @property
    def idle(self) -> int:
        """How many connections wait to be used."""
        return len(self._idle)

    def _kept(self, address: tuple[str, int]) -> Connection | None:
        """The one that was used last, as it is the healthiest; those that have broken meanwhile are dropped."""
        for kept in reversed(self._idle):
            if kept[0] == address:
                self._idle.remove(kept)
                kept[2].cancel()
                if kept[1].is_open:
                    return kept[1]
                return self._kept(address)
        return None

    async def _new(self, host: str, port: int) -> Connection:
        if self._closed:
            raise ConnectionError("the pool is closed")
        while self._idle and len(self._idle) + len(self._in_use) >= self._most:
            _, oldest, timer = self._idle.pop(0)  # one of another broker makes room
            timer.cancel()
            await oldest.aclose()
        return await Connection.open(host, port, client_id=self._client_id, timeout=self._timeout, ssl=self._ssl)

    def _expire(self, connection: Connection) -> None:
        self._idle = [kept for kept in self._idle if kept[1] is not connection]
        task = asyncio.ensure_future(connection.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Close all that are idle; those in use are closed when they are given back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for _, connection, timer in idle:
            timer.cancel()
            await connection.aclose()
        await asyncio.gather(*self._closing)

    async def __aenter__(self) -> "ConnectionPool":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
