"""What a consumer does from joining its group to leaving it: partitions come and go, records, commits."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from superclient.gofka.assignment import Place, Strategy
from superclient.gofka.cluster import Cluster
from superclient.gofka.connection import Connection
from superclient.gofka.errors import GofkaError, OffsetError
from superclient.gofka.keeping import Keeper
from superclient.gofka.membership import Member
from superclient.gofka.message import Message
from superclient.gofka.reading import Reading, Source
from superclient.gofka.wire import BrokerError, OffsetCommit

_AHEAD = 4  # times `most` records that are fetched ahead of the reader, of each partition
_AGAIN = 0.5  # seconds after which a commit that failed is tried again


class Subscription:
    """One membership, at work from the start to `end`.

    Args:
        auto_commit: commit by itself what is done with.
        latest: begin at the end of a log where nothing else is known.
        most: records that are handed out at once, at most.
    """

    def __init__(
        self, cluster: Cluster, member: Member, strategy: Strategy, *, auto_commit: bool, latest: bool, most: int
    ) -> None:
        self._cluster = cluster
        self._group = member.group
        self._auto_commit = auto_commit
        self._source = Source(cluster, member.group, latest, most * _AHEAD, self._connection, self._told)
        self._readings: dict[Place, Reading] = {}
        self._ready: dict[Reading, None] = {}  # those with records, the one whose turn it is first
        self._hand: dict[Reading, int] = {}  # what to commit once that is done with which was handed out last
        self._sharing = True  # nothing is handed out while the group shares its partitions out
        self._failure: GofkaError | None = None
        self._left_out = 0
        self._bell: asyncio.Future[None] | None = None
        self._data: Connection | None = None
        self._home = ""  # the broker that has our offsets
        self._connecting = asyncio.Lock()
        self._committing = asyncio.Lock()
        self._due = asyncio.Event()
        self._followers: list[asyncio.Task[None]] = []
        self._keeper = Keeper(cluster, member, strategy, self._share, self._give_back, self._failed)
        self._tasks = [asyncio.ensure_future(self._keeper.run()), asyncio.ensure_future(self._commit_by_and_by())]

    # --- records -----------------------------------------------------------------------------------------------------

    @property
    def places(self) -> list[Place]:
        """The partitions that are ours."""
        return sorted(self._readings)

    @property
    def duplicates(self) -> int:
        """Records that were left out, since their producer had sent them twice."""
        return self._left_out + sum(reading.duplicates for reading in self._readings.values())

    @property
    def is_placed(self) -> bool:
        """Whether our partitions are known, and where each of them is read."""
        return not self._sharing and all(reading.placed for reading in self._readings.values())

    @property
    def is_due(self) -> bool:
        """Whether a commit waits for the loop's next step."""
        return self._due.is_set()

    def take(self, most: int) -> list[Message]:
        """Hand out the next records, at most so many; partitions take turns."""
        found: list[Message] = []
        while self._ready and len(found) < most and not self._sharing:
            reading = next(iter(self._ready))
            del self._ready[reading]
            found += reading.take(most - len(found))
            self._hand[reading] = found[-1].offset.behind
            if reading.waiting:
                self._ready[reading] = None
        return found

    def settle(self, but: Iterable[Message] = ()) -> None:
        """What was handed out is done with; `but`: the last of that, which are not."""
        left: dict[Place, int] = {}
        for message in but:
            left.setdefault((message.topic, message.offset.partition), int(message.offset))
        for reading, behind in self._hand.items():
            reading.finish(left.get(reading.place, behind))
            if reading.owed is not None and self._auto_commit:
                self._due.set()
        self._hand = {reading: behind for reading, behind in self._hand.items() if reading.place in left}

    def drop(self) -> None:
        """What was handed out last is not done with, and never will be."""
        self._hand.clear()

    async def news(self, timeout: float | None = None) -> None:
        """Return when something may have changed, or after so many seconds; raise what has failed, once."""
        for task in self._tasks + self._followers:
            if task.done() and not task.cancelled():
                task.result()  # they end by a mistake of ours only, which must not look like a wait
        failure, self._failure = self._failure, None
        for reading in self._readings.values():
            if failure is None:
                failure, reading.failure = reading.failure, None
        if failure is not None:
            raise failure
        if self._bell is None or self._bell.done():
            self._bell = asyncio.get_running_loop().create_future()
        await asyncio.wait({self._bell}, timeout=timeout)

    def ring(self) -> None:
        """Wake whoever waits for news."""
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    # --- the group ---------------------------------------------------------------------------------------------------

    def _share(self, places: Sequence[Place]) -> None:
        """Read these; what stayed ours goes on where it was, unless another member had it meanwhile."""
        before = self._readings
        self._readings = {place: before.get(place) or Reading(place, self._source) for place in places}
        self._left_out += sum(reading.duplicates for place, reading in before.items() if place not in self._readings)
        self._followers = [asyncio.ensure_future(reading.run()) for reading in self._readings.values()]
        self._ready = {reading: None for reading in self._readings.values() if reading.waiting}
        self._sharing = False
        self._failure = None
        self.ring()

    async def _give_back(self) -> None:
        """Stop reading, and commit, before the partitions are shared out."""
        self._sharing = True
        followers, self._followers = self._followers, []
        await stopped(followers)
        if self._auto_commit:
            with suppress(GofkaError):  # read again by whoever gets it
                home = (await self._cluster.home()).address
                if home != self._home:  # offsets live in the broker that received them: this one has none of ours
                    self._home = home
                    for reading in self._readings.values():
                        reading.owed = reading.done if reading.placed else None
                await self._commit_owed()

    def _failed(self, error: GofkaError | None) -> None:
        self._failure = error
        self.ring()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def _connection(self) -> Connection:
        """One for the records alone, so that a heartbeat never waits behind them."""
        async with self._connecting:
            home = await self._cluster.home()
            if self._data is not None and self._data.broker != home.broker:
                await self._data.aclose()  # its broker fell silent: nothing is to be waited for
            if self._data is None or not self._data.is_open:
                self._data = await self._cluster.open_home()
                self._home = self._home or self._data.address
            return self._data

    def _told(self, reading: Reading) -> None:
        if reading.waiting:
            self._ready[reading] = None
        if reading.owed is not None and self._auto_commit:
            self._due.set()
        self.ring()

    # --- offsets -----------------------------------------------------------------------------------------------------

    async def commit_all(self) -> None:
        """Commit where each partition is: behind what is done with."""
        for reading in list(self._readings.values()):
            if reading.placed and reading.done != reading.committed:
                await self.commit(reading.place, reading.done)

    async def commit(self, place: Place, offset: int) -> None:
        """Raises OffsetError where the broker does not store it, or it is no offset; ConnectionError."""
        if not 0 <= offset < 2**63:
            raise OffsetError(f"offset {offset} of {place[0]}-{place[1]} is none that there can be")
        async with self._committing:
            try:
                await self._cluster.request(OffsetCommit(self._group, *place, offset))
            except BrokerError as error:
                raise OffsetError(f"offset {offset} of {place[0]}-{place[1]} was not committed: {error}") from error
            reading = self._readings.get(place)
            if reading is not None:
                reading.committed = offset
                if reading.owed == offset:
                    reading.owed = None

    async def _commit_owed(self) -> None:
        for reading in list(self._readings.values()):
            if reading.owed is not None:
                await self.commit(reading.place, reading.owed)

    async def _commit_by_and_by(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._commit_owed()
            except GofkaError as error:
                self._failed(error)
                await asyncio.sleep(_AGAIN)
                self._due.set()

    # --- the end -----------------------------------------------------------------------------------------------------

    async def end(self) -> None:
        """Commit what is owed and leave the group, if the broker can be told in time; nothing is left after that."""
        self.ring()
        farewell = asyncio.ensure_future(self._farewell())
        try:
            await asyncio.wait({farewell}, timeout=self._cluster.timeout)
        finally:
            await stopped([farewell, *self._tasks, *self._followers])
            data, self._data = self._data, None
            self._left_out = self.duplicates
            self._readings, self._ready = {}, {}
            if data is not None:
                await data.aclose()

    async def _farewell(self) -> None:
        await stopped(self._tasks)
        await self._give_back()
        await self._keeper.leave()


async def stopped(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel them and return when they have ended, all of them, even if this is cancelled meanwhile.

    They are cancelled until they end: `wait_for` may swallow a cancellation, before Python 3.12.
    """
    pending = {task for task in tasks if not task.done()}
    cancelled: asyncio.CancelledError | None = None
    while pending:
        for task in pending:
            task.cancel()
        try:
            _, pending = await asyncio.wait(pending, timeout=1)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
