"""AsyncConsumer: the records of some topics, shared with the other members of a group."""

import asyncio
import socket
import uuid
from collections.abc import Sequence
from contextlib import suppress
from ssl import SSLContext
from types import TracebackType

from superclient.gofka.assignment import STRATEGIES, Place
from superclient.gofka.cluster import Cluster
from superclient.gofka.connection import Connection
from superclient.gofka.errors import ConsumeError, GofkaError, OffsetError
from superclient.gofka.failover import RetryPolicy
from superclient.gofka.keeping import Keeper
from superclient.gofka.membership import Member
from superclient.gofka.message import Message, Value
from superclient.gofka.names import check_group, check_topic
from superclient.gofka.reading import Reading
from superclient.gofka.wire import BrokerError, OffsetCommit, OffsetFetch

_AHEAD = 4  # times max_poll_records that are fetched ahead of the reader, of each partition
_AGAIN = 0.5  # seconds after which a connection or a commit that failed is tried again


class AsyncConsumer:
    """Reads topics as a member of a group; for one event loop. `async with` subscribes and closes it.

    Each record is handed out at least once to somebody in the group: what was not committed is read again by whoever
    gets its partition. Copies that a producer sent twice are left out. The broker has no real partitions: all records
    are in partition 0, and its owner reads them all.

    Args:
        brokers: "host:port", several with commas or as a list; groups and offsets are those of the first that answers.
        group_id: the group's name.
        topics: what is read.
        auto_commit: commit a record when the next one is asked for, and on close.
        auto_offset_reset: where to begin without a committed offset, or with one that the log does not have any more:
            "earliest" or "latest".
        session_timeout: milliseconds without a sign of life after which the group shares our partitions out.
        max_poll_records: records that one `poll` returns at most.
        assignment_strategy: "range" or "roundrobin"; the same for the whole group.
        client_id: what the broker is told.
        timeout: seconds for connecting, and for each request.
        use_ssl, ssl_context: encrypt, verifying as the context says (by default the system's authorities and the name).
        retry_policy: how often the whole list of brokers is tried before it is an error.

    Raises ValueError for what cannot be meant.
    """

    def __init__(
        self,
        brokers: str | Sequence[str],
        group_id: str,
        topics: str | Sequence[str] = (),
        auto_commit: bool = True,
        auto_offset_reset: str = "earliest",
        session_timeout: int = 30_000,
        max_poll_records: int = 500,
        assignment_strategy: str = "range",
        *,
        client_id: str = "superclient",
        timeout: float = 30.0,
        use_ssl: bool = False,
        ssl_context: SSLContext | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        if auto_offset_reset not in ("earliest", "latest"):
            raise ValueError(f'auto_offset_reset is "earliest" or "latest"; it is {auto_offset_reset!r}')
        if assignment_strategy not in STRATEGIES:
            raise ValueError(f"assignment_strategy is one of {', '.join(STRATEGIES)}; it is {assignment_strategy!r}")
        for name, number in (("session_timeout", session_timeout), ("max_poll_records", max_poll_records)):
            if not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} is a whole number above 0; it is {number!r}")
        self.duplicates = 0
        self._group = check_group(group_id)
        self._topics = _checked(topics)
        self._auto_commit = auto_commit
        self._latest = auto_offset_reset == "latest"
        self._session = session_timeout
        self._most = max_poll_records
        self._strategy = STRATEGIES[assignment_strategy]
        self._cluster = Cluster(
            brokers,
            client_id=client_id,
            timeout=timeout,
            use_ssl=use_ssl,
            ssl_context=ssl_context,
            retry_policy=retry_policy,
        )
        self._id = f"{client_id[:100]}-{uuid.uuid4()}"
        self._readings: dict[Place, Reading] = {}
        self._followers: list[asyncio.Task[None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._keeper: Keeper | None = None
        self._hand: list[tuple[Reading, Message]] = []  # handed out last, and not known to be done with
        self._changed = asyncio.Event()
        self._sharing = True  # nothing is handed out while the group shares its partitions out
        self._failure: GofkaError | None = None
        self._data: Connection | None = None
        self._data_lock = asyncio.Lock()
        self._due = asyncio.Event()
        self._closed = False

    # --- faces -------------------------------------------------------------------------------------------------------

    async def subscribe(self, topics: str | Sequence[str] = ()) -> None:
        """Join the group, and return once our partitions are known and positioned; once in a consumer's life.

        Raises MetadataError for a topic that there is not, ConnectionError, GroupCoordinationError, ConsumeError.
        """
        if self._closed:
            raise ConsumeError("the consumer is closed")
        if self._keeper is not None:
            raise ValueError("it is subscribed; make a new consumer for other topics")
        self._topics = _checked(topics) or self._topics
        if not self._topics:
            raise ValueError("at least one topic is needed")
        member = Member(
            self._group, self._id, self._cluster.client_id, socket.gethostname(), self._session, self._topics
        )
        self._keeper = Keeper(self._cluster, member, self._strategy, self._share, self._give_back, self._fail)
        self._tasks = [asyncio.ensure_future(self._keeper.run()), asyncio.ensure_future(self._commit_by_and_by())]
        try:
            while self._sharing:
                await self._news()
        except BaseException:
            await self._end()
            self._keeper = None
            raise

    def __aiter__(self) -> "AsyncConsumer":
        return self

    async def __anext__(self) -> Value:
        """The value of the next record, as bytes that know their `message`; waits for it.

        Raises ConsumeError where a log cannot be read, ConnectionError while no broker answers (asking again goes on).
        """
        if self._keeper is None:
            await self.subscribe()
        found = await self.poll(1, None)
        if not found:
            raise StopAsyncIteration
        return Value(found[0])

    async def poll(self, max_messages: int | None = None, timeout: float | None = 1.0) -> list[Message]:
        """Up to `max_messages` (and `max_poll_records`) records; waits for the first of them.

        At most `timeout` seconds; None: for ever. Empty: there was none in time, or the consumer was closed. Raises as `async for` does.
        """
        if self._keeper is None and not self._closed:
            await self.subscribe()
        self._done_with_hand()
        most = self._most if max_messages is None else min(max_messages, self._most)
        if most < 1:
            raise ValueError(f"max_messages is above 0; it is {max_messages!r}")
        deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        while not self._closed:
            found = self._taken(most)
            if found:
                return found
            left = None if deadline is None else deadline - asyncio.get_running_loop().time()
            if left is not None and left <= 0:
                break
            await self._news(left)
        return []

    async def commit(self, message: Message | Value | None = None) -> None:
        """Commit behind this record, or (None) behind all that were handed out, the last ones too.

        In the middle of a batch its own offset is stored, so that after a crash its first records come again.
        Raises OffsetError where the broker does not, and ConnectionError.
        """
        if message is None:
            self._done_with_hand()
            await self._commit_done()
            return
        message = message.message if isinstance(message, Value) else message
        place = (message.topic, message.offset.partition)
        await self._store(place, message.offset.behind)

    async def close(self) -> None:
        """Commit (with auto_commit), leave the group, close. What was handed out counts as done with."""
        if self._closed:
            return
        self._closed = True
        self._changed.set()
        self._done_with_hand()
        await self._end()

    async def __aenter__(self) -> "AsyncConsumer":
        if self._topics:
            await self.subscribe()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._hand = []  # whoever raised is not done with it
        await self.close()

    @property
    def assignment(self) -> list[Place]:
        """The (topic, partition) that are ours now."""
        return sorted(self._readings)

    # --- what is handed out ------------------------------------------------------------------------------------------

    def _taken(self, most: int) -> list[Message]:
        if self._sharing:
            return []
        found: list[tuple[Reading, Message]] = []
        for place in list(self._readings):
            reading = self._readings.pop(place)
            self._readings[place] = reading  # the next call begins with another one
            while reading.records and len(found) < most:
                found.append((reading, reading.take()))
        self._hand = found
        return [message for _, message in found]

    async def _news(self, timeout: float | None = None) -> None:
        """Return when something may have changed; raise what has failed."""
        for reading in self._readings.values():
            if reading.failure is not None and not reading.records:
                raise reading.failure
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        self._changed.clear()
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({waiting}, timeout=timeout)
        finally:
            waiting.cancel()

    def _done_with_hand(self) -> None:
        hand, self._hand = self._hand, []
        for reading, message in hand:
            reading.done = message.offset.behind
        if hand and self._auto_commit:
            self._due.set()

    def _fail(self, error: GofkaError) -> None:
        self._failure = error
        self._changed.set()

    # --- the group ---------------------------------------------------------------------------------------------------

    async def _share(self, places: Sequence[Place]) -> None:
        """Read these; what stayed ours goes on where it was, unless another member had it meanwhile."""
        kept: dict[Place, Reading] = {}
        for place in places:
            committed = await self._cluster.request(OffsetFetch(self._group, *place))
            offset = committed if committed >= 0 else None
            reading = self._readings.get(place)
            if reading is None or reading.committed != offset:
                reading = Reading(place, await self._start(place, offset), offset, self._changed.set)
            kept[place] = reading
        self._readings = kept
        self._followers = [asyncio.ensure_future(self._follow(reading)) for reading in kept.values()]
        self._sharing = False
        self._failure = None
        self._changed.set()

    async def _start(self, place: Place, committed: int | None) -> int:
        """Where to begin: a committed offset that the log does not have (any more) is as good as none."""
        if committed == 0:
            return 0
        end = await self._cluster.end(*place)
        if committed is not None and committed <= end:
            return committed
        return end if self._latest else 0

    async def _give_back(self) -> None:
        """Stop reading, and commit, before the partitions are shared out."""
        self._sharing = True
        followers, self._followers = self._followers, []
        for task in followers:
            task.cancel()
        if followers:
            await asyncio.wait(followers)
        if self._auto_commit:
            with suppress(GofkaError):
                await self._commit_done()

    async def _follow(self, reading: Reading) -> None:
        while reading.failure is None:
            try:
                await reading.follow(await self._connection(), self._most * _AHEAD)
            except GofkaError as error:
                self._fail(error)
                await asyncio.sleep(_AGAIN)

    async def _connection(self) -> Connection:
        """One for the records alone, so that a heartbeat never waits behind them."""
        async with self._data_lock:
            if self._data is None or not self._data.is_open:
                self._data = await self._cluster.open_home()
            return self._data

    # --- offsets -----------------------------------------------------------------------------------------------------

    async def _commit_by_and_by(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._commit_done()
            except GofkaError as error:
                self._fail(error)
                await asyncio.sleep(_AGAIN)
                self._due.set()

    async def _commit_done(self) -> None:
        for place, reading in list(self._readings.items()):
            if reading.done != (reading.committed or 0):
                await self._store(place, reading.done)

    async def _store(self, place: Place, offset: int) -> None:
        try:
            await self._cluster.request(OffsetCommit(self._group, *place, offset))
        except BrokerError as error:
            raise OffsetError(f"offset {offset} of {place[0]}-{place[1]} was not committed: {error}") from error
        reading = self._readings.get(place)
        if reading is not None:
            reading.committed = offset

    async def _end(self) -> None:
        """Nothing of it is left after that, whatever happens."""
        keeper, tasks = self._keeper, self._tasks
        self._tasks = []
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks)  # the keeper gives back on its way out
            if keeper is not None:
                await keeper.leave()
        finally:
            for task in self._followers:
                task.cancel()
            data, self._data = self._data, None
            closing = [self._cluster.aclose()] + ([data.aclose()] if data is not None else [])
            await asyncio.gather(*closing, *self._followers, return_exceptions=True)
            self._readings = {}


def _checked(topics: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check_topic(topic) for topic in ([topics] if isinstance(topics, str) else topics)))
