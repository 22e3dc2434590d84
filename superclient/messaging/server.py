"""KafkaRPCServer: requests, each handed to a coroutine, and what that returns sent where the request asks for it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, fields
from inspect import isawaitable
from types import TracebackType
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from superclient.errors import RPCError, SuperclientError
from superclient.messaging.connection import ConsumerFactory
from superclient.messaging.correlation import Address, Header, error_headers
from superclient.messaging.interrupts import Interrupt
from superclient.messaging.lanes import Lane
from superclient.messaging.link import Link, ProducerFactory
from superclient.messaging.parsing import AutoCommit, checked, seconds
from superclient.messaging.reader import Reader
from superclient.messaging.tasks import asked_to_end, begun, through
from superclient.messaging.told import Told, brief, logger, place

Handler = Callable[[Any], Awaitable[Any]]

_AUTO_COMMIT: AutoCommit = {"every": 100, "interval_s": 1.0}
_MISSING_SECONDS = 30.0  # for which a reply topic that was not there is not asked for again
_MISSING = 1000  # such topics that are remembered
_NOTHING = (None, b"", "")  # an error has no value; a serializer may insist on one


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


class _Reply(NamedTuple):
    value: Any
    error: Sequence[Header] = ()


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
        self._handler = handler
        self._parser = parser
        self._concurrency = concurrency
        self._allowed = None if reply_topics is None else _names(reply_topics)
        self._reply_timeout = seconds("reply_timeout", reply_timeout)
        self._names = frozenset(name.lower() for name in correlation_headers)
        self._counts: Counter[str] = Counter()
        self._told = Told()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[Lane, None] = {}  # lanes with records that had no room, those that wait longest first
        self._missing: dict[str, float] = {}  # reply topic → until when it is taken for missing
        self._holding = False
        self._sending: dict[Interrupt, float] = {}  # until when, in that order
        self._overdue: asyncio.TimerHandle | None = None
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
            if self._overdue is not None:
                self._overdue.cancel()

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

    # --- one request -------------------------------------------------------------------------------------------------

    async def _serve(self, lane: Lane, record: Any) -> None:
        try:
            address = Address.of(record.headers, record.key, self._names, self._allowed, self._topics)
            reply = await self._handled(record)
            for refused in address.refused:
                self._unanswered(record, refused, "no reply is sent there")
            if len(address.topics) == 1:
                await self._answer(record, address, address.topics[0], reply)
            elif address.topics:
                await asyncio.gather(*(self._answer(record, address, topic, reply) for topic in address.topics))
            elif not address.refused:
                self._counts["one_way"] += 1
        except asyncio.CancelledError:
            self._counts["cancelled"] += 1
            raise
        except Exception:  # ours; the next request is another one
            logger.exception("the request at %s", place(record))
        if self._link.reader is not None:
            self._link.reader.commits.done(lane, record.offset)

    async def _handled(self, record: Any) -> _Reply:
        """What the handler makes of a request; what it raises is a reply too."""
        try:
            request = record if self._parser is None else self._parser(record)
        except Exception as error:
            self._counts["errors"] += 1
            self._told(record.topic, "the parser failed at %s: %s", place(record), brief(error))
            return _error("BAD_REQUEST", f"the request could not be read: {type(error).__name__}")
        try:
            value = self._handler(request)
            return _Reply(await value if isawaitable(value) else value)
        except RPCError as error:
            self._counts["errors"] += 1
            return _error(error.code, str(error))
        except asyncio.CancelledError:
            if asked_to_end():
                raise
            logger.exception("the handler was cancelled by itself at %s", place(record))
            kind = "CancelledError"
        except Exception as error:
            # Its message may hold what no requester should see.
            logger.exception("the handler failed at %s", place(record))
            kind = type(error).__name__
        self._counts["errors"] += 1
        return _error("INTERNAL", kind)

    async def _answer(self, record: Any, address: Address, topic: str, reply: _Reply) -> None:
        """Deliver a reply; where that cannot be, say so, and be done with it."""
        loop = asyncio.get_running_loop()
        if self._missing.get(topic, 0.0) > loop.time():
            return self._unanswered(record, topic, "it was not there a moment ago")
        try:
            await self._send(record, address, topic, reply)
        except MessageSizeTooLargeError:
            if not reply.error:
                self._counts["errors"] += 1
                return await self._answer(record, address, topic, _error("REPLY_TOO_LARGE", "the reply is too large"))
            self._unanswered(record, topic, "the reply is too large, and so is an error")
        except (KafkaError, SuperclientError, TimeoutError) as error:
            self._unanswered(record, topic, brief(error))
        except Exception as error:
            if not reply.error:
                self._counts["errors"] += 1
                logger.exception("the reply to the request at %s cannot be sent", place(record))
                return await self._answer(record, address, topic, _error("INTERNAL", type(error).__name__))
            self._unanswered(record, topic, brief(error))
        return None

    async def _send(self, record: Any, address: Address, topic: str, reply: _Reply) -> None:
        headers = [*address.headers, *reply.error]
        for value in _NOTHING if reply.error else (reply.value,):
            key = address.id.encode() if record.key is None and value is None else record.key
            try:
                delivery = await self._handed_over(topic, value, key, headers)
            except (KafkaError, SuperclientError):
                raise
            except Exception:
                if not reply.error or value == _NOTHING[-1]:
                    raise
            else:
                await delivery
                self._counts["replies"] += 1
                return

    async def _handed_over(self, topic: str, value: Any, key: Any, headers: list[Header]) -> Any:
        """The producer's promise of a delivery. Raises TimeoutError where there was none in time."""
        loop, sending = asyncio.get_running_loop(), Interrupt()
        self._sending[sending] = loop.time() + self._reply_timeout
        if self._overdue is None:
            self._overdue = loop.call_later(self._reply_timeout, self._sweep)
        try:
            with sending:
                producer = await self._link.alive()
                return await producer.send(topic, value, key=key, headers=headers)
        finally:
            del self._sending[sending]
        client = self._link.producer.client
        if client.cluster.partitions_for_topic(topic) is not None:
            raise TimeoutError(f"no room in the producer within {self._reply_timeout:g} s")
        client._topics.discard(topic)  # it would ask for it for ever
        self._missing.pop(topic, None)
        self._missing[topic] = loop.time() + _MISSING_SECONDS
        while len(self._missing) > _MISSING:
            del self._missing[next(iter(self._missing))]
        raise TimeoutError(f"the topic was not there within {self._reply_timeout:g} s")

    def _sweep(self) -> None:
        """One timer for all sends: seldom does one wait at all."""
        loop = asyncio.get_running_loop()
        self._overdue = None
        for sending, until in self._sending.items():
            if until > loop.time():
                self._overdue = loop.call_at(until, self._sweep)
                break
            sending.fire()

    def _unanswered(self, record: Any, topic: str, why: str) -> None:
        self._counts["unanswered"] += 1
        self._told(record.topic, "the request at %s is not answered on %s: %s", place(record), topic, why)


def _names(topics: str | Collection[str]) -> frozenset[str]:
    return frozenset([topics] if isinstance(topics, str) else topics)


def _error(code: str, message: str) -> _Reply:
    return _Reply(None, error_headers(code, message))
