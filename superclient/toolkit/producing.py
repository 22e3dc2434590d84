"""Records on their way: by call, by await, in batches; what KafkaProducer does with them.

The core that hands records over and waits for them is sending.py; the one thread by which asyncio waits is in
serving.py.
"""

import asyncio
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from confluent_kafka import KafkaException

from superclient.toolkit.config import ProducerConfig
from superclient.toolkit.deliveries import Receipts, Report, outcome
from superclient.toolkit.records import Data, Fields, HeadersLike, Record, topic_name
from superclient.toolkit.records import batch as checked
from superclient.toolkit.results import QUEUED, ProduceResult
from superclient.toolkit.sending import SERVE_EVERY, Sender
from superclient.toolkit.serving import AT_ONCE, Landing, Landings, Poller

_NOT_TAKEN = (BufferError, KafkaException, TypeError, ValueError)  # by the library, which has kept nothing of it


class RecordProducer:
    """A client with the ways to hand records to it, for any number of threads and event loops."""

    def __init__(self, config: ProducerConfig) -> None:
        self.config = config
        self._sender = Sender(config)
        self.client: Any = self._sender.client
        """The library's own, for whatever is not here."""
        self._unwaited = self._sender.failures.arrived  # the delivery report of a record that nobody waits for
        self._queued, self._count = _Queued(), 0
        self._landings = Landings(outcome, self._unwaited)
        self._landing: Landing | None = None  # the last one
        self._poller = Poller(self._sender.serve, self._landings.settle, "superclient-toolkit-producer")

    def produce(
        self,
        topic: str,
        value: Data,
        key: Data = None,
        partition: int | None = None,
        headers: HeadersLike | None = None,
        flush: bool = True,
        timestamp: int | None = None,
    ) -> ProduceResult:
        """Send a record and wait until the brokers have acknowledged it; without waiting for linger.ms.

        With flush=False it is queued, and that is the answer; `flush` or `close` raises what became of it. Where the
        queue is full it waits for room. `timestamp` is in milliseconds since 1970; None is now.

        Raises:
            TypeError, ValueError: no such record can be.
            KafkaTransactionError: the producer is transactional, and no transaction is open.
        """
        queued = self._queued[topic]
        if flush:
            with Receipts(1, self._sender.failures) as receipts:
                report = partial(receipts.taking(queued.topic), 0)
                refused = self._sender.put(report, (topic, value, key, partition, headers, timestamp))
                return refused or self._sender.wait(receipts)[0]
        self._count += 1
        if not self._count % SERVE_EVERY:
            self._sender.serve(0)
        if partition is None and headers is None and timestamp is None:
            try:  # the shortest way; what it does not take, the other one explains
                self.client.produce(topic, value, key, -1, self._unwaited)
            except _NOT_TAKEN:
                pass
            else:
                return queued
        refused = self._sender.put(self._unwaited, (topic, value, key, partition, headers, timestamp))
        return refused or queued

    async def aproduce(
        self,
        topic: str,
        value: Data,
        key: Data = None,
        partition: int | None = None,
        headers: HeadersLike | None = None,
        flush: bool = True,
        timestamp: int | None = None,
    ) -> ProduceResult:
        """As `produce`, for asyncio; thousands of them at the same time fill one stream of batches.

        Who is cancelled while he waits for room has sent nothing; later, the record goes on its way.
        """
        landing, queued = self._here(), self._queued[topic]
        if not flush:
            record = topic, value, key, partition, headers, timestamp
            return await self._aput(landing, self._unwaited, record) or queued
        waiter: asyncio.Future[ProduceResult] = landing.loop.create_future()
        report = landing.report(waiter)
        if partition is None and headers is None and timestamp is None and not landing.waiting:
            try:
                self.client.produce(topic, value, key, -1, report)
            except _NOT_TAKEN:
                pass
            else:
                return await waiter
        refused = await self._aput(landing, report, (topic, value, key, partition, headers, timestamp))
        return refused or await waiter

    def produce_batch(
        self, topic: str, records: Iterable[Record], partition: int | None = None, flush: bool = True
    ) -> list[ProduceResult]:
        """Send many records, each a value or a mapping of "value", "key", "partition", "headers", "timestamp".

        Their results, in their order, once all are delivered or have failed. With flush=False as `produce`.

        Raises:
            TypeError, ValueError: one of them can be no record; none is sent.
            KafkaTransactionError: the producer is transactional, and no transaction is open.
        """
        found = checked(topic, records, partition)
        queued = self._queued[topic]
        topic = queued.topic
        if not flush:
            results = [queued] * len(found)
            for place, refused in self._sender.put_all(topic, found, partition, None):
                results[place] = refused
            return results
        with Receipts(len(found), self._sender.failures) as receipts:
            for place, refused in self._sender.put_all(topic, found, partition, receipts.taking(topic)):
                receipts.put(place, refused)
            return self._sender.wait(receipts)

    async def aproduce_batch(
        self, topic: str, records: Iterable[Record], partition: int | None = None, flush: bool = True
    ) -> list[ProduceResult]:
        """As `produce_batch`, for asyncio. Who is cancelled has sent those that were handed over until then."""
        found = checked(topic, records, partition)
        landing, queued = self._here(), self._queued[topic]
        topic = queued.topic
        arrived = asyncio.Event()
        results = [queued] * len(found)
        with Receipts(len(found), self._sender.failures, lambda: landing.across(arrived.set)) as receipts:
            take = receipts.taking(topic)
            for place, record in enumerate(found):
                report = partial(take, place) if flush else self._unwaited
                whole = (topic, record, None, partition, None, None) if isinstance(record, bytes) else record
                refused = await self._aput(landing, report, whole)
                if refused:
                    results[place] = refused
                    receipts.put(place, refused)
                if not place % AT_ONCE:
                    await asyncio.sleep(0)
            if not flush:
                return results
            if found:
                await arrived.wait()
            return receipts.results

    def _offer(self, landing: Landing, report: Report, record: Fields) -> ProduceResult | None:
        if landing.waiting:
            raise BufferError("others wait for room already")
        return self._sender.offer(report, record)

    async def _aput(self, landing: Landing, report: Report, record: Fields) -> ProduceResult | None:
        """As `Sender.put`, for asyncio."""
        try:
            return self._offer(landing, report, record)
        except BufferError:
            deadline = time.monotonic() + self._sender.patience
            return await landing.room(partial(self._sender.offer, report, record, deadline))

    def _here(self) -> Landing:
        """Where results come in on the running loop."""
        loop, landing = asyncio.get_running_loop(), self._landing
        if landing is None or landing.loop is not loop:
            self._poller.start()
            landing = self._landing = self._landings.of(loop)
        return landing


class _Queued(dict[str, ProduceResult]):
    """The answer for a topic's queued records: one for all, made, and its name checked, for the first."""

    def __missing__(self, topic: str) -> ProduceResult:
        if len(self) >= 1000:  # of a program that makes up topics
            self.clear()
        answer = self[topic] = ProduceResult(QUEUED, topic_name(topic))
        return answer
