"""AsyncSmartProducer: a SmartProducer to be awaited, with one thread that serves librdkafka, whatever the load.

Producing is a call into librdkafka's queue and never waits, so it happens on the event loop; thousands of tasks that
produce at the same time fill one stream of batches. Outcomes come in on the thread, and go to the loop together.
"""

import asyncio
import logging
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaException, Message

from superclient.smart.cache.base import Cache
from superclient.smart.config import SmartProducerConfig
from superclient.smart.producer import SmartProducer

log = logging.getLogger("superclient.smart")

TICK = 0.1  # seconds of one call that waits for outcomes
AT_ONCE = 500  # outcomes that are handed out before the loop may do something else
ROOM = 0.05  # seconds after which a full queue is tried again, whether room was heard of or not


class AsyncSmartProducer:
    """Produces to partitions which a consumer group keeps up with; see SmartProducer, of which this is the asynchronous
    form.

        async with AsyncSmartProducer(config) as producer:
            message = await producer.produce("orders", b"an order")

    It may be used on one event loop after the other. Before its end, `stop` it, or use `async with`.
    """

    def __init__(
        self,
        config: SmartProducerConfig | Mapping[str, Any],
        *,
        health_manager: Any = None,
        cache: Cache | None = None,
    ) -> None:
        """See SmartProducer; `health_manager` may be a monitor of either kind."""
        self._producer = SmartProducer(config, health_manager=health_manager, cache=cache)
        self._poller = _Poller(self._producer)
        self._landing: _Landing | None = None
        weakref.finalize(self, self._poller.end)

    async def produce(
        self,
        topic: str,
        value: str | bytes | None = None,
        key: str | bytes | None = None,
        partition: int = -1,
        timestamp: int = 0,
        headers: Any = None,
    ) -> Message:
        """Send a record, and wait until it is delivered: the message, with its partition and offset.

        Where librdkafka's queue is full it waits for room, in the order of the calls, and lets the loop go on. Who is
        cancelled while he waits for room has sent nothing; later, the record goes on its way.

        Raises:
            KafkaException: it could not be delivered, or the producer is not able to take it.
            RuntimeError: the producer was stopped.
            TypeError: what is no record; see `confluent_kafka.Producer.produce`.
        """
        landing = self._here()
        if self._poller.ended:
            raise RuntimeError("the producer was stopped")
        outcome: asyncio.Future[Message] = landing.loop.create_future()
        send = partial(
            self._producer.produce,
            topic,
            value,
            key,
            partition,
            partial(landing.arrived, outcome),
            None,
            timestamp,
            headers,
        )
        if landing.waiting or not _accepted(send):
            await landing.room_for(send)
        landing.pending += 1
        return await outcome

    async def flush(self, timeout: float | None = None) -> int:
        """Wait until everything that was produced on this loop is delivered or has failed, without waiting for linger;
        at most `timeout` seconds. How many records are left."""
        landing = self._here()
        with self._poller.hurrying():
            await landing.quiet(timeout)
        return len(self._producer)

    async def start(self) -> None:
        """Begin; the first `produce` does so too."""
        self._here()

    async def stop(self) -> None:
        """Flush, close, and end the monitor if it is the producer's own; the producer cannot be used any more."""
        await self.flush()
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        self._poller.end(partial(_across, loop, _fulfil, ended, None))
        await ended

    async def __aenter__(self) -> "AsyncSmartProducer":
        """Begin."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Flush and close."""
        await self.stop()

    def __len__(self) -> int:
        """Records that are not delivered yet."""
        return len(self._producer)

    # --- as of confluent_kafka.Producer; calls that wait for the cluster run on a thread ------------------------------

    def purge(self, *args: Any, **kwargs: Any) -> None:
        """Give up what is queued: whoever waits for it gets a KafkaException."""
        self._producer.purge(*args, **kwargs)

    async def list_topics(self, *args: Any, **kwargs: Any) -> Any:
        """The cluster's metadata."""
        return await asyncio.to_thread(self._producer.list_topics, *args, **kwargs)

    async def init_transactions(self, *args: Any) -> None:
        """See confluent_kafka.Producer."""
        await asyncio.to_thread(self._producer.init_transactions, *args)

    async def begin_transaction(self, *args: Any) -> None:
        """See confluent_kafka.Producer."""
        await asyncio.to_thread(self._producer.begin_transaction, *args)

    async def commit_transaction(self, *args: Any) -> None:
        """See confluent_kafka.Producer."""
        await asyncio.to_thread(self._producer.commit_transaction, *args)

    async def abort_transaction(self, *args: Any) -> None:
        """See confluent_kafka.Producer."""
        await asyncio.to_thread(self._producer.abort_transaction, *args)

    async def send_offsets_to_transaction(self, *args: Any) -> None:
        """See confluent_kafka.Producer."""
        await asyncio.to_thread(self._producer.send_offsets_to_transaction, *args)

    def _here(self) -> "_Landing":
        """Where outcomes come in on the running loop."""
        loop, landing = asyncio.get_running_loop(), self._landing
        if landing is None or landing.loop is not loop:
            landing = self._landing = _Landing(loop)
        self._poller.start()
        return landing


