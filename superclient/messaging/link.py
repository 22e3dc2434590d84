"""A reader and a producer that begin and end together: what requester and server have in common."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import KafkaTimeoutError

from superclient.errors import MessagingStoppedError, Unreachable
from superclient.messaging.connection import closed, producer_like, started
from superclient.messaging.interrupts import Interrupt
from superclient.messaging.reader import Reader
from superclient.messaging.tasks import ended, through
from superclient.messaging.told import logger

ProducerFactory = Callable[[], Any]  # makes an AIOKafkaProducer, or is awaited for one

_FLUSH = 5.0  # seconds for records on their way when it is stopped


class Link:
    """Started by whoever comes first, stopped once.

    Attributes:
        reader: None before the start.
        producer: None until both are ready.
        stopped: whether somebody has called `stop`.
    """

    def __init__(
        self,
        reader: Callable[[], Reader],
        producer_factory: ProducerFactory | None,
        start_timeout: float,
        between: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`between`: called at the end when nothing is read any more, and may still produce.

        Raises ValueError for what cannot be meant, also by the reader.
        """
        if not (producer_factory is None or callable(producer_factory)):
            raise ValueError(f"producer_factory is called for a new producer; it is {producer_factory!r:.100}")
        reader()  # says now what it would say at the start
        self.reader: Reader | None = None
        self.producer: Any = None
        self.stopped = False
        self._new_reader = reader
        self._producer_factory = producer_factory
        self._start_timeout = start_timeout
        self._between = between
        self._made: Any = None
        self._lock = asyncio.Lock()
        self._starting = Interrupt()

    async def start(self) -> None:
        """Return once both are ready; on failure or cancellation nothing is left, and it may be called again.

        Raises what keeps the consumer from its partitions, or the producer from its brokers; MessagingStoppedError
        after `stop()`.
        """
        async with self._lock:
            if self.stopped:
                raise MessagingStoppedError("it was stopped; make a new one")
            if self.producer is not None:
                return
            try:
                with self._starting:
                    await self._open()
                if self.stopped:
                    raise MessagingStoppedError("it was stopped while it started")
            except BaseException:
                await self._close()
                raise

    async def stop(self) -> None:
        """End both: the reader finishes what it has taken first. A start that is under way ends at once."""
        self.stopped = True
        self._starting.fire()
        async with self._lock:
            await self._close()

    async def alive(self) -> Any:
        """The producer; another one where it has died, as aiokafka's do of an error that they do not know."""
        if self.producer is not None and not _dead(self.producer):
            return self.producer
        async with self._lock:
            if self.stopped or self.producer is None:
                raise MessagingStoppedError("it was stopped")
            if _dead(self.producer):
                logger.warning("the producer has died; making another one")
                with self._starting:
                    dead, self._made = self._made, await self._new()
                    self.producer = self._made
                    await _end(dead)
                if self.stopped:
                    raise MessagingStoppedError("it was stopped")
            return self.producer

    async def _open(self) -> None:
        if self._producer_factory is not None:  # first, so that a group is joined only by who can answer it
            self._made = await self._new()
        self.reader = self._new_reader()
        await self.reader.start()
        if self._made is None:
            self._made = await self._new()
        self.producer = self._made

    async def _new(self) -> Any:
        """A producer that has reached its brokers."""
        if self._producer_factory is not None:
            producer = await _made(self._producer_factory)
        elif self.reader is not None and self.reader.consumer is not None:
            producer = producer_like(self.reader.consumer)
        else:
            raise Unreachable("there is no consumer at the moment whose settings a producer could have")
        try:
            await self._connect(producer)
        except BaseException:
            await closed(producer)
            raise
        return producer

    async def _connect(self, producer: Any) -> None:
        starting = asyncio.ensure_future(started(producer))
        try:
            await asyncio.wait({starting}, timeout=self._start_timeout)
            if not starting.done():
                raise Unreachable(f"the producer has reached no broker within {self._start_timeout:g} s")
            starting.result()
        finally:
            await ended(starting)

    async def _close(self) -> None:
        try:
            if self.reader is not None:
                await self.reader.stop()
        finally:
            self.reader = None
            try:
                if self._between is not None:
                    await self._between()
            finally:
                producer, self._made, self.producer = self._made, None, None
                if producer is not None:
                    await _end(producer)


def _dead(producer: Any) -> bool:
    """Whether the task by which it lives has ended: then it delivers nothing any more."""
    sender = producer._sender.sender_task
    return sender is not None and bool(sender.done())


async def _made(factory: ProducerFactory) -> Any:
    """A new producer of the program's. Raises RuntimeError for one that cannot be used."""
    producer = factory()
    if inspect.isawaitable(producer):
        producer = await producer
    if not hasattr(producer, "send_and_wait"):
        raise RuntimeError(f"producer_factory has to return an AIOKafkaProducer; it returned {type(producer).__name__}")
    if producer._sender.sender_task is not None or producer._closed:
        raise RuntimeError("producer_factory has to make a new producer, and to leave it to us to start it")
    if producer._txn_manager is not None and producer._txn_manager.transactional_id is not None:
        await closed(producer)
        raise RuntimeError("the producer is transactional, and nobody would begin and end its transactions")
    return producer


async def _end(producer: Any) -> None:
    """Deliver what is on its way, within seconds; then close it. Cancelling does not keep it from that."""
    try:
        if not await through(producer.flush(), _FLUSH, insist=True):
            # Its own end waits for them for as long as their time-out, whatever the brokers do.
            producer._message_accumulator.fail_all(KafkaTimeoutError("the producer was stopped"))
    finally:
        await closed(producer)
