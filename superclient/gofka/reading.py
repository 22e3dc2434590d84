"""One partition as a consumer reads it: where it is, what is fetched, what may be committed."""

import asyncio
from collections import deque
from collections.abc import Callable

from superclient.gofka.connection import Connection
from superclient.gofka.envelope import Duplicates, decode
from superclient.gofka.errors import ConsumeError
from superclient.gofka.message import Message, StoredAt
from superclient.gofka.wire import BrokerError, Fetch, Kind

_DEPTH = 16  # requests under way while records come; one while there are none
_EMPTY = (0.01, 0.1)  # seconds between two looks at the end of a log, at first and at most


class Reading:
    """Fetches one partition ahead of its reader; a message of the broker's is a record, or a batch of them.

    Attributes:
        place: topic and partition.
        records: those that wait to be handed out, in order.
        done: the offset below which everything is done with.
        committed: the one that the group has; None: none.
        duplicates: records left out, since their producer had sent them twice.
        failure: why the broker cannot read on here.
    """

    def __init__(self, place: tuple[str, int], offset: int, committed: int | None, arrived: Callable[[], None]) -> None:
        self.place = place
        self.records: deque[Message] = deque()
        self.done = offset
        self.committed = committed
        self.duplicates = 0
        self.failure: ConsumeError | None = None
        self._next = offset
        self._arrived = arrived
        self._seen = Duplicates()
        self._room = asyncio.Event()

    async def follow(self, connection: Connection, most: int) -> None:
        """Fetch for ever, while fewer than `most` records wait; return where the broker cannot read on (`failure`).

        Raises what `Connection.request` raises, after which it goes on with another connection.
        """
        depth, pause = 1, _EMPTY[0]
        while self.failure is None:
            while len(self.records) >= most:
                self._room.clear()
                await self._room.wait()
            if await self._fetched(connection, depth):
                depth, pause = _DEPTH, _EMPTY[0]
            else:
                await asyncio.sleep(pause)
                depth, pause = 1, min(pause * 2, _EMPTY[1])

    def take(self) -> Message:
        """Hand out the next record."""
        self._room.set()
        return self.records.popleft()

    async def _fetched(self, connection: Connection, depth: int) -> int:
        """Fetch the next messages; how many there were before the end."""
        topic, partition = self.place
        asked = [connection.submit(Fetch(topic, partition, self._next + each)) for each in range(depth)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for found, answer in enumerate(answers):
            if isinstance(answer, BrokerError):
                if answer.kind is not Kind.PAST_END:
                    self.failure = ConsumeError(f"{topic}-{partition} cannot be read at {self._next}: {answer}")
                    self._arrived()
                return found
            if isinstance(answer, BaseException):
                raise answer
            self._read(answer)
        return depth

    def _read(self, message: bytes) -> None:
        topic, partition = self.place
        offset = self._next
        decoded = decode(message)
        self._next += 1
        if self._seen.seen(decoded):
            self.duplicates += len(decoded)
            return
        for index, each in enumerate(decoded):
            at = StoredAt(offset, index, len(decoded), partition)
            self.records.append(Message(topic, each.partition, at, each.key, each.value, each.headers, each.timestamp))
        self._arrived()
