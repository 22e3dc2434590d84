"""One request: what the handler makes of it, and the replies that say so, or why there are none."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from superclient._backoff import delays
from superclient.errors import RPCError, SuperclientError, Unreachable
from superclient.messaging.address import Address
from superclient.messaging.headers import Header, error_headers
from superclient.messaging.interrupts import Interrupt
from superclient.messaging.link import Link
from superclient.messaging.tasks import asked_to_end
from superclient.messaging.told import Told, brief, logger, place

Handler = Callable[[Any], Awaitable[Any]]

_MISSING_SECONDS = 30.0  # for which a reply topic that was not there is not asked for again
_MISSING = 1000  # such topics that are remembered
_DELAYS = (0.1, 5.0)  # seconds between attempts to deliver a reply, at first and at most
_NOTHING = (None, b"", "")  # an error has no value; a serializer may insist on one


class _Reply(NamedTuple):
    value: Any
    error: Sequence[Header] = ()


class Answers:
    """Handles requests and answers them, any number at the same time.

    Attributes:
        counts: what ServerStats tells of them.
    """

    def __init__(
        self,
        link: Link,
        handler: Handler,
        parser: Callable[[Any], Any] | None,
        address: Callable[[Any], Address],
        reply_timeout: float,
    ) -> None:
        """`address`: where the replies of a record go; `reply_timeout`: see KafkaRPCServer."""
        self.counts: Counter[str] = Counter()
        self._link = link
        self._handler = handler
        self._parser = parser
        self._address = address
        self._reply_timeout = reply_timeout
        self._told = Told()
        self._missing: dict[str, float] = {}  # reply topic → until when it is taken for missing
        self._sending: dict[Interrupt, float] = {}  # until when, in that order
        self._overdue: asyncio.TimerHandle | None = None

    async def answer(self, record: Any) -> None:
        """Return when the request is done with. Raises CancelledError where that was asked for, and nothing else."""
        try:
            address = self._address(record)
            reply = await self._handled(record)
            for refused in address.refused:
                self._unanswered(record, refused, "no reply is sent there")
            if len(address.topics) == 1:
                await self._answer(record, address, address.topics[0], reply)
            elif address.topics:
                await asyncio.gather(*(self._answer(record, address, topic, reply) for topic in address.topics))
            elif not address.refused:
                self.counts["one_way"] += 1
        except Exception:  # ours; the next request is another one
            logger.exception("the request at %s", place(record))

    def end(self) -> None:
        """Nothing is sent any more."""
        if self._overdue is not None:
            self._overdue.cancel()

    async def _handled(self, record: Any) -> _Reply:
        """What the handler makes of a request; what it raises is a reply too."""
        try:
            request = record if self._parser is None else self._parser(record)
        except Exception as error:
            self.counts["errors"] += 1
            self._told(record.topic, "the parser failed at %s: %s", place(record), brief(error))
            return _error("BAD_REQUEST", f"the request could not be read: {type(error).__name__}")
        try:
            value = self._handler(request)
            return _Reply(await value if isawaitable(value) else value)
        except RPCError as error:
            self.counts["errors"] += 1
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
        self.counts["errors"] += 1
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
                self.counts["errors"] += 1
                return await self._answer(record, address, topic, _error("REPLY_TOO_LARGE", "the reply is too large"))
            self._unanswered(record, topic, "the reply is too large, and so is an error")
        except (KafkaError, SuperclientError, TimeoutError) as error:
            self._unanswered(record, topic, brief(error))
        except Exception as error:
            if not reply.error:
                self.counts["errors"] += 1
                logger.exception("the reply to the request at %s cannot be sent", place(record))
                return await self._answer(record, address, topic, _error("INTERNAL", type(error).__name__))
            self._unanswered(record, topic, brief(error))
        return None

    async def _send(self, record: Any, address: Address, topic: str, reply: _Reply) -> None:
        headers = [*address.headers, *reply.error]
        for value in _NOTHING if reply.error else (reply.value,):
            key = address.id.encode() if record.key is None and value is None else record.key
            try:
                await self._delivered(topic, value, key, headers)
            except (KafkaError, SuperclientError):
                raise
            except Exception:
                if not reply.error or value == _NOTHING[-1]:
                    raise
            else:
                self.counts["replies"] += 1
                return

    async def _delivered(self, topic: str, value: Any, key: Any, headers: list[Header]) -> None:
        """Return once it is acknowledged. Raises what keeps it from that while brokers can be reached.

        While none can be, it is tried again for as long as the server has: given up, the request would be committed
        without an answer.
        """
        pauses, hopeful = delays(*_DELAYS), True
        while True:
            try:
                await (await self._handed_over(topic, value, key, headers))
            except (KafkaError, Unreachable) as error:
                if not (isinstance(error, Unreachable | KafkaTimeoutError) or error.retriable):
                    raise
                away = not await self._reached()
                if not away and not hopeful:
                    raise
                hopeful = away  # what fails now that they are there may have begun before: it is tried once more
                await asyncio.sleep(next(pauses))
            else:
                return

    async def _reached(self) -> bool:
        """Whether a broker answers."""
        if self._link.producer is None:
            return False
        update = self._link.producer.client.force_metadata_update()
        await asyncio.wait({update}, timeout=self._reply_timeout)
        return update.done() and not update.cancelled() and bool(update.result())

    async def _handed_over(self, topic: str, value: Any, key: Any, headers: list[Header]) -> Any:
        """The producer's promise of a delivery.

        Raises TimeoutError where the topic was not there in time, and Unreachable where that is not the reason.
        """
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
        partitions = client.cluster.partitions_for_topic
        if partitions(topic) is not None or not await self._reached() or partitions(topic) is not None:
            raise Unreachable(f"no broker, or no room in the producer, within {self._reply_timeout:g} s")
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
        self.counts["unanswered"] += 1
        self._told(record.topic, "the request at %s is not answered on %s: %s", place(record), topic, why)


def _error(code: str, message: str) -> _Reply:
    return _Reply(None, error_headers(code, message))
