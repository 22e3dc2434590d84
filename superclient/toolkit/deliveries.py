"""What becomes of records: the library's delivery reports as results, and the failures nobody waits for, remembered.

Reports come on whatever thread polls the client.
"""

import logging
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

from confluent_kafka import KafkaError

from superclient.errors import KafkaProducerError
from superclient.toolkit import codes, metrics
from superclient.toolkit.results import DELIVERED, ERROR, ProduceResult


def outcome(error: KafkaError | None, message: Any) -> ProduceResult:
    """The result that a delivery report means."""
    if error is None:  # without the constructor's own function, which costs as much as all the rest
        _, stamp = message.timestamp()
        return _new(ProduceResult, (DELIVERED, message.topic(), message.partition(), message.offset(), stamp, None))
    return failure(message.topic(), error, message.partition())


def failure(topic: str, error: KafkaError | Exception, partition: int | None = None) -> ProduceResult:
    """The result of a record that was not delivered; counted."""
    metrics.inc("producer.delivery.failed")
    known = partition if partition is not None and partition >= 0 else None
    return ProduceResult(ERROR, topic, known, error=codes.producer_error(error, topic))


Report = Callable[[KafkaError | None, Any], object]  # what the library calls with what became of a record
Taking = Callable[[int, KafkaError | None, Any], object]  # the same for the record at a place among several

_log = logging.getLogger("superclient.toolkit")
_new = tuple.__new__
_NONE = ProduceResult("none", "")  # of a record that is on its way


class Failures:
    """How many records that nobody waits for were not delivered, and the first one's error, until somebody asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._first: KafkaProducerError | None = None

    def arrived(self, error: KafkaError | None, message: Any) -> None:
        """The delivery report of a record that nobody waits for."""
        if error is not None:
            self.add(outcome(error, message))

    def add(self, result: ProduceResult) -> None:
        """Remember a record that was not delivered; the first is logged."""
        with self._lock:
            self._count += 1
            first, self._first = self._first, self._first or result.error
        if first is None:
            _log.warning("a record was not delivered: %s", result.error)

    def forget(self) -> None:
        """They do not matter any more: their transaction was aborted."""
        with self._lock:
            self._count, self._first = 0, None

    def throw(self) -> None:
        """Forget them, and raise the first if there was one.

        Raises:
            KafkaProducerError: or the class that fits.
        """
        with self._lock:
            number, first = self._count, self._first
            self._count, self._first = 0, None
        if first is not None:
            others = f" ({number - 1} more were not delivered)" if number > 1 else ""
            raise type(first)(f"{first}{others}", first.code)


class Receipts:
    """The results of records that somebody waits for, in the order in which they were produced.

    `when_done` is called once, on the thread that brings the last one. For a `with` block: where something interrupts
    it, whatever fails is remembered with the failures.
    """

    def __init__(self, number: int, failures: Failures, when_done: Callable[[], object] | None = None) -> None:
        self.results: list[ProduceResult] = [_NONE] * number
        self._number, self._landed = number, count(1)  # next() of a counter is atomic, unlike +=
        self._failures, self._abandoned = failures, False
        self._failing, self._done = threading.Lock(), threading.Lock()
        if number:
            self._done.acquire()
        self._when_done = when_done

    def taking(self, topic: str) -> Taking:
        """What is called with the place of one of them, all of a topic, and the library's report."""
        results, landed, number, put, all_done = self.results, self._landed, self._number, self.put, self._all_done

        def arrived(index: int, error: KafkaError | None, message: Any) -> None:
            if error is not None:
                put(index, outcome(error, message))
                return
            _, stamp = message.timestamp()
            results[index] = _new(ProduceResult, (DELIVERED, topic, message.partition(), message.offset(), stamp, None))
            if next(landed) == number:
                all_done()

        return arrived

    def put(self, index: int, result: ProduceResult) -> None:
        """The result of one that was not delivered."""
        with self._failing:
            self.results[index] = result
            if self._abandoned:
                self._failures.add(result)
        if next(self._landed) == self._number:
            self._all_done()

    def _all_done(self) -> None:
        self._done.release()
        if self._when_done is not None:
            self._when_done()

    @property
    def done(self) -> bool:
        """Whether all have arrived."""
        return not self._done.locked()

    def wait(self, timeout: float) -> None:
        """Wait until all have arrived; at most so many seconds."""
        if self._done.acquire(timeout=timeout):
            self._done.release()

    def __enter__(self) -> "Receipts":
        """Itself, for whoever produces the records and waits for them."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Where something was raised nobody has seen the results, nor will see those to come."""
        if kind is None:
            return
        with self._failing:
            self._abandoned = True
            for result in self.results:
                if result.error is not None:
                    self._failures.add(result)
