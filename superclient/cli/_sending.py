"""How the commands that produce send: a look at the topic first, many records through one queue, an honest count.

Memory holds what the library's queue holds. What fails ends it; the message says how many records were delivered, or
with transactions committed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from confluent_kafka import KafkaError, KafkaException

from superclient.cli import INTERRUPTED
from superclient.cli._quiet import quiet
from superclient.cli._session import Session, Stop
from superclient.errors import KafkaProducerError, KafkaProducerFatalError, KafkaProducerRetriableError, ToolkitError
from superclient.toolkit import KafkaProducer, codes, metrics
from superclient.toolkit.records import topic_name

if TYPE_CHECKING:
    from superclient.toolkit.config import ProducerConfig

ANSWER = 10.0  # seconds for the cluster to answer at all
_SLICE = 0.25  # seconds between two looks at what the connections say
_CREATION = 3.0  # seconds in which a broker that creates topics by itself has created one
_TELL = 100  # records between two steps of the progress bar
_GATHERED = 10_000  # records of a transaction that are there before it is begun: slow input would let it time out
_REFUSED = ("_AUTHENTICATION", "_SSL")
_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE)


class Outgoing(NamedTuple):
    """A record to send, and where in the input it was found, for messages."""

    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: Sequence[tuple[str, bytes | None]] | None = None
    where: object = None


@contextlib.contextmanager
def producing(
    session: Session, topic: str, config: ProducerConfig, timeout: float | None, stop: Stop | None = None
) -> Iterator[Sending]:
    """A producer for a topic that is there; it is closed afterwards, at once where Ctrl-C ends it.

    Raises:
        ToolkitError: nobody answers within `timeout` seconds, we are refused, or there is no such topic.
        click.UsageError: the output cannot be written; nothing is sent whose answer nobody would see.
    """
    topic_name(topic)
    session.output.prepare()
    with quiet(session), KafkaProducer(config) as producer:
        try:
            partitions = partitions_of(session, producer.client, topic, timeout or ANSWER, stop or Stop())
            yield Sending(session, producer, topic, partitions)
        except KeyboardInterrupt:
            with contextlib.suppress(ToolkitError):
                producer.close(_SLICE)
            raise


class Sending:
    """Sends records to one topic and counts them."""

    def __init__(self, session: Session, producer: KafkaProducer, topic: str, partitions: int) -> None:
        self.session, self.producer, self.topic, self.partitions = session, producer, topic, partitions
        self.sent = 0
        """Records that were handed to the library."""
        self.committed = 0
        """Records of transactions that were committed."""
        self.transactions = 0
        self.bytes = 0
        """Of keys and values."""
        self.started = time.monotonic()
        self._failed_before = metrics.get("producer.delivery.failed")

    @property
    def delivered(self) -> int:
        """Records that the brokers have; exact after a flush."""
        if self.producer.transactions is not None:
            return self.committed
        failed = metrics.get("producer.delivery.failed") - self._failed_before
        return max(0, self.sent - failed - len(self.producer.client))

    def check(self, partition: int, where: object = None) -> None:
        """Whether there is such a partition; the library would wait for it.

        Raises:
            KafkaProducerFatalError: there is none.
        """
        if not 0 <= partition < self.partitions:
            raise KafkaProducerFatalError(
                f"{_place(where)}{self.topic} has no partition {partition}, only 0 to {self.partitions - 1}"
            )

    def all(self, records: Iterable[Outgoing], told: Callable[[int], None] = lambda _: None) -> None:
        """Send them and wait until they are delivered; `told` hears of each.

        Raises:
            ToolkitError: one was not delivered; the message says how many were.
        """
        with self._counting():
            self._enqueue(records, told)
            self.producer.flush()

    def in_transactions(
        self, records: Iterable[Outgoing], size: int | None, stop: Stop, told: Callable[[int], None] = lambda _: None
    ) -> None:
        """Send them in transactions of `size` records, None: in one. After a stop was asked for none is begun.

        Raises:
            ToolkitError: one was not committed, and is aborted; the message says how many records are.
        """
        left = iter(records)
        with self._counting():
            while not stop.requested:
                gathered = list(islice(left, _GATHERED if size is None else min(size, _GATHERED)))
                if not gathered:
                    return
                rest = left if size is None else islice(left, size - len(gathered))
                before = self.sent
                with self.producer.transaction():
                    self._enqueue(chain(gathered, rest), told)
                self.committed += self.sent - before
                self.transactions += 1

    def summary(self, **more: object) -> dict[str, object]:
        """The answer of a command, with what else it has to say."""
        seconds = time.monotonic() - self.started
        return {"topic": self.topic, **more, "delivered": self.delivered, "seconds": round(seconds, 3)}

    def _enqueue(self, records: Iterable[Outgoing], told: Callable[[int], None]) -> None:
        produce, topic, failed, untold = self.producer.produce, self.topic, self._failed_before, 0
        for value, key, partition, headers, where in records:
            if partition is not None:
                self.check(partition, where)
            result = produce(topic, value, key, partition, headers, False)
            self.sent += 1
            if result.error is not None:
                raise type(result.error)(f"{_place(where)}{result.error}", result.error.code)
            self.bytes += len(value or b"") + len(key or b"")
            untold += 1
            if untold == _TELL:
                told(untold)
                untold = 0
                if metrics.get("producer.delivery.failed") != failed:
                    return  # flush, or the commit, says why
        told(untold)

    @contextlib.contextmanager
    def _counting(self) -> Iterator[None]:
        """Says of what ends it early what became of the records before."""
        try:
            yield
        except KeyboardInterrupt:
            with contextlib.suppress(ToolkitError):
                self.producer.flush(_SLICE)
            click.echo(f"{self.session.path}: interrupted; {self._count()}", err=True)
            raise
        except (ToolkitError, ValueError) as error:
            with contextlib.suppress(ToolkitError):
                if self.producer.transactions is None:
                    self.producer.flush()
            text = self.session.explained(error, getattr(error, "code", None))
            raise KafkaProducerError(f"{text}; {self._count()}") from error

    def _count(self) -> str:
        if not self.sent:
            return "nothing was sent"
        done = "delivered" if self.producer.transactions is None else "committed"
        return f"{self.delivered:,} of {self.sent:,} records were {done}"


def transactional(session: Session, given: str | None) -> str | None:
    """The transactional id of the option, else of -X; never one that the file has for others."""
    return session.settings.get("transactional.id") if given is None else given


def configured(session: Session, timeout: float | None, transactional_id: str | None = None) -> ProducerConfig:
    """The producer's configuration; a record is given up after `timeout` seconds unless -X or the file say when."""
    config = session.producer_config(transactional_id=transactional_id)
    if timeout is not None and not {"message.timeout.ms", "delivery.timeout.ms"} & config.additional_config.keys():
        more = {"message.timeout.ms": int(timeout * 1000)}
        return replace(config, additional_config={**config.additional_config, **more})
    return config


