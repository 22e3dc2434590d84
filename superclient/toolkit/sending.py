"""The core of a producer: a record into the library's queue, and waiting for what becomes of it.

Nothing here knows asyncio. `offer` never waits, so that an event loop may call it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, repeat
from operator import length_hint
from types import MethodType
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from superclient.errors import KafkaProducerFatalError, KafkaTransactionError
from superclient.toolkit import codes, records
from superclient.toolkit.config import ProducerConfig
from superclient.toolkit.deliveries import Failures, Receipts, Report, Taking, failure
from superclient.toolkit.records import Fields
from superclient.toolkit.results import ProduceResult

_log = logging.getLogger("superclient.toolkit")

SERVE_EVERY = 256  # records that nobody waits for, after which their delivery reports are served
_FIRST, _LONGEST = 0.005, 0.1  # seconds of one call that waits for delivery; no signal interrupts it
_PURGED = 1.0  # seconds in which what is given up is reported
_LOOKS = 5.0  # seconds
_DELIVERY_TIMEOUT = 300_000.0  # milliseconds, librdkafka's default


class Sender:
    """A confluent_kafka.Producer, and the failures of records that nobody waits for."""

    def __init__(self, config: ProducerConfig) -> None:
        settings = config.to_library()
        if "on_delivery" in settings:
            raise ValueError("on_delivery is not called here: what became of a record is in its result")
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
            return failure(topic, error, partition)  # it is larger than the whole queue, or the brokers are away
        except KafkaException as error:
            return self._refused(topic, error, partition)
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
                self.serve(_LONGEST)

    def put_all(
        self, topic: str, found: Sequence[bytes | Fields], partition: int | None, take: Taking | None
    ) -> Iterator[tuple[int, ProduceResult]]:
        """The same for many that were checked (`records.batch`); the places and results of those that are refused.

        `take` is called with a record's place and its report; None: nobody waits for them.
        """
        anywhere, start = -1 if partition is None else partition, 0
        while start < len(found):
            some = found[start : start + SERVE_EVERY]
            taken = self._offer_some(topic, some, anywhere, self._reports(take, start))
            start += taken
            if taken < len(some):
                record = found[start]
                whole = (topic, record, None, anywhere, None, 0) if isinstance(record, bytes) else record
                refused = self.put(next(self._reports(take, start)), whole)
                if refused:
                    yield start, refused
                start += 1
            self.serve(0)

    def _offer_some(self, topic: str, some: Sequence[bytes | Fields], anywhere: int, reports: Iterator[Report]) -> int:
        """Hand records over, with no line of Python for each; how many there are before the first that is refused."""
        columns: Sequence[Iterable[Any]]
        values: Iterator[Any]
        if isinstance(some[0], bytes):
            values = iter(some)
            columns = repeat(topic), values, repeat(None), repeat(anywhere), reports
        else:
            topics, data, keys, places, headers, stamps = zip(*some, strict=True)
            values = iter(data)
            columns = topics, values, keys, places, reports, repeat(None), stamps, headers
        try:
            deque(map(self.client.produce, *columns), maxlen=0)
        except (BufferError, KafkaException):
            return len(some) - length_hint(values) - 1
        return len(some)

    def _reports(self, take: Taking | None, start: int) -> Iterator[Report]:
        """For each record from a place on; a bound method is the cheapest callable that knows a number."""
        return repeat(self.failures.arrived) if take is None else map(MethodType, repeat(take), count(start))

    def wait(self, receipts: Receipts) -> list[ProduceResult]:
        """The results, once all are there, without waiting for linger.ms; one thread of many serves the reports."""
        slice_ = _FIRST
        while not receipts.done:
            if self._serving.acquire(blocking=False):
                try:
                    self._flush(slice_)
                finally:
                    self._serving.release()
            else:
                receipts.wait(slice_)
                if not receipts.done:
                    self.serve(0)  # in a callback that the one who serves is in, nobody else would
            slice_ = min(_LONGEST, slice_ * 1.25)
        return receipts.results

    def flush(self, timeout: float | None = None, stop: Callable[[], bool] = bool) -> int:
        """Wait until nothing is on its way, so many seconds, or until `stop`; how many records still are.

        What a callback of the configuration raises is raised after that.
        """
        deadline = time.monotonic() + (float("inf") if timeout is None or timeout < 0 else timeout)
        raised: Exception | None = None
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                remaining = self._flush(min(_LONGEST, left))
            except Exception as error:
                raised, remaining = raised or error, len(self.client)
            if not remaining or not left or stop():
                break
        if raised is not None:
            raise raised
        return remaining

    def shut(self) -> None:
        """Give up what is on its way, each record with its report, and let go of the client."""
        try:
            if len(self.client):
                self.client.purge()
                self.flush(_PURGED)
        finally:
            self.client = CLOSED

    def serve(self, timeout: float) -> int:
        """Serve reports and callbacks, waiting so many seconds for the first; how many there were."""
        try:
            served: int = self.client.poll(timeout)
        except KafkaException as error:
            _fatal(error)
            return 1
        return served

    def _flush(self, timeout: float) -> int:
        try:
            remaining: int = self.client.flush(timeout)
        except KafkaException as error:
            _fatal(error)
            return len(self.client)
        return remaining

    def _refused(self, topic: str, error: KafkaException, partition: int | None) -> ProduceResult:
        if codes.is_any(error, (KafkaError._STATE,)):
            raise KafkaTransactionError(f"{topic}: no transaction is open: begin one first", "_STATE") from None
        return failure(topic, error, partition)


class _Closed:
    """In the place of a client that was closed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise KafkaProducerFatalError("the producer is closed")

    def __len__(self) -> int:
        return 0


CLOSED = _Closed()


def _fatal(error: KafkaException) -> None:
    """The library tells once of an error that is fatal to the producer, by raising it in whatever serves its reports.

    Each record on its way has its own report of it, and each later one is refused with it, so that a log line will do.
    """
    found = codes.error_of(error)
    if found is None or not found.fatal():  # a callback of the configuration raised it
        raise error
    _log.error("the producer cannot go on: %s", codes.producer_error(error))


def _delivery_timeout(settings: Mapping[str, Any]) -> float:
    """Seconds after which the library has given a record up for certain; it looks about once a second."""
    for name in ("message.timeout.ms", "delivery.timeout.ms"):
        if name in settings:
            return (float(settings[name]) / 1000 or float("inf")) + _LOOKS
    return _DELIVERY_TIMEOUT / 1000 + _LOOKS
