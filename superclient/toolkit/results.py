"""What calls of the toolkit answer: plain values, cheap to make, that turn into JSON."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from superclient.errors import KafkaProducerError, ToolkitError

DELIVERED, QUEUED, ERROR = "delivered", "queued", "error"

Headers = Sequence[tuple[str, bytes | None]]


class ProduceResult(NamedTuple):
    """What became of one record.

    `status` is "delivered" (the brokers have acknowledged it: partition, offset and timestamp are set), "queued" (it is
    on its way; `flush` tells how it ends) or "error" (`error` says why it was not delivered, of the class that fits).
    `timestamp` is in milliseconds since 1970.
    """

    status: str
    topic: str
    partition: int | None = None
    offset: int | None = None
    timestamp: int | None = None
    error: KafkaProducerError | None = None

    @property
    def delivered(self) -> bool:
        """Whether the brokers have it."""
        return self.status == DELIVERED

    def to_dict(self) -> dict[str, object]:
        """For JSON; the error as its text."""
        return {**self._asdict(), "error": None if self.error is None else str(self.error)}


class TransactionResult(NamedTuple):
    """What became of one step of a transaction: its `operation` ("begin", "commit", "abort") and how long it took."""

    transaction_id: str
    success: bool
    operation: str
    error: ToolkitError | None = None
    duration_ms: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """For JSON; the error as its text."""
        return {**self._asdict(), "error": None if self.error is None else str(self.error)}


class RelayResult(NamedTuple):
    """What a relay did until it ended: records and batches that were committed, batches that were aborted."""

    forwarded: int = 0
    batches: int = 0
    aborted: int = 0
    dead_lettered: int = 0

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return self._asdict()


class _Fields(NamedTuple):
    message: Any
    value: bytes | None


class MessageResult(tuple[Any, bytes | None]):
    """One record that was consumed: a view on the library's own message, with its value at hand.

    One is made of every record that is read; so it is a tuple, which takes no line of Python to make or to look into.
    """

    __slots__ = ()

    message = _Fields.message
    """The confluent_kafka.Message, for whatever is not here."""
    value = _Fields.value
    """Its value; None is a tombstone."""

    @classmethod
    def of(cls, message: Any) -> "MessageResult":
        """The one of a confluent_kafka.Message."""
        return cls((message, message.value()))

    @classmethod
    def each(cls, messages: Iterable[Any], values: Iterable[bytes | None]) -> Iterator["MessageResult"]:
        """Those of many, whose values are taken already."""
        return map(cls, zip(messages, values, strict=True))

    @property
    def topic(self) -> str:
        """Its topic."""
        return str(self.message.topic())

    @property
    def partition(self) -> int:
        """Its partition."""
        return int(self.message.partition())

    @property
    def offset(self) -> int:
        """Its offset."""
        return int(self.message.offset())

    @property
    def key(self) -> bytes | None:
        """Its key, None where it has none."""
        key: bytes | None = self.message.key()
        return key

    @property
    def headers(self) -> list[tuple[str, bytes | None]]:
        """Its headers in order, [] where it has none."""
        headers: list[tuple[str, bytes | None]] | None = self.message.headers()
        return headers or []

    @property
    def timestamp(self) -> int | None:
        """Milliseconds since 1970, None where the record has none."""
        kind, stamp = self.message.timestamp()
        return int(stamp) if kind else None

    def to_dict(self) -> dict[str, object]:
        """For JSON: key, value and headers as text; bytes that are no UTF-8 as backslash escapes."""
        return {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp": self.timestamp,
            "key": text(self.key),
            "value": text(self.value),
            "headers": [[name, text(value)] for name, value in self.headers],
        }

    def __repr__(self) -> str:
        return f"MessageResult({self.topic}[{self.partition}]@{self.offset})"


def text(data: bytes | str | None) -> str | None:
    """UTF-8, with backslash escapes for what is none; None stays None."""
    return data.decode("utf-8", "backslashreplace") if isinstance(data, bytes) else data
