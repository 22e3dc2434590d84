"""KafkaRPCServer: requests, each handed to a coroutine, and what that returns sent where the request asks for it."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any

from superclient.messaging.address import Address
from superclient.messaging.answers import Answers, Handler
from superclient.messaging.connection import ConsumerFactory
from superclient.messaging.lanes import Lane
from superclient.messaging.link import Link, ProducerFactory
from superclient.messaging.parsing import AutoCommit, checked, seconds
from superclient.messaging.reader import Reader
from superclient.messaging.tasks import begun, through
from superclient.messaging.told import logger

_AUTO_COMMIT: AutoCommit = {"every": 100, "interval_s": 1.0}


@dataclass(frozen=True)
class ServerStats:
    """What has happened since the start.

    Attributes:
        requests: handed to the handler, or refused by the parser; `running` of them now.
        replies: delivered, errors among them, one for each reply topic.
        errors: of handlers, of the parser, and replies that could not be sent as they were.
        one_way: requests that asked for no reply.
        unanswered: replies that could not be delivered, or were asked for on a topic that is not answered to.
        cancelled: requests whose handler was not done when it had to be; their records are read again.
    """

    requests: int
    running: int
    replies: int
    errors: int
    one_way: int
    unanswered: int
    cancelled: int


class KafkaRPCServer:
    """Answers requests; servers that share a consumer group share the requests.

    A request is committed after it was answered: one whose server dies is answered by another, at least once.
    """

    def __init__(
        self,
        consumer_factory: ConsumerFactory,
        producer_factory: ProducerFactory | None,
        handler: Handler,
        topics: str | Collection[str],
        *,
        parser: Callable[[Any], Any] | None = None,
        concurrency: int = 100,
        auto_commit: AutoCommit | None = _AUTO_COMMIT,
        reply_topics: str | Collection[str] | None = None,
        reply_timeout: float = 10.0,
        start_timeout: float = 60.0,
        handover_timeout: float = 5.0,
        correlation_headers: Collection[str] = (),
    ) -> None:
        """Args:
            consumer_factory: makes an AIOKafkaConsumer with a group, neither subscribed nor started, or is awaited for
                one; called on the running loop, and again where a consumer has to be replaced.
            producer_factory: likewise an AIOKafkaProducer; None: one that reaches the consumer's cluster.
            handler: is awaited with each request; what it returns is the reply's value (bytes, or what the producer's
                serializer takes; None too). An RPCError tells the requester its code and message; of any other
                exception, which is logged, it learns the type alone.
            topics: of the requests.
            parser: makes of a record what the handler gets; else that is the record.
            concurrency: handlers that run at once; further requests wait, their partitions are paused.
            auto_commit: how often to commit what is answered; None: never.
            reply_topics: where replies may go; left out, wherever a request asks for them. Whoever may produce requests
                can then have records written to any topic that the producer has the right to.
            reply_timeout: seconds for a reply topic to be found, and for room in the producer.
            start_timeout: seconds for `start()`.
            handover_timeout: seconds that running handlers have before their partitions go, or at the stop.
            correlation_headers: names, besides request_id, correlation_id and x-correlation-id, that are copied.

        Raises ValueError for what cannot be meant.
        """
        self._topics = _names(topics)
        if not self._topics or not all(isinstance(topic, str) and topic for topic in self._topics):
            raise ValueError(f"topics are names, at least one; they are {topics!r}")
        if not callable(handler) or not (parser is None or callable(parser)):
            raise ValueError("handler and parser are called with each request, and one of them cannot be")
        if not isinstance(concurrency, int) or concurrency < 1:
            raise ValueError(f"concurrency is a number of at least 1; it is {concurrency!r}")
        self._concurrency = concurrency
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[Lane, None] = {}  # lanes with records that had no room, those that wait longest first
        self._holding = False
        self._patience = handover_timeout
        auto_commit = checked(auto_commit)

        def reader() -> Reader:
            return Reader(
                self._topics,
                consumer_factory,
                self,
                auto_commit=auto_commit,
                start_timeout=start_timeout,
                handover_timeout=handover_timeout,
            )

        self._link = Link(reader, producer_factory, start_timeout, self._abandon)
        allowed = None if reply_topics is None else _names(reply_topics)
        names = frozenset(name.lower() for name in correlation_headers)

        def address(record: Any) -> Address:
            return Address.of(record.headers, record.key, names, allowed, self._topics)

        self._answers = Answers(self._link, handler, parser, address, seconds("reply_timeout", reply_timeout))
        self._counts = self._answers.counts

    # --- started and stopped -----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Return once a request that is produced now will be answered.

        Raises what keeps it from that, as `KafkaRPC.start`, and leaves nothing behind; MessagingStoppedError after
        `stop()`.
        """
        await self._link.start()
        if self._link.reader is not None:
            self._link.reader.offer(self._link.reader.lanes.values())

    async def stop(self) -> None:
        """Begin no more requests, let those that run be answered and commit them, for `handover_timeout` at most."""
        try:
            await self._link.stop()
        finally:
            self._answers.end()

    async def __aenter__(self) -> "KafkaRPCServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def stats(self) -> ServerStats:
        counts = {each.name: self._counts[each.name] for each in fields(ServerStats)}
        return ServerStats(**{**counts, "running": len(self._tasks)})

    # --- which requests run (the reader's sink) ------------------------------------------------------------------

    def take(self, lane: Lane) -> None:
        while lane.backlog and self._room():
            record = lane.backlog.popleft()
            lane.open(record.offset)
            self._counts["requests"] += 1
            task = begun(self._serve(lane, record))
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        self._waiting.pop(lane, None)
        if lane.backlog:
            self._waiting[lane] = None

    async def settle(self) -> None:
        self._holding = True
        await self._idle()

    async def finish(self) -> None:
        self._holding = True
        await self._idle()

    def assigned(self, kept: Collection[Lane], lost: Collection[Lane]) -> None:
        self._holding = False
        for lane in lost:
            self._waiting.pop(lane, None)

    def _room(self) -> bool:
        return len(self._tasks) < self._concurrency and self._link.producer is not None and not self._holding

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        while self._waiting and self._room() and self._link.reader is not None:
            lane = next(iter(self._waiting))
            del self._waiting[lane]
            self._link.reader.offer([lane])  # where it has more than there is room for, it is the last in the row now

    async def _idle(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _abandon(self) -> None:
        """The time of those that still run is over: their records are somebody else's."""
        self._holding = True
        for task in self._tasks:
            task.cancel()
        if self._tasks and not await through(self._idle(), self._patience):
            logger.warning("%d handlers go on after they were cancelled", len(self._tasks))

    async def _serve(self, lane: Lane, record: Any) -> None:
        try:
            await self._answers.answer(record)
        except asyncio.CancelledError:
            self._counts["cancelled"] += 1
            raise
        if self._link.reader is not None:
            self._link.reader.commits.done(lane, record.offset)


def _names(topics: str | Collection[str]) -> frozenset[str]:
    return frozenset([topics] if isinstance(topics, str) else topics)