class _Landing:
    """One event loop's outcomes. All but `arrived` is called on that loop.

    Attributes:
        pending: records whose outcome is not handed out yet.
        waiting: calls that wait for room in the queue; who comes later waits behind them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.pending = self.waiting = 0
        self._arrived: deque[tuple[asyncio.Future[Message], Any, Message]] = deque()
        self._called = False
        self._line = asyncio.Lock()
        self._watchers: set[asyncio.Future[None]] = set()  # who wants to know of any outcome

    def arrived(self, outcome: "asyncio.Future[Message]", error: Any, message: Message) -> None:
        """The outcome of a record; on the polling thread."""
        self._arrived.append((outcome, error, message))
        if not self._called:
            self._called = True
            _across(self.loop, self._hand_out)

    def _hand_out(self) -> None:
        self._called = False  # before the look: what comes after it calls again
        for _ in range(min(AT_ONCE, len(self._arrived))):
            outcome, error, message = self._arrived.popleft()
            self.pending -= 1
            if outcome.done():  # cancelled
                continue
            if error is None:
                outcome.set_result(message)
            else:
                outcome.set_exception(KafkaException(error))
        for watcher in self._watchers:
            _fulfil(watcher, None)
        if self._arrived and not self._called:
            self._called = True
            self.loop.call_soon(self._hand_out)

    async def room_for(self, send: "partial[None]") -> None:
        """Send when there is room, and everybody who came earlier has sent."""
        self.waiting += 1
        try:
            async with self._line:
                while not _accepted(send):
                    await self._news(ROOM)
        finally:
            self.waiting -= 1

    async def quiet(self, timeout: float | None) -> None:
        """Wait until nothing is pending, or for so many seconds."""
        end = None if timeout is None or timeout < 0 else self.loop.time() + timeout
        while self.pending or self.waiting:
            left = None if end is None else end - self.loop.time()
            if left is not None and left <= 0:
                return
            await self._news(left)

    async def _news(self, timeout: float | None) -> None:
        watcher: asyncio.Future[None] = self.loop.create_future()
        self._watchers.add(watcher)
        try:
            await asyncio.wait([watcher], timeout=timeout)
        finally:
            self._watchers.discard(watcher)


class _Poller:
    """The one thread that serves a producer's outcomes; it knows nothing of the AsyncSmartProducer and ends with it."""

    def __init__(self, producer: SmartProducer) -> None:
        self._producer: SmartProducer | None = producer
        self._thread: threading.Thread | None = None
        self._hurries = 0
        self.ended = False
        self._when_ended: list[Any] = []

    def start(self) -> None:
        """Start, if that is still to be done."""
        if self._thread is None and not self.ended:
            self._thread = threading.Thread(target=self._run, name="superclient-producer", daemon=True)
            self._thread.start()

    def end(self, then: Any = None) -> None:
        """Close the producer, on the thread; then call `then` there. Waits for nothing."""
        if then is not None:
            self._when_ended.append(then)
        if self.ended and self._thread is None:
            self._tell()
        self.ended = True

    def hurrying(self) -> "_Hurry":
        """While this is entered nothing lingers."""
        return _Hurry(self)

    def _run(self) -> None:
        producer = self._producer
        assert producer is not None
        while not self.ended:
            try:
                if self._hurries and len(producer):
                    producer.flush(TICK)
                else:
                    producer.poll(TICK)
            except Exception:  # of a callback in the configuration: there is nobody else to hear of it
                log.exception("a callback of the producer's failed")
        self._producer = None
        try:
            producer.close()
        except Exception:
            log.exception("closing the producer failed")
        del producer
        self._thread = None
        self._tell()

    def _tell(self) -> None:
        while self._when_ended:
            self._when_ended.pop()()


class _Hurry:
    """See _Poller.hurrying."""

    def __init__(self, poller: _Poller) -> None:
        self._poller = poller

    def __enter__(self) -> None:
        self._poller._hurries += 1

    def __exit__(self, *error: object) -> None:
        self._poller._hurries -= 1


def _accepted(send: "partial[None]") -> bool:
    """Whether there was room in the queue."""
    try:
        send()
    except BufferError:
        return False
    return True


def _across(loop: asyncio.AbstractEventLoop, call: Any, *args: Any) -> None:
    """Call something on another thread's loop, as long as that is there."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:  # closed: nobody waits there any more
        pass


def _fulfil(future: "asyncio.Future[Any]", result: Any) -> None:
    if not future.done():
        future.set_result(result)
