"""Whether a record that was not delivered is tried again, and when: a plan that neither produces nor waits.

The circuit of a topic opens when the last attempt has failed: the brokers are away for longer than a record can wait,
and from then on each record makes one attempt alone. One that is delivered closes it.
"""

from collections.abc import Iterator

from superclient._backoff import delays
from superclient.errors import KafkaProducerRetriableError
from superclient.toolkit import events, metrics
from superclient.toolkit.results import ProduceResult

SYNC, ASYNC = "produce", "produce_async"  # what the events begin with
_LONGEST = 60.0  # seconds


class Circuit:
    """The topics for which it is open."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    def is_open(self, topic: str) -> bool:
        """Whether records for the topic get one attempt."""
        return topic in self._open

    def attempts(self, topic: str, max_attempts: int, base_backoff: float, face: str = SYNC) -> "Attempts":
        """The plan for one record.

        Raises:
            ValueError: fewer than one attempt, a back-off that is negative.
        """
        if max_attempts < 1:
            raise ValueError(f"max_attempts is {max_attempts}: it takes a number from 1")
        if base_backoff < 0:
            raise ValueError(f"base_backoff is {base_backoff}: it takes seconds from 0")
        waits = delays(base_backoff, _LONGEST)
        return Attempts(self, topic, 1 if self.is_open(topic) else max_attempts, waits, face)

    def opened(self, topic: str, face: str, attempts: int, error: Exception) -> None:
        """The last attempt has failed."""
        if topic not in self._open:
            self._open.add(topic)
            events.emit(f"{face}_circuit_open", topic=topic, attempts=attempts, error=str(error))

    def closed(self, topic: str, face: str) -> None:
        """A record was delivered."""
        if topic in self._open:
            self._open.discard(topic)
            events.emit(f"{face}_circuit_closed", topic=topic)


class Attempts:
    """One record's."""

    def __init__(self, circuit: Circuit, topic: str, most: int, waits: Iterator[float], face: str) -> None:
        self._circuit, self._topic, self._most, self._waits, self._face = circuit, topic, most, waits, face
        self._made = 0

    def after(self, result: ProduceResult) -> float | None:
        """Seconds to wait before the next attempt; None when the record was delivered, or queued.

        Raises:
            KafkaProducerError: there is none, and this is the error.
        """
        self._made += 1
        if result.error is None:
            if result.delivered:
                self._circuit.closed(self._topic, self._face)
            return None
        if not isinstance(result.error, KafkaProducerRetriableError):
            raise result.error
        if self._made >= self._most:
            self._circuit.opened(self._topic, self._face, self._made, result.error)
            raise result.error
        metrics.inc("producer.retry")
        return next(self._waits)
