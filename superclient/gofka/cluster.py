"""The brokers as one: which leads, what topics there are, where a log ends.

Each broker lists only itself, and keeps offsets and groups for itself: the first of the list that answers is the home
of all that; records are produced on whichever leads.
"""

import asyncio
from collections.abc import Generator, Sequence
from math import inf
from ssl import SSLContext, create_default_context
from typing import TypeVar

from superclient.gofka.connection import Connection
from superclient.gofka.errors import ConnectionError, ConsumeError, MetadataError, RequestTimeoutError  # noqa: A004
from superclient.gofka.failover import RetryPolicy, parsed
from superclient.gofka.wire import BrokerError, Fetch, Kind, Metadata, Request, WireError

T = TypeVar("T")

_BEYOND = 2**62


class Cluster:
    """Connections to the brokers of a list; everything of one client goes through it.

    Args:
        brokers: "host:port" of each.
        client_id: what they are told.
        timeout: seconds for connecting, and for each request.
        use_ssl: encrypt, verifying as `ssl_context` says (by default: the system's authorities, and the name).
        retry_policy: how often the whole list is tried again.

    Raises ValueError for what cannot be meant.
    """

    def __init__(
        self,
        brokers: str | Sequence[str],
        *,
        client_id: str = "superclient",
        timeout: float = 30.0,
        use_ssl: bool = False,
        ssl_context: SSLContext | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        if not (isinstance(timeout, int | float) and 0 < timeout < inf):
            raise ValueError(f"timeout is a number of seconds above 0; it is {timeout!r}")
        if ssl_context is not None and not use_ssl:
            raise ValueError("ssl_context is for use_ssl=True; without, nothing would be encrypted")
        self.brokers = parsed(brokers)
        self.client_id = client_id
        self.timeout = timeout
        self.retry_policy = retry_policy or RetryPolicy()
        self._ssl = (ssl_context or create_default_context()) if use_ssl else None
        self._leader = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._home: Connection | None = None
        self._homes = list(range(len(self.brokers)))  # indexes of the list; those that were of no use last
        self._useful: Connection | None = None  # the kept one, once it has answered
        self._finding = asyncio.Lock()
        self._ends = 0

    async def open(self, broker: int) -> Connection:
        """A new connection to a broker of the list, by its index. Raises ConnectionError."""
        host, port = self.brokers[broker]
        return await Connection.open(host, port, client_id=self.client_id, timeout=self.timeout, ssl=self._ssl)

    async def home(self) -> Connection:
        """The connection for everything but producing: to the first broker that answers; kept while it is open.

        Raises ConnectionError where none answers, after the attempts of the retry policy, or `aclose` comes meanwhile;
        RuntimeError in another event loop, where its replies would never come.
        """
        loop = asyncio.get_running_loop()
        if self._home is not None and self._loop is not loop:
            raise RuntimeError("a client is for one event loop")
        self._loop = loop
        async with self._finding:
            if self._home is None or not self._home.is_open:
                ends = self._ends
                found = await self._first(self._homes)
                if ends != self._ends:
                    await found.aclose()
                    raise ConnectionError("the client was closed")
                self._home = found
            return self._home

    async def open_home(self) -> Connection:
        """A further connection to the broker of `home`. Raises ConnectionError."""
        return await self.open(self._index(await self.home()))

    async def open_leader(self) -> Connection:
        """A new connection to the broker that is believed to lead. Raises ConnectionError."""
        order = [(self._leader + each) % len(self.brokers) for each in range(len(self.brokers))]
        connection = await self._first(order)
        self._leader = self._index(connection)  # those before it do not answer
        return connection

    def not_leader(self, connection: Connection) -> None:
        """It said that it does not lead, or said nothing of use: the next `open_leader` tries the one after it."""
        index = self._index(connection)
        if index == self._leader:
            self._leader = (index + 1) % len(self.brokers)

    def leads(self, connection: Connection) -> None:
        """It has stored something."""
        self._leader = self._index(connection)

    def _index(self, connection: Connection) -> int:
        return self.brokers.index(connection.broker)

    async def _first(self, order: list[int]) -> Connection:
        waits = self.retry_policy.delays()
        while True:
            failures = []
            for index in order:
                try:
                    connection = await self.open(index)
                except ConnectionError as error:
                    failures.append(error)
                    continue
                if connection.is_open:
                    return connection
                failures.append(ConnectionError(f"{connection.address} closes what it has just accepted"))
                await connection.aclose()
            wait = next(waits, None)
            if wait is None:
                raise failures[0] if len(failures) == 1 else ConnectionError("; ".join(map(str, failures)))
            await asyncio.sleep(wait)

    async def request(self, request: Request[T], *, timeout: float | None = None) -> T:
        """The reply of the home broker; raises as `Connection.request` does. Sent once: whoever may repeat it does.

        A broker that is silent, or whose new connection breaks before it has answered, is the last that is tried then.
        """
        home = await self.home()
        try:
            reply = await home.request(request, timeout=timeout)
        except BrokerError:
            self._useful = home
            raise
        except (ConnectionError, WireError) as error:
            if isinstance(error, RequestTimeoutError) or not (home is self._useful or home.is_open):
                index = self._index(home)
                self._homes = [each for each in self._homes if each != index] + [index]
            raise
        self._useful = home
        return reply

    async def ask(self, request: Request[T], *, timeout: float | None = None) -> T:
        """The reply of the home broker, or of the next ones where it is of no use: for what may be asked twice."""
        others = len(self.brokers) - 1
        kept = self._home is not None and self._home is self._useful  # it may break, and its broker be as good as ever
        for _ in range(others + kept):
            await self.home()  # where there is none, that has been tried often enough
            try:
                return await self.request(request, timeout=timeout)
            except RequestTimeoutError:
                if not others:
                    raise
            except (ConnectionError, WireError):
                pass
        return await self.request(request, timeout=timeout)

    async def partitions(self, topic: str) -> list[int]:
        """The numbers of a topic's partitions, in order. Raises MetadataError where there is no such topic."""
        reply = await self.ask(Metadata((topic,)))
        found = sorted(each.id for each in reply.topics[0].partitions) if reply.topics else []
        if not found:
            raise MetadataError(f"there is no topic {topic}")
        return found

    async def end(self, topic: str, partition: int) -> int:
        """The offset after the last record. Only for partitions that `partitions` lists: asking makes folders.

        Raises ConsumeError where the broker cannot read the log.
        """
        search = log_end()
        offset = next(search)
        while True:
            try:
                await self.request(Fetch(topic, partition, offset))
            except BrokerError as error:
                if error.kind is not Kind.PAST_END:
                    raise ConsumeError(f"{topic}-{partition} cannot be read: {error}") from None
                answer: BrokerError | None = error
            else:
                answer = None
            try:
                offset = search.send(answer)
            except StopIteration as found:
                return int(found.value)

    async def aclose(self) -> None:
        """Close the kept connection; a request afterwards makes another one."""
        self._ends += 1
        home, self._home = self._home, None
        if home is not None:
            await home.aclose()


def log_end() -> Generator[int, BrokerError | None, int]:
    """Find the end of a log by fetching: yields offsets, is sent the error of that Fetch or None, returns the end.

    The broker names its end in the error for an offset far beyond. That is wrong on followers, after a fail-over and
    after a restart, so it is verified: the end is the first offset whose Fetch is an error.
    """
    answer = yield _BEYOND
    hint = 0 if answer is None else max(answer.end, 0)
    if (yield hint) is not None:
        if hint == 0 or (yield hint - 1) is None:
            return hint
        low, high = -1, hint - 1  # some fetch works at `low` (-1: none is known), the one at `high` fails
    else:
        low, step = hint, 1
        while (yield low + step) is None:
            low, step = low + step, step * 2
        high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if (yield middle) is None:
            low = middle
        else:
            high = middle
    return high