def answer(session: Session, summary: dict[str, object], cut: bool) -> int:
    """Print how many records were delivered; the exit status."""
    session.output.document(summary, lambda: f"{summary['delivered']:,} records delivered to {summary['topic']}")
    if cut:
        click.echo(f"{session.path}: interrupted; what came later was not read", err=True)
    return INTERRUPTED if cut else 0


def _place(where: object) -> str:
    return "" if where is None else f"{where}: " if isinstance(where, str) else f"line {where}: "


def partitions_of(
    session: Session, client: Any, topic: str, timeout: float, stop: Stop, creation: float = _CREATION
) -> int:
    """How many partitions the topic has; it may take `creation` seconds to come into being.

    Raises:
        ToolkitError: nobody answers within `timeout` seconds, we are refused, or there is no such topic.
        KeyboardInterrupt: a stop was asked for.
    """
    now = time.monotonic()
    until, created_until = now + timeout, now + min(timeout, creation)
    while True:
        if stop.requested:
            raise KeyboardInterrupt
        try:
            found = client.list_topics(topic, timeout=_SLICE).topics[topic]
        except KafkaException as error:
            client.poll(0)  # lets the library tell the session why
            if session.trouble is not None and session.trouble[0] in _REFUSED:
                raise KafkaProducerFatalError(session.trouble[1], session.trouble[0]) from None
            if not codes.is_any(error, codes.RETRIABLE_ERROR_CODES):
                raise codes.producer_error(error, f"topic {topic}") from None
            if time.monotonic() > until:
                raise KafkaProducerRetriableError(f"no answer within {timeout:g} s", "_TIMED_OUT") from None
            continue
        if found.error is None:
            return len(found.partitions)
        if found.error.code() not in _MISSING:
            raise codes.producer_error(found.error, f"topic {topic}")
        if time.monotonic() > created_until:
            raise KafkaProducerFatalError(f"there is no topic {topic}", "UNKNOWN_TOPIC_OR_PART")
        time.sleep(_SLICE)
