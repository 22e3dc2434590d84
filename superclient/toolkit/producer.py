"""KafkaProducer: records to Kafka, with an honest answer for each: by call, by await, in batches, in transactions.

Here are its faces. The core that hands records over and waits for them is sending.py; the one thread by which asyncio
waits is in serving.py; retry.py decides on another attempt, transacting.py is the `with` block of a transaction.
"""

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaException

from superclient.errors import KafkaTransactionError
from superclient.toolkit import codes, retry, transacting
from superclient.toolkit.codes import FATAL_ERROR_CODES, FENCING_ERROR_CODES, RETRIABLE_ERROR_CODES
from superclient.toolkit.config import ProducerConfig
from superclient.toolkit.deliveries import Receipts, Report, outcome
from superclient.toolkit.records import Data, Fields, HeadersLike, Record, topic_name
from superclient.toolkit.records import batch as checked
from superclient.toolkit.results import QUEUED, ProduceResult, TransactionResult
from superclient.toolkit.sending import CLOSED, SERVE_EVERY, Sender
from superclient.toolkit.serving import AT_ONCE, Landing, Landings, Poller, Worker
from superclient.toolkit.transaction import Transactions

__all__ = ["FATAL_ERROR_CODES", "FENCING_ERROR_CODES", "RETRIABLE_ERROR_CODES", "KafkaProducer"]

_NOT_TAKEN = (BufferError, KafkaException, TypeError, ValueError)  # by the library, which has kept nothing of it
_log = logging.getLogger("superclient.toolkit")


