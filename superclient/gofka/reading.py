"""One partition as a consumer reads it: where it begins, what is fetched ahead, what may be committed."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from superclient.gofka.assignment import Place
from superclient.gofka.cluster import Cluster
from superclient.gofka.connection import Connection
from superclient.gofka.envelope import Decoded, Duplicates, decode
from superclient.gofka.errors import ConsumeError, GofkaError, MetadataError
from superclient.gofka.message import Message, StoredAt
from superclient.gofka.wire import BrokerError, Fetch, Kind, OffsetFetch

_DEPTH = 16  # requests under way while records come; one while there are none
_MEMORY = 16 * 2**20  # bytes of a partition that are fetched ahead, and of one round of requests, about
_BEFORE = 16  # messages before the first one that are looked at: a copy of theirs may follow
_EMPTY = (0.01, 0.1)  # seconds between two looks at the end of a log, at first and at most
_NEVER = 2.0  # the same, at most, of a partition above 0, which the broker puts nothing into
_AGAIN = 0.5  # seconds after which what has failed is tried again


class Source(NamedTuple):
    """What all partitions of one consumer have in common.

    Attributes:
        latest: begin at the end where there is no committed offset, or one that the log does not have any more.
        most: records of a partition that are fetched ahead.
        connect: the connection for fetching, open.
        told: called with the reading that has records, a place to begin at, or a failure now.
    """

    cluster: Cluster
    group: str
    latest: bool
    most: int
    connect: Callable[[], Awaitable[Connection]]
    told: Callable[["Reading"], None]


class Reading:
    """Fetches one partition ahead of its reader; a message of the broker's is a record, or a batch of them.

    Attributes:
        place: topic and partition.
        placed: whether it is known where to read.
        waiting: records to be handed out.
        done: the offset below which everything is done with.
        owed: the offset that is to be committed; None: none.
        committed: the one that the group has; None: none.
        duplicates: records left out, since their producer had sent them twice.
        failure: why it does not go on at the moment.
    """

    def __init__(self, place: Place, source: Source) -> None:
        self.place = place
        self.placed = False
        self.waiting = 0
        self.done = 0
        self.owed: int | None = None
        self.committed: int | None = None
        self.duplicates = 0
        self.failure: GofkaError | None = None
        self._source = source
        self._next: int | None = None  # what is fetched next; None: nobody knows yet
        self._first = 0  # messages before it are looked at, and not handed out
        self._batches: deque[tuple[int, list[Decoded], int]] = deque()  # offset, records, bytes
        self._index = 0  # records of the first batch that are handed out
        self._bytes = 0
        self._largest = 1  # bytes of a message of the last round
        self._seen = Duplicates()
        self._room = asyncio.Event()

    # --- whoever reads -----------------------------------------------------------------------------------------------

    def take(self, most: int) -> list[Message]:
        """Hand out the next records, at most so many of those that wait."""
        topic, partition = self.place
        found: list[Message] = []
        while self._batches and len(found) < most:
            offset, records, size = self._batches[0]
            count, first = len(records), self._index
            self._index = min(first + most - len(found), count)
            for index in range(first, self._index):
                key, value, headers, timestamp, chosen = records[index][:5]
                at = StoredAt(offset, index, count, partition)
                found.append(Message(topic, chosen, at, key, value, headers, timestamp))
            if self._index == count:
                self._batches.popleft()
                self._index = 0
                self._bytes -= size
        self.waiting -= len(found)
        self._room.set()
        return found

    def finish(self, behind: int) -> None:
        """What was handed out is done with, up to this offset."""
        self.done = behind
        self.owed = None if behind == self.committed else behind

    # --- the broker --------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Fetch for ever. What fails is told, and tried again: from where the committed offset and the log say."""
        shared = True
        while True:
            try:
                connection = await self._source.connect()
                await self._begin(connection, shared)
                shared, self.placed = False, True
                self._source.told(self)
                await self._follow(connection)
            except GofkaError as error:
                self.failure = error
                self._source.told(self)
                await asyncio.sleep(_AGAIN)

    async def _begin(self, connection: Connection, shared: bool) -> None:
        """Find out where to read; `shared`: another member may have had the partition meanwhile.

        Only what Metadata lists is fetched: the broker makes folders for the rest. After a restart the log may be
        another one, with less in it than we have read.
        """
        topic, partition = self.place
        source = self._source
        if partition not in await source.cluster.partitions(topic):
            raise MetadataError(f"there is no partition {partition} of {topic} any more")
        known, anew = self._next, False
        if shared:
            reply = await connection.request(OffsetFetch(source.group, topic, partition))
            committed = reply if reply >= 0 else None
            # A broker that knows of no offset is another one than before, and tells nothing.
            anew = known is None or committed not in (None, self.committed)
            known = committed if anew else known
        start = known or 0
        if known or (known is None and source.latest):
            end = await source.cluster.end(topic, partition)
            if known is None or known > end:
                start = end if source.latest else 0
        if anew:  # from here on nothing waits, so that a failure before leaves all as it was
            self._batches.clear()
            self.waiting = self._index = self._bytes = 0
            self.committed = committed
        if anew or start != known:
            chosen = start != known and (known is not None or source.latest)
            self.owed = start if chosen else None
            self.done = self._first = start
            self._next = max(0, start - _BEFORE)
            self._seen = Duplicates()

    async def _follow(self, connection: Connection) -> None:
        """Fetch while there is room; raises what `Connection.request` raises, and ConsumeError."""
        depth, pause = 1, _EMPTY[0]
        longest = _NEVER if self.place[1] else _EMPTY[1]
        while True:
            while self.waiting >= self._source.most or self._bytes >= _MEMORY:
                self._room.clear()
                await self._room.wait()
            found = await self._fetched(connection, depth)
            self.failure = None
            depth = min(depth * 2, _DEPTH, _MEMORY // self._largest or 1) if found == depth else 1
            if found:
                pause = _EMPTY[0]
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)

    async def _fetched(self, connection: Connection, depth: int) -> int:
        """Fetch the next messages; how many there were before the end."""
        topic, partition = self.place
        first = self._next or 0
        asked = [connection.submit(Fetch(topic, partition, first + each)) for each in range(depth)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        self._largest = 1
        for found, answer in enumerate(answers):
            if isinstance(answer, BrokerError):
                if answer.kind is Kind.PAST_END:
                    return found
                raise ConsumeError(f"{topic}-{partition} cannot be read at {first + found}: {answer}") from answer
            if isinstance(answer, BaseException):
                raise answer
            self._read(first + found, answer)
        return depth

    def _read(self, offset: int, message: bytes) -> None:
        records = decode(message)
        self._next = offset + 1
        size = sum([len(record.value) for record in records], len(message))
        self._largest = max(self._largest, size)
        copy = self._seen.seen(records)
        if offset < self._first:
            return
        if copy:
            self.duplicates += len(records)
            return
        self._batches.append((offset, records, size))
        self._bytes += size
        self.waiting += len(records)
        self._source.told(self)
