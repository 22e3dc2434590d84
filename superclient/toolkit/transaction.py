"""Transactions of one producer: begin, commit, abort, each with its result, its log event and its counter.

The steps block as long as the brokers take; the asyncio face runs them on the client's own thread. Nothing here decides
whether to try again: what failed is aborted, and whoever owns the records begins anew (Kafka's KIP-98, KIP-447).
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from superclient.errors import KafkaProducerFencedError, KafkaTransactionError, ToolkitError
from superclient.toolkit import codes, events, metrics
from superclient.toolkit.results import TransactionResult

BEGIN, COMMIT, ABORT = "begin", "commit", "abort"
DEFAULT_TIMEOUT = 60.0  # seconds for one step; longer than a broker takes to come back from a restart
_SLICE = 0.5  # seconds of one blocking call: no signal interrupts it


class Transactions:
    """The transactions of a confluent_kafka.Producer; initialised when the first one begins."""

    def __init__(self, client: Any, transactional_id: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._client, self.id, self.timeout = client, transactional_id, timeout
        self._initialised, self._beginning = False, threading.RLock()
        self._interrupted = ""  # the step in whose middle something else was raised: Ctrl-C
        self.open = False
        """Whether one was begun and is neither committed nor aborted."""
        self.last: TransactionResult | None = None
        """The step before this moment; the library's own error is the `__cause__` of its error."""
        self.patient: Callable[[], bool] = lambda: True
        """Asked twice a second while a step waits for the brokers: False ends the waiting, as the time-out does."""

    def initialise(self) -> None:
        """Take the transactional id from whoever had it, and abort what it left open; once.

        Raises:
            KafkaProducerError: or the class that fits.
        """
        if not self._initialised:
            try:
                self._persist("init", self._client.init_transactions)
            except KafkaException as error:
                raise codes.producer_error(error, f"transactional id {self.id}") from error
            self._initialised = True

    def begin(self) -> TransactionResult:
        """Begin one; where none could be begun the result says so.

        Raises:
            KafkaTransactionError: one is open already.
        """
        with self._beginning:  # else the one of two threads that fails would close what the other has opened
            if self.open:
                raise KafkaTransactionError(f"transactional id {self.id}: a transaction is open already")
            started = time.perf_counter()
            try:
                self.initialise()
                self.open = True  # before it is: a signal in between must not leave one that nobody knows of
                self._client.begin_transaction()
            except KafkaException as error:
                self.open = False
                return self._done(
                    BEGIN, started, _caused(codes.producer_error(error, f"transactional id {self.id}"), error)
                )
            except ToolkitError as error:
                return self._done(BEGIN, started, error)
            return self._done(BEGIN, started)

    def send_offsets(self, offsets: Sequence[Any], group_metadata: Any, timeout: float | None = None) -> None:
        """Commit a consumer's offsets with this transaction: TopicPartitions, and `consumer_group_metadata()`.

        Raises:
            KafkaException: the library's own; `abort` is what remains.
        """
        # In one call: this one step cannot be resumed.
        self._client.send_offsets_to_transaction(list(offsets), group_metadata, timeout or self.timeout)

    def commit(self) -> TransactionResult:
        """Commit what is open. Not a success: it is still open, and `abort` is what remains.

        Raises:
            KafkaTransactionError: none is open.
        """
        return self._end(COMMIT, self._client.commit_transaction)

    def abort(self) -> TransactionResult:
        """Abort what is open; after an error that is fatal it is over all the same: the brokers time it out.

        Where the time was too short it is still open, and another `abort` goes on with this one.

        Raises:
            KafkaTransactionError: none is open.
        """
        result = self._end(ABORT, self._client.abort_transaction)
        self.open = result.error is not None and may_go_on(result.error)
        return result

    def release(self, closed: Any) -> None:
        """Let go of the client; `closed` is in its place."""
        self._client, self.open = closed, False

    def _end(self, operation: str, step: Callable[[float], None]) -> TransactionResult:
        if not self.open:
            raise KafkaTransactionError(f"transactional id {self.id}: there is no transaction to {operation}")
        started = time.perf_counter()
        try:
            self._persist(operation, step)
        except KafkaException as error:
            return self._done(operation, started, _failure(error, f"transactional id {self.id}: {operation}"))
        self.open = False
        return self._done(operation, started)

    def _persist(self, operation: str, step: Callable[[float], None]) -> None:
        """Call a step that may be resumed until it is done, or until the time-out; signals are served in between.

        One that was interrupted may have been done all the same, and nothing but the library's state says so.
        """
        deadline = time.monotonic() + self.timeout
        again, self._interrupted = self._interrupted == operation, ""
        while True:
            left = deadline - time.monotonic()
            try:
                step(max(0.01, min(_SLICE, left)))
                return
            except KafkaException as error:
                if again and codes.is_any(error, (KafkaError._STATE,)):
                    return
                if not _resumable(error) or left <= 0 or not self.patient():
                    raise
            except BaseException:
                self._interrupted = operation
                raise

    def _done(self, operation: str, started: float, error: ToolkitError | None = None) -> TransactionResult:
        duration = round((time.perf_counter() - started) * 1000, 3)
        self.last = TransactionResult(self.id, error is None, operation, error, duration)
        fields = {"error": str(error)} if error else {}
        events.emit(f"transaction_{operation}", transaction_id=self.id, duration_ms=duration, **fields)
        if error is None:
            metrics.inc(f"producer.tx.{operation}")
        return self.last


def may_go_on(error: ToolkitError) -> bool:
    """Whether a step that failed so, in a TransactionResult, is still under way: the same call goes on with it."""
    return isinstance(error.__cause__, KafkaException) and _resumable(error.__cause__)


def _resumable(error: KafkaException) -> bool:
    found = codes.error_of(error)
    if found is None or found.code() == KafkaError._CONFLICT:  # another step is under way, and only that can go on
        return False
    return bool(found.retriable()) and not found.txn_requires_abort() and not found.fatal()


def _failure(error: KafkaException, doing: str) -> ToolkitError:
    found = codes.producer_error(error, doing)
    if isinstance(found, KafkaProducerFencedError):
        return _caused(found, error)
    return _caused(KafkaTransactionError(str(found), found.code), error)


def _caused(error: ToolkitError, cause: KafkaException) -> ToolkitError:
    error.__cause__ = cause
    return error
