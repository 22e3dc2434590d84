"""KafkaProducer: records to Kafka, with an honest answer for each: by call, by await, in batches, in transactions.

Here are its life, its further attempts (retry.py decides on them) and its transactions (transacting.py is their `with`
block); how it gets records to the brokers is in producing.py.
"""

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaException

from superclient.errors import KafkaTransactionError
from superclient.toolkit import codes, retry, transacting
from superclient.toolkit.codes import FATAL_ERROR_CODES, FENCING_ERROR_CODES, RETRIABLE_ERROR_CODES
from superclient.toolkit.config import ProducerConfig
from superclient.toolkit.producing import RecordProducer
from superclient.toolkit.records import Data
from superclient.toolkit.results import ProduceResult, TransactionResult
from superclient.toolkit.sending import CLOSED, Sender
from superclient.toolkit.serving import Poller, Worker
from superclient.toolkit.transaction import Transactions

__all__ = ["FATAL_ERROR_CODES", "FENCING_ERROR_CODES", "RETRIABLE_ERROR_CODES", "KafkaProducer"]

_log = logging.getLogger("superclient.toolkit")


class KafkaProducer(RecordProducer):
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
        super().__init__(config)
        self.transactions: Transactions | None = None
        if config.transactional_id is not None:
            self.transactions = Transactions(self.client, config.transactional_id)
        self._circuit = retry.Circuit()
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
