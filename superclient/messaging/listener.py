"""KafkaListener: the records of some topics, parsed, for whoever wants their type."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from superclient.messaging.connection import ConsumerFactory
from superclient.messaging.parsing import AutoCommit, ParserSpec, Routes, checked
from superclient.messaging.reader import Reader
from superclient.messaging.stream import Inbox, TypeStream
from superclient.messaging.subscribers import Subscribers

T = TypeVar("T")


@dataclass(frozen=True)
class ListenerStats:
    """What a listener has done so far.

    Attributes:
        records: read from the topics.
        parse_errors: times that a parser (or a deserializer of the consumer's) did not take a record.
        commits, commit_errors: commits that worked, and that did not.
        read_errors: failures to read, each tried again.
        rebalances: how often the group shared out its partitions.
        restarts: how often a consumer that had died was replaced.
    """

    records: int
    parse_errors: int
    commits: int
    commit_errors: int
    read_errors: int
    rebalances: int
    restarts: int


class KafkaListener:
    """Reads topics as a member of a group, and hands each record, parsed, to every stream of its type.

    Args:
        parsers: which parser and type are for which topics; several may be for one topic, each gets every record.
        consumer_factory: makes a new AIOKafkaConsumer (or is awaited for one) with a `group_id`, not subscribed and not
            started. It is called again when a consumer has to be replaced.
        auto_commit: when to commit what readers are done with (at least once); None: never. aiokafka's own auto-commit
            is turned off in any case.
        start_timeout: seconds that the group may take to give us our partitions.
        handover_timeout: seconds that readers have to finish what they hold when partitions move or the listener stops.

    All topics are subscribed at the start. The partitions of those that nobody has subscribed to wait where they are.
    Everything belongs to the event loop on which it is started; `async with` starts and stops it.

    Raises ValueError for parsers or numbers that cannot be meant.
    """

    def __init__(
        self,
        parsers: Iterable[ParserSpec],
        *,
        consumer_factory: ConsumerFactory,
        auto_commit: AutoCommit | None = None,
        start_timeout: float = 60.0,
        handover_timeout: float = 5.0,
    ) -> None:
        self._routes = Routes(parsers)
        self._sink = Subscribers(self._routes)
        self._reader = self._sink.reader = Reader(
            self._routes.topics,
            consumer_factory,
            self._sink,
            auto_commit=checked(auto_commit),
            start_timeout=start_timeout,
            handover_timeout=handover_timeout,
        )

    async def start(self) -> None:
        """Join the group, and return once our partitions are assigned and positioned; nothing if that was done.

        Raises what kept it from that, and leaves nothing behind: aiokafka's KafkaError, TopicMissing, Unreachable after
        `start_timeout`, RuntimeError for a consumer without a group or with a subscription of its own.
        """
        await self._reader.start()

    async def subscribe(self, tp: type[T], queue_maxsize: int = 0, fresh: bool = False) -> TypeStream[T]:
        """A stream of its own of everything of this type from now on; starts the listener if nobody has.

        Args:
            tp: the type of one of the parsers.
            queue_maxsize: values that may wait for the reader, before their partitions are paused; 0: no bound.
            fresh: end the earlier streams of this type; they yield what waits in them, then end.

        Raises ValueError for an unknown type, MessagingStoppedError after `stop()`, and what `start()` raises.
        """
        topics = self._routes.topics_of(tp)
        if not isinstance(queue_maxsize, int) or queue_maxsize < 0:
            raise ValueError(f"queue_maxsize is a number of values, 0 for no bound; it is {queue_maxsize!r}")
        if not self._reader.running:
            await self._reader.start()
        inbox = Inbox(tp, queue_maxsize, self._sink)
        self._sink.join(inbox, topics, fresh=fresh)
        return TypeStream(tp, inbox, self._sink.leave)

    async def stop(self) -> None:
        """Streams yield what waits in them and end; what readers are done with is committed, the group is left.

        Waits, at most `handover_timeout`, for readers in other tasks to read to the end. May be called again.
        """
        try:
            await self._reader.stop()
        finally:
            self._sink.end()

    async def __aenter__(self) -> "KafkaListener":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._sink.clean = error is None
        await self.stop()

    def stats(self) -> ListenerStats:
        """What has happened so far."""
        reads, commits = self._reader.counts, self._reader.commits.counts
        return ListenerStats(
            records=reads.records,
            parse_errors=self._sink.parse_errors + reads.undecodable,
            commits=commits.commits,
            commit_errors=commits.commit_errors,
            read_errors=reads.read_errors,
            rebalances=reads.rebalances,
            restarts=reads.restarts,
        )
