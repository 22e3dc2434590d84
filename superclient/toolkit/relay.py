"""ExactlyOnceRelay: every record of one topic into another, once, whatever crashes in between.

    consumer = KafkaConsumer(ConsumerConfig("localhost:9092", "copier"))
    producer = KafkaProducer(ProducerConfig("localhost:9092", transactional_id="copier-1"))
    relay = ExactlyOnceRelay(consumer, producer)
    relay.run("orders", "orders-copy")             # until relay.stop(), from any thread or signal handler

A batch of records and the offsets behind them are committed in one transaction (Kafka's KIP-98, KIP-447): who reads the
target with read_committed sees both or neither. Key, value, headers, timestamp and the order within a partition are
kept. Any number of relays may share a group, each with a transactional id of its own, kept over restarts.

    relay.py        the public class; forwarding.py what becomes of a record
    flow.py         the pump: fetches, and shares records out; ends.py tells when there are no more
    lanes.py        a thread for each transaction that may be under way; carrier.py that transaction
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from superclient import _backoff
from superclient.errors import RelayError
from superclient.toolkit import events
from superclient.toolkit.carrier import Broken
from superclient.toolkit.consumer import KafkaConsumer
from superclient.toolkit.ends import topic_partitions
from superclient.toolkit.flow import SLICE, Flow
from superclient.toolkit.forwarding import DROP, KEEP, RelayRecord, Target, Transform
from superclient.toolkit.producer import KafkaProducer
from superclient.toolkit.records import topic_name
from superclient.toolkit.results import RelayResult

__all__ = ["DROP", "KEEP", "ExactlyOnceRelay", "RelayRecord"]

LINGER = 0.1  # seconds that a batch which is not full waits for more
GRACE = 30.0  # seconds that a relay which is stopped has for what it has fetched


class ExactlyOnceRelay:
    """Relays records from the consumer to the producer; while it runs both are its own, whoever made them closes them.

    `transform` is called with each record, a MessageResult, and answers the new value (bytes, str, or None for a
    tombstone), a RelayRecord to change key or headers too, or DROP. It is called again for records of a batch that was
    aborted, and from several threads at once where `max_in_flight` is above 1.

    A record for which it raises, or which the target refuses, is tried three times; then it goes to the topic
    `dead_letter`, in the same transaction, with headers that say where it was and why; without one, `run` raises
    RelayError, and nothing is lost.

    `on_event` is called with the name and the fields of each event that is logged as well: `relay_batch_committed`,
    `relay_batch_aborted`, `relay_stream_ended`; from whichever thread.

    Raises:
        ValueError: the producer has no transactional id; the consumer reads uncommitted records, or the offsets of
            transactions that are still open; a number below 1.
        TypeError: `transform` is no function, or an asynchronous one.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        producer: KafkaProducer,
        transform: Transform | None = None,
        batch_size: int = 25,
        dead_letter: str | None = None,
        on_event: Callable[[str, dict[str, object]], object] | None = None,
    ) -> None:
        if producer.transactions is None:
            raise ValueError("the producer is not transactional: exactly once takes a transactional_id")
        if consumer.config.isolation_level != "read_committed":
            raise ValueError(f"isolation_level is {consumer.config.isolation_level}: exactly once takes read_committed")
        if transform is not None and (not callable(transform) or inspect.iscoroutinefunction(transform)):
            raise TypeError(f"transform is {transform!r}: it takes a function that is no coroutine")
        self.consumer, self.producer = consumer, producer
        self.transform, self.dead_letter = transform, dead_letter
        self.batch_size = _at_least_one("batch_size", batch_size)
        self._on_event = on_event
        self._flow: Flow | None = None
        self._running = False
        self._stopped: float | None = None
        consumer.on_assign(lambda found: self._flow.assigned(found) if self._flow else None)
        consumer.on_revoke(lambda found: self._flow.revoked(found) if self._flow else None)
        consumer.on_lost(lambda found: self._flow.revoked(found, lost=True) if self._flow else None)

    def run(
        self,
        source: str,
        target: str,
        max_in_flight: int = 1,
        stop_on_empty: bool = False,
        timeout: float = LINGER,
        grace_period: float = GRACE,
    ) -> RelayResult:
        """Relay until `stop`, or, with `stop_on_empty`, until the source's partitions were read to their end.

        With `max_in_flight` above 1 as many transactions are under way at once, of disjoint partitions, by producers
        with the transactional ids `{transactional_id}-0`, `-1`, …; else by the producer given. `timeout` is how long a
        batch that is not full waits for more records, `grace_period` how long the relay goes on with what it has once
        it is stopped; both in seconds.

        A broker that is away is waited for. Ctrl-C and other exceptions end it with what is not committed aborted.

        Raises:
            ValueError: source and target are the same topic; a number or a topic that cannot be meant.
            KafkaProducerFencedError: another relay uses the transactional id.
            RelayError: a record that cannot be relayed, a topic that is not there, no rights.
            KafkaConsumerError: or the class that fits.
        """
        lanes = _at_least_one("max_in_flight", max_in_flight)
        for topic in (source, target, self.dead_letter):
            if topic is not None:
                topic_name(topic)
        if source in (target, self.dead_letter):
            raise ValueError(f"{source} is both source and target: it would be relayed for ever")
        if timeout < 0 or grace_period < 0:
            raise ValueError("timeout and grace_period take seconds from 0")
        if self._running or self.producer.in_transaction:
            raise RelayError("the relay runs already" if self._running else "the producer has a transaction open")
        self._running, why = True, {}
        try:
            return self._run(source, target, lanes, stop_on_empty, timeout, grace_period)
        except BaseException as error:
            why = {"error": str(error) or type(error).__name__}
            raise
        finally:
            self._running, self._stopped = False, None
            self._tell("relay_stream_ended", {**self.result.to_dict(), **why})

    result = RelayResult()
    """What the run in progress, or the last one, has done."""

    async def arun(
        self,
        source: str,
        target: str,
        max_in_flight: int = 1,
        stop_on_empty: bool = False,
        timeout: float = LINGER,
        grace_period: float = GRACE,
    ) -> RelayResult:
        """As `run`, in a thread of its own. Who is cancelled stops the relay, and waits for it to have ended."""
        with ThreadPoolExecutor(1, "superclient-relay") as thread:
            run = asyncio.get_running_loop().run_in_executor(
                thread, self.run, source, target, max_in_flight, stop_on_empty, timeout, grace_period
            )
            try:
                return await asyncio.shield(run)
            except asyncio.CancelledError:
                while not run.done():
                    self.stop()
                    with suppress(asyncio.CancelledError, Exception):
                        await asyncio.shield(run)
                raise

    def stop(self) -> None:
        """End the run in progress, or the one that is begun next; from any thread or signal handler."""
        # Nothing but this: a signal may come while the same thread holds a lock.
        self._stopped = self._stopped or time.monotonic()

    def _run(
        self, source: str, target: str, lanes: int, stop_on_empty: bool, linger: float, grace: float
    ) -> RelayResult:
        self.result = RelayResult()
        client = self.consumer.client
        partitions, wanted = topic_partitions(client, source), topic_partitions(client, target)
        if self.dead_letter is not None:
            topic_partitions(client, self.dead_letter)
        where = Target(target, wanted if wanted >= partitions else 0, self.transform, self.dead_letter)
        own, renewed = lanes > 1, False
        waits, before = _backoff.delays(0.1, 5.0), 0
        while True:
            flow = self._flow = Flow(
                consumer=self.consumer,
                source=source,
                target=where,
                batch_size=self.batch_size,
                linger=linger,
                transaction_timeout=self.producer.config.transaction_timeout_ms / 1000,
                stopped=lambda: self._stopped,
                tell=self._tell,
                result=self.result,
            )
            try:
                flow.run(self._producers(lanes) if own else [self.producer], own, renewed, stop_on_empty, grace)
                return flow.result
            except Broken as error:
                # With new producers, and partitions read from where the brokers say: they know what was committed.
                own = renewed = True
                self._tell("relay_producer_renewed", {"reason": str(error)})
                if self._stopped is not None:
                    return flow.result
                if flow.result.batches > before:
                    waits, before = _backoff.delays(0.1, 5.0), flow.result.batches
            finally:
                self.result, self._flow = flow.result, None
            self._pause(next(waits))

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._stopped is None and time.monotonic() < until:
            time.sleep(min(SLICE, seconds))

    def _producers(self, lanes: int) -> list[KafkaProducer]:
        config = self.producer.config
        ids = [f"{config.transactional_id}-{n}" for n in range(lanes)] if lanes > 1 else [config.transactional_id]
        return [KafkaProducer(replace(config, transactional_id=one)) for one in ids]

    def _tell(self, event: str, fields: dict[str, object]) -> None:
        events.emit(event, **fields)
        if self._on_event is not None:
            self._on_event(event, fields)


def _at_least_one(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}: it takes a number from 1")
    return value
