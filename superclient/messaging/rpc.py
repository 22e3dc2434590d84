"""KafkaRPC: a request, and the reply that carries its correlation id."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

from superclient.errors import MessagingStoppedError
from superclient.messaging.connection import ConsumerFactory
from superclient.messaging.correlation import Waiter, Waiters, check, outgoing
from superclient.messaging.headers import REPLY_TOPIC, Header, pairs
from superclient.messaging.interrupts import Interrupt
from superclient.messaging.link import Link, ProducerFactory
from superclient.messaging.parsing import ParserSpec, Routes
from superclient.messaging.reader import Reader
from superclient.messaging.replies import Replies

T = TypeVar("T")
Headers = Mapping[str, Any] | Iterable[tuple[str, Any]]
Way = Literal["key", "header", "both"]


@dataclass(frozen=True)
class RPCStats:
    """What has happened since the start.

    Attributes:
        requests: made, of which `pending` wait now.
        replies: matched, and parsed to what was asked for.
        errors: replies that said so; they were raised as RPCError.
        timeouts: requests that had no reply in time.
        failed: requests that could not be sent, or were waiting at the stop.
        unmatched: replies for other requesters, late ones, and further ones to the same request.
        uncorrelated: records on the reply topics without a correlation id.
        ambiguous: replies whose key alone did not tell which request they answer.
        unfit: replies of which no parser made a value of the type that was asked for.
        parse_errors: parsers that raised.
    """

    requests: int
    pending: int
    replies: int
    errors: int
    timeouts: int
    failed: int
    unmatched: int
    uncorrelated: int
    ambiguous: int
    unfit: int
    parse_errors: int


class KafkaRPC:
    """Sends requests, and gives each its own reply.

    Each requester needs a consumer group of its own: replies are read by all of them, and each takes those that are
    its own.
    """

    def __init__(
        self,
        parsers: Iterable[ParserSpec],
        *,
        consumer_factory: ConsumerFactory,
        producer_factory: ProducerFactory | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        """Args:
            parsers: what becomes of the replies; their topics are the reply topics.
            consumer_factory: makes an AIOKafkaConsumer that is neither subscribed nor started, or is awaited for one;
                called on the running loop, and again where a consumer has to be replaced.
            producer_factory: likewise an AIOKafkaProducer; left out, one that reaches the consumer's cluster with the
                consumer's settings. Started and stopped here.
            start_timeout: seconds for `start()`.

        Raises ValueError for parsers that cannot be meant.
        """
        self._routes = Routes(parsers)
        self._reply_topics = [(REPLY_TOPIC, topic.encode()) for topic in self._routes.by_topic]
        self._waiters = Waiters()
        self._replies = Replies(self._routes, self._waiters, lambda: self._link.reader)
        self._counts = self._replies.counts

        def reader() -> Reader:
            return Reader(
                self._routes.topics, consumer_factory, self._replies, auto_commit=None, start_timeout=start_timeout
            )

        self._link = Link(reader, producer_factory, start_timeout)

    # --- started and stopped -------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Return once every partition of the reply topics has a position, so that no reply can be missed.

        Raises KafkaError, TopicMissing, Unreachable, RuntimeError (see `Reader.start`), and leaves nothing behind;
        MessagingStoppedError after `stop()`.
        """
        await self._link.start()

    async def stop(self) -> None:
        """Fail what is pending with MessagingStoppedError, at once; then close the consumer and the producer."""
        self._link.stopped = True
        for waiter in self._waiters.all():
            self._end(waiter, MessagingStoppedError(f"stopped while the request {waiter.id} waited for its reply"))
        await self._link.stop()

    async def __aenter__(self) -> "KafkaRPC":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def stats(self) -> RPCStats:
        return RPCStats(
            **{**{each.name: self._counts[each.name] for each in fields(RPCStats)}, "pending": len(self._waiters)}
        )

    # --- requests ------------------------------------------------------------------------------------------------

    @overload
    async def request(
        self,
        req_topic: str,
        req_value: Any,
        *,
        res_expect_type: type[T],
        req_key: Any = ...,
        req_headers: Headers | None = ...,
        req_headers_reply_to: str | Sequence[str] | None = ...,
        res_timeout: float = ...,
        correlation_id: str | None = ...,
        propagate_corr_to: Way = ...,
        correlation_header_key: str = ...,
    ) -> T: ...

    @overload
    async def request(
        self,
        req_topic: str,
        req_value: Any,
        *,
        req_key: Any = ...,
        req_headers: Headers | None = ...,
        req_headers_reply_to: str | Sequence[str] | None = ...,
        res_timeout: float = ...,
        res_expect_type: None = ...,
        correlation_id: str | None = ...,
        propagate_corr_to: Way = ...,
        correlation_header_key: str = ...,
    ) -> Any: ...

    async def request(
        self,
        req_topic: str,
        req_value: Any,
        *,
        req_key: Any = None,
        req_headers: Headers | None = None,
        req_headers_reply_to: str | Sequence[str] | None = None,
        res_timeout: float = 30.0,
        res_expect_type: type[Any] | None = None,
        correlation_id: str | None = None,
        propagate_corr_to: Way = "both",
        correlation_header_key: str = "request_id",
    ) -> Any:
        """Send a request and return its reply, parsed. Starts the client where nobody has.

        Args:
            req_topic: where the request goes.
            req_value: its value: bytes, or what the producer's serializer takes.
            req_key: its key (texts go as UTF-8), and its correlation id unless that is given.
            req_headers: pairs of names and bytes (or texts), or a mapping.
            req_headers_reply_to: the reply topics to name, of those that have a parser; all of them if left out.
            res_timeout: seconds for sending and waiting.
            res_expect_type: take a reply only as a value of this type, or of one derived from it; go on waiting
                otherwise.
            correlation_id: of the caller's own choice; else `req_key`, else random.
            propagate_corr_to: "key", "header" or "both": where the id travels.
            correlation_header_key: the header for it.

        Raises TimeoutError where no reply came in time, RPCError where the server answered with an error,
        MessagingStoppedError where the client is stopped, KafkaError where the request could not be delivered, and
        ValueError for arguments that cannot be meant.
        """
        headers, reply_to = pairs(req_headers), self._reply_to(req_headers_reply_to)
        if not isinstance(res_timeout, int | float) or not res_timeout > 0:
            raise ValueError(f"res_timeout is a number of seconds above 0; it is {res_timeout!r}")
        if req_value is None and req_key is None and propagate_corr_to == "header":
            raise ValueError("a record without a value needs a key")
        if self._link.producer is None or self._link.stopped:
            check(correlation_id, propagate_corr_to, correlation_header_key)  # rather than after a start
            await self._link.start()
        loop = asyncio.get_running_loop()
        waiter = self._waiters.add(
            loop.create_future(), correlation_id, req_key, propagate_corr_to, correlation_header_key, res_expect_type
        )
        self._counts["requests"] += 1
        timer = loop.call_later(res_timeout, self._late, waiter, req_topic, res_timeout)
        try:
            key, headers = outgoing(waiter, req_key, propagate_corr_to, correlation_header_key, headers, reply_to)
            await self._send(waiter, req_topic, req_value, key, headers)
            return await waiter.future
        finally:
            timer.cancel()
            self._waiters.retire(waiter)
            if not waiter.future.cancel() and not waiter.future.cancelled():
                waiter.future.exception()  # where we were cancelled in the same moment, nobody else will ask for it

    def _reply_to(self, asked: str | Sequence[str] | None) -> Sequence[Header]:
        if asked is None:
            return self._reply_topics
        topics = list(dict.fromkeys([asked] if isinstance(asked, str) else asked))
        unknown = [topic for topic in topics if topic not in self._routes.by_topic]
        if unknown or not topics:
            known = ", ".join(self._routes.by_topic)
            raise ValueError(f"replies come on topics that have a parser ({known}); {unknown or 'none'} was asked for")
        return [(REPLY_TOPIC, topic.encode()) for topic in topics]

    async def _send(self, waiter: Waiter, topic: str, value: Any, key: Any, headers: list[Header]) -> None:
        """Hand the request to the producer; whatever ends the waiting ends this too."""
        waiter.sending = Interrupt()
        try:
            with waiter.sending:
                producer = await self._link.alive()
                if isinstance(key, str) and producer._key_serializer is None:
                    key = key.encode()
                waiter.delivery = await producer.send(topic, value, key=key, headers=headers)
                # Not waited for: the reply may come first, and does without acks.
                waiter.delivery.add_done_callback(partial(self._delivered, waiter))
        except Exception:
            self._counts["failed"] += 1
            raise
        finally:
            waiter.sending = None

    def _delivered(self, waiter: Waiter, delivery: "asyncio.Future[Any]") -> None:
        error = None if delivery.cancelled() else delivery.exception()
        if error is not None:
            self._end(waiter, error)

    def _late(self, waiter: Waiter, topic: str, seconds: float) -> None:
        why = ""
        if waiter.delivery is None:
            why = "; it could not even be sent (no metadata of the topic, or no room in the producer)"
        elif not waiter.delivery.done():
            why = "; no broker has acknowledged it"
        elif waiter.unfit:
            why = f"; {waiter.unfit} of its replies fitted no parser, or were not of the type that was asked for"
        elif self._replies.sharing:
            why = "; another member of the consumer group has some of the reply partitions"
        self._end(waiter, TimeoutError(f"no reply to the request {waiter.id} on {topic} within {seconds:g} s{why}"))

    def _end(self, waiter: Waiter, error: BaseException) -> None:
        """It gets no reply any more."""
        if waiter.future.done():
            return
        if isinstance(error, TimeoutError):
            self._counts["timeouts"] += 1
        else:
            self._counts["failed"] += 1
        waiter.future.set_exception(error)
        self._waiters.retire(waiter)
        if waiter.sending is not None:
            waiter.sending.fire()