class KafkaProducer:
    """Produces to Kafka; for any number of threads and event loops.

        with KafkaProducer(ProducerConfig("localhost:9092")) as producer:
            result = producer.produce("orders", b"an order", key="42")
            print(result.partition, result.offset)

    What the cluster says of a record is in its result; what cannot be meant (a value that is neither str, bytes nor
    None) raises TypeError or ValueError. The methods of a closed producer raise KafkaProducerFatalError.
    """

    def __init__(self, config: ProducerConfig) -> None:
        """Make it; the cluster is asked for nothing until the first record.

        Raises:
            ValueError: a setting that the library refuses.
        """
        self.config = config
        self._sender = Sender(config)
        self.client: Any = self._sender.client
        """The library's own, for whatever is not here."""
        self.transactions: Transactions | None = None
        if config.transactional_id is not None:
            self.transactions = Transactions(self.client, config.transactional_id)
        self._unwaited = self._sender.failures.arrived  # the delivery report of a record that nobody waits for
        self._queued, self._count = _Queued(), 0
        self._circuit = retry.Circuit()
        self._landings = Landings(outcome, self._unwaited)
        self._landing: Landing | None = None  # the last one
        self._poller = Poller(self._sender.serve, self._landings.settle, "superclient-toolkit-producer")
        self._worker = Worker("superclient-toolkit-calls")
        self._dropped = weakref.finalize(self, _end, self._sender, self._poller, self._worker)
        self._closing = threading.Lock()

    @classmethod
    def from_env_config(cls, env: str | None = None, path: str | None = None, **overrides: Any) -> "KafkaProducer":
        """One with the settings of an environment of the configuration file; `overrides` are fields of ProducerConfig.

        Raises:
            ConfigFileError: the file named is absent, or one that is there is malformed.
        """
        return cls(ProducerConfig.from_env_config(env, path, **overrides))

    # --- records ------------------------------------------------------------------------------------------------------

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

    # --- more attempts ------------------------------------------------------------------------------------------------

    def produce_with_retry(
        self, topic: str, value: Data, *args: Any, max_attempts: int = 5, base_backoff: float = 0.05, **kwargs: Any
    ) -> ProduceResult:
        """As `produce`, which takes the same arguments, up to `max_attempts` times while the error is retriable; after
        the n-th it waits base_backoff·2^(n-1) seconds ± 10 %, a minute at most.

        After the last attempt the topic's circuit is open: until a record is delivered, each call makes one attempt.
        The library itself tries again until delivery.timeout.ms is over. Another attempt after that is another record:
        if the brokers had taken the first one after all, it is there twice, with idempotence as well.

        Raises:
            KafkaProducerError: the last attempt's, of its class.
            TypeError, ValueError: no such record can be.
        """
        plan = self._circuit.attempts(topic, max_attempts, base_backoff, retry.SYNC)
        while True:
            result = self.produce(topic, value, *args, **kwargs)
            delay = plan.after(result)
            if delay is None:
                return result
            time.sleep(delay)

    async def aproduce_with_retry(
        self, topic: str, value: Data, *args: Any, max_attempts: int = 5, base_backoff: float = 0.05, **kwargs: Any
    ) -> ProduceResult:
        """As `produce_with_retry`, for asyncio."""
        plan = self._circuit.attempts(topic, max_attempts, base_backoff, retry.ASYNC)
        while True:
            result = await self.aproduce(topic, value, *args, **kwargs)
            delay = plan.after(result)
            if delay is None:
                return result
            await asyncio.sleep(delay)

    # --- transactions -------------------------------------------------------------------------------------------------

    def transaction(self) -> AbstractContextManager[transacting.Transaction]:
        """A transaction as a `with` block: committed at its end; aborted by what is raised in it, which is raised on.

        Raises:
            KafkaTransactionError: it could not be committed, and was aborted; the brokers did not answer in time, then
                it is open, and `commit` goes on with it; one is open; no transactional id.
            KafkaProducerError: none could be begun, of the class that fits; KafkaProducerFencedError: a newer producer
                has the transactional id.
        """
        return transacting.transaction(self)

    def atransaction(self) -> AbstractAsyncContextManager[transacting.Transaction]:
        """As `transaction`, for asyncio. Who is cancelled while it commits waits for the outcome all the same."""
        return transacting.atransaction(self)

    def begin(self) -> TransactionResult:
        """Begin a transaction; the first one takes the transactional id from whoever had it.

        Raises:
            KafkaTransactionError: one is open; the producer has no transactional id.
        """
        return self._steps().begin()

    def commit(self) -> TransactionResult:
        """Commit what is open, once all its records are delivered. Not a success: `abort` is what remains.

        Raises:
            KafkaTransactionError: none is open; the producer has no transactional id.
        """
        return self._steps().commit()

    def abort(self) -> TransactionResult:
        """Abort what is open; its records, also those that were not delivered, do not matter any more.

        Raises:
            KafkaTransactionError: none is open; the producer has no transactional id.
        """
        return self._steps().abort()

    async def abegin(self) -> TransactionResult:
        """As `begin`, for asyncio."""
        return await self._worker.finish(self._begin)

    async def acommit(self) -> TransactionResult:
        """As `commit`, for asyncio. Who is cancelled waits for the outcome all the same."""
        return await self._worker.finish(lambda _: self.commit())

    async def aabort(self) -> TransactionResult:
        """As `abort`, for asyncio."""
        return await self._worker.finish(lambda _: self.abort())

    begin_transaction, commit_transaction, abort_transaction = begin, commit, abort

    def send_offsets(self, offsets: Sequence[Any], group_metadata: Any) -> None:
        """Commit a consumer's offsets (TopicPartitions) with the open transaction; `group_metadata` is what its
        `consumer_group_metadata()` answers.

        Raises:
            KafkaProducerError: of the class that fits; `abort` is what remains.
        """
        steps = self._steps()
        try:
            steps.send_offsets(offsets, group_metadata)
        except KafkaException as error:
            raise codes.producer_error(error, f"transactional id {steps.id}: offsets") from error

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and is neither committed nor aborted."""
        return self.transactions is not None and self.transactions.open

    def _begin(self, stop: Callable[[], bool]) -> TransactionResult:
        steps = self._steps()
        patient = steps.patient
        steps.patient = lambda: patient() and not stop()
        try:
            return steps.begin()
        finally:
            steps.patient = patient

    def _steps(self) -> Transactions:
        if self.transactions is None:
            raise KafkaTransactionError("the producer has no transactional id")
        return self.transactions

    # --- the end ------------------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> int:
        """Wait until everything is delivered or has failed, without waiting for linger.ms; how many records are left.

        `timeout` in seconds; None is as long as it takes, which delivery.timeout.ms bounds.

        Raises:
            KafkaProducerError: records that nobody waited for were not delivered; the first one's, of its class.
        """
        remaining = self._sender.flush(timeout)
        self._throw()
        return remaining

    async def aflush(self, timeout: float | None = None) -> int:
        """As `flush`, for asyncio."""
        remaining = await self._worker.run(partial(self._sender.flush, timeout))
        self._throw()
        return remaining

    def poll(self, timeout: float = 0) -> int:
        """Serve what the library has to report, waiting so many seconds for it; how much there was."""
        return self._sender.serve(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Abort what is open, flush for so many seconds (None: as `flush`), give up the rest, and let go of the client.

        Raises:
            KafkaProducerError: as `flush`. The producer is closed all the same.
        """
        self._close(timeout)
        self._throw()

    async def aclose(self, timeout: float | None = None) -> None:
        """As `close`, for asyncio. Who is cancelled gives up what is on its way."""
        if self.client is not CLOSED:
            await self._worker.run(partial(self._close, timeout))
        self._throw()

    def _throw(self) -> None:
        """Raise what was lost; but an aborted transaction's records are not: `abort` or the block has told."""
        if self.transactions is not None and not self.in_transaction:
            self._sender.failures.forget()
        self._sender.failures.throw()

    def _close(self, timeout: float | None, stop: Callable[[], bool] = bool) -> None:
        with self._closing:
            if self.client is CLOSED:
                return
            try:
                if self.in_transaction:
                    self.abort()
                self._sender.flush(timeout, stop)
            finally:
                self.client = CLOSED
                if self.transactions is not None:
                    self.transactions.release(CLOSED)
                self._poller.end()
                self._dropped.detach()
                self._worker.end()
                self._sender.shut()

    def __enter__(self) -> "KafkaProducer":
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close; where the block raises, what was not delivered is only logged."""
        try:
            self.close()
        except Exception as lost:
            if error is None:
                raise
            _log.warning("closing the producer: %s", lost)

    async def __aenter__(self) -> "KafkaProducer":
        """Itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close; where the block raises, what was not delivered is only logged."""
        try:
            await self.aclose()
        except Exception as lost:
            if error is None:
                raise
            _log.warning("closing the producer: %s", lost)


class _Queued(dict[str, ProduceResult]):
    """The answer for a topic's queued records: one for all, made, and its name checked, for the first."""

    def __missing__(self, topic: str) -> ProduceResult:
        if len(self) >= 1000:  # of a program that makes up topics
            self.clear()
        answer = self[topic] = ProduceResult(QUEUED, topic_name(topic))
        return answer


def _end(sender: Sender, poller: Poller, worker: Worker) -> None:
    """A producer that nobody closed is dropped."""
    poller.end(wait=False)
    worker.end()
    try:
        left = sender.flush(0)
    except Exception as error:  # of a callback in the configuration
        _log.warning("dropping a producer: %s", error)
        return
    if left:
        _log.warning("a producer was dropped with %d records on their way: close it, or use it in a with block", left)
