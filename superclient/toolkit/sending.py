"""The core of a producer: a record into the library's queue, and waiting for what becomes of it.

Nothing here knows asyncio. `offer` never waits, so that an event loop may call it.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from superclient.errors import KafkaProducerFatalError, KafkaTransactionError
from superclient.toolkit import codes, records
from superclient.toolkit.config import ProducerConfig
from superclient.toolkit.deliveries import Failures, Receipts, failure
from superclient.toolkit.records import Fields
from superclient.toolkit.results import ProduceResult

Report = Callable[[KafkaError | None, Any], object]

_FIRST, _LONGEST = 0.005, 0.1  # seconds of one call that waits for delivery; no signal interrupts it
_PURGED = 1.0  # seconds in which what is given up is reported
_DELIVERY_TIMEOUT = 300_000.0  # milliseconds, librdkafka's default


class Sender:
    """A confluent_kafka.Producer, and the failures of records that nobody waits for."""

    def __init__(self, config: ProducerConfig) -> None:
        settings = config.to_library()
        try:
            self.client: Any = confluent_kafka.Producer(settings)
        except KafkaException as error:
            raise ValueError(f"the producer's configuration: {codes.producer_error(error)}") from error
        self.failures = Failures()
        self.patience = _delivery_timeout(settings)
        self._serving = threading.Lock()  # held by the one waiting caller who serves the reports for all

    def offer(self, report: Report, record: Fields, deadline: float | None = None) -> ProduceResult | None:
        """Hand a record to the library, which will `report`; or the result of one that it refuses.

        Raises:
            BufferError: the queue is full, try again; not after `deadline` (of time.monotonic), or if it cannot help.
            TypeError, ValueError: no such record can be.
            KafkaTransactionError: the producer is transactional, and no transaction is open.
        """
        topic, value, key, partition, headers, timestamp = record
        try:
            self.client.produce(
                topic,
                value,
                key,
                -1 if partition is None else records.number("partition", partition, 2**31),
                report,
                None,
                records.number("timestamp", timestamp, 2**63) if timestamp else 0,
                records.header_list(headers) if headers else None,
            )
        except BufferError as error:
            if deadline is None or (time.monotonic() < deadline and len(self.client)):
                raise
            return failure(topic, error)  # it is larger than the whole queue, or the brokers are away
        except KafkaException as error:
            return self._refused(topic, error)
        except (TypeError, ValueError) as error:
            raise records.misuse(error, topic, value, key) from None
        return None

    def put(self, report: Report, record: Fields) -> ProduceResult | None:
        """The same, waiting for room in the queue for as long as a record in it may take to be delivered."""
        deadline = None
        while True:
            try:
                return self.offer(report, record, deadline)
            except BufferError:
                deadline = deadline or time.monotonic() + self.patience
                self.client.poll(_LONGEST)

    def wait(self, receipts: Receipts) -> None:
        """Wait until they are all there, without waiting for linger.ms; one thread of many serves the reports.

        Where something interrupts it, whatever fails from then on is remembered with the failures.
        """
        slice_ = _FIRST
        try:
            while not receipts.done:
                if self._serving.acquire(blocking=False):
                    try:
                        self.client.flush(slice_)
                    finally:
                        self._serving.release()
                else:
                    receipts.wait(slice_)
                slice_ = min(_LONGEST, slice_ * 1.25)
        except BaseException:
            receipts.abandon()
            raise

    def flush(self, timeout: float | None = None, stop: Callable[[], bool] = bool) -> int:
        """Wait until nothing is on its way, so many seconds, or until `stop`; how many records still are."""
        deadline = time.monotonic() + (float("inf") if timeout is None or timeout < 0 else timeout)
        while True:
            left = max(0.0, deadline - time.monotonic())
            remaining: int = self.client.flush(min(_LONGEST, left))
            if not remaining or not left or stop():
                return remaining

    def shut(self) -> None:
        """Give up what is on its way, each record with its report, and let go of the client."""
        client, self.client = self.client, CLOSED
        if len(client):
            client.purge()
            client.flush(_PURGED)

    def _refused(self, topic: str, error: KafkaException) -> ProduceResult:
        if codes.is_any(error, (KafkaError._STATE,)):
            raise KafkaTransactionError(f"{topic}: no transaction is open: begin one first", "_STATE") from None
        return failure(topic, error)


class _Closed:
    """In the place of a client that was closed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise KafkaProducerFatalError("the producer is closed")

    def __len__(self) -> int:
        return 0


CLOSED = _Closed()


def _delivery_timeout(settings: Mapping[str, Any]) -> float:
    """Seconds in which the library gives a record up."""
    for name in ("message.timeout.ms", "delivery.timeout.ms"):
        if name in settings:
            return float(settings[name]) / 1000 or float("inf")
    return _DELIVERY_TIMEOUT / 1000
