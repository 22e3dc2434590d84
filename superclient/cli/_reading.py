"""How the commands that consume read: where they begin, when they are at the end, and what they commit.

Offsets are stored for what was written and flushed, and for nothing else: a reader that goes away in the middle, a full
disk or a signal leaves the rest to the next one of the group.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import click
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from superclient.cli._offsets_option import Start
from superclient.cli._quiet import quiet
from superclient.cli._session import Session
from superclient.errors import (
    KafkaConsumerError,
    KafkaConsumerFatalError,
    KafkaConsumerRebalanceError,
    KafkaConsumerRetriableError,
)
from superclient.toolkit import ConsumerConfig, KafkaConsumer, codes, positions
from superclient.toolkit.ends import at_end
from superclient.toolkit.records import topic_name

BATCH = 1000  # records of one write
_ANSWER = 10.0  # seconds for a question to the brokers
_GLANCE = 1.0  # seconds for a question whose answer is whether there is one, and between two of them
_END = 5.0  # seconds for the last commit, and for closing: while brokers are away the library waits for minutes
_LOOK = 0.5  # seconds between two looks at whether the end is reached


class Reading:
    """Reads one topic; a `with` block closes the consumer, which commits what was written."""

    def __init__(
        self,
        session: Session,
        topic: str,
        config: ConsumerConfig,
        start: Start | None,
        start_in: int | None,
        partition: int | None,
    ) -> None:
        """`start` is where to begin in partition `start_in`, None: in all; `partition` is the only one to read."""
        self.session, self.topic, self.config = session, topic_name(topic), config
        self._start, self._start_in, self._only = start, start_in, partition
        self._placed: set[int] = set()
        self._next: dict[int, int | None] = {}  # our partitions → the offset of the next record, None: not known yet
        self._stored: dict[int, Any] = {}  # our partitions → what is to be committed
        self._looked = 0.0
        self._away, self._glanced = False, 0.0
        self._over: Exception | None = None  # an error of a connection that was mended since
        self._quiet = contextlib.ExitStack()
        self.assigned = False
        """Whether it has been told what to read; that may be nothing."""
        self.consumer = KafkaConsumer(config)

    def __enter__(self) -> Reading:
        """Begin to read.

        Raises:
            KafkaConsumerError: the brokers do not say where to begin.
        """
        # What the library mends by itself we tell in our own words, once.
        self._quiet.enter_context(quiet(self.session))
        if self._only is None:
            self.consumer.on_assign(self._on_assign)
            self.consumer.on_revoke(self._on_gone)
            self.consumer.on_lost(self._on_gone)
            self.consumer.subscribe([self.topic])
            return self
        try:
            self._check_partition(self._only)
            partitions = [TopicPartition(self.topic, self._only)]
            self._on_assign(partitions)
            self.consumer.client.assign(partitions)
        except KafkaException as error:
            self.__exit__()
            raise codes.consumer_error(error, f"{self.topic}[{self._only}]") from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: Any) -> None:
        """Close it."""
        with self._quiet:
            _within(_END, self.consumer.close)

    def fetch(self, most: int, wait: float) -> list[Any]:
        """Up to `most` records as soon as there are some, [] after `wait` seconds.

        Raises:
            KafkaConsumerError: or the class that fits, where waiting would not help.
        """
        try:
            return self.consumer.fetch(most, wait, gather=False)
        except KafkaConsumerRebalanceError as error:
            cause = error.__cause__
            if isinstance(cause, KafkaException):
                raise codes.consumer_error(cause, self.topic) from error
            raise (cause if isinstance(cause, KafkaConsumerError) else error) from None
        except KafkaConsumerRetriableError as error:
            if error.code == "UNKNOWN_TOPIC_OR_PART":
                raise KafkaConsumerFatalError(f"there is no topic {self.topic}", error.code) from None
            raise

    def written(self, messages: Sequence[Any]) -> None:
        """They were written and flushed: their offsets may be committed."""
        places = list(positions.ends(list(messages)).values())
        for place in places:
            self._next[place.partition] = place.offset
            self._stored[place.partition] = place
        positions.store(self.consumer.client, places)

    def commit(self) -> None:
        """Commit what was written, now.

        Raises:
            KafkaConsumerError: the brokers did not take it.
        """
        if not self.config.enable_auto_commit or not self._stored:
            return
        if not _within(_END, lambda: positions.commit(self.consumer.client, self._stored.values())):
            raise KafkaConsumerRetriableError(
                f"the brokers have not taken the last offsets within {_END:g} s: "
                f"group {self.config.group_id} will read the last records again"
            )
        self._stored.clear()

    def at_end(self, stopped: Callable[[], bool] = bool) -> bool:
        """Whether all that was there has been read; looks every half a second."""
        now = time.monotonic()
        if not self.assigned or now - self._looked < _LOOK:
            return False
        self._looked = now
        return at_end(self.consumer, self.topic, self._next, stopped)

    def silence(self, seconds: float) -> str:
        """Why nothing came for so long, in words.

        Raises:
            KafkaConsumerError: something was in the way.
        """
        error = self.consumer.last_error
        if error is not None and not self._answers():
            raise error
        if not self.assigned:
            raise KafkaConsumerRetriableError(
                f"group {self.config.group_id} assigned no partition of {self.topic} within {seconds:g} s: "
                "the brokers do not answer, or the group is rebalancing; --timeout waits longer"
            )
        if not self._next:
            return f"group {self.config.group_id} has as many members as {self.topic} has partitions, or more"
        return f"nothing more came within {seconds:g} s"

    def _on_assign(self, partitions: list[Any]) -> None:
        self.assigned = True
        new = [one for one in partitions if one.partition not in self._placed]
        if self._start is not None:
            if self._start_in is not None and not self._placed:
                self._check_partition(self._start_in)
            wanted = [one for one in new if self._start_in in (None, one.partition)]
            self._start.place(self.consumer.client, wanted, _ANSWER)
        self._placed.update(one.partition for one in new)
        for one in partitions:
            self._next[one.partition] = one.offset if one.offset >= 0 else None

    def _on_gone(self, partitions: list[Any]) -> None:
        for one in partitions:
            self._next.pop(one.partition, None)
            self._stored.pop(one.partition, None)  # committed by the library, before it let go

    def _check_partition(self, number: int) -> None:
        there = self.consumer.client.list_topics(self.topic, timeout=_ANSWER).topics[self.topic]
        if there.error is not None and there.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaConsumerFatalError(f"there is no topic {self.topic}", "UNKNOWN_TOPIC_OR_PART")
        if there.error is not None:
            raise codes.consumer_error(there.error, f"topic {self.topic}")
        if number not in there.partitions:
            raise KafkaConsumerFatalError(f"{self.topic} has no partition {number}, only 0 to {max(there.partitions)}")

    def _answers(self) -> bool:
        """Whether the brokers do, now: an error of one connection, or of some time ago, is no outage."""
        try:
            self.consumer.client.list_topics(self.topic, timeout=_GLANCE)
        except KafkaException:
            return False
        return True

    def tell_of_outage(self, idle: bool) -> None:
        """Say once that the brokers are away, and once that they are back; `idle`: nothing has come just now."""
        error, now = self.consumer.last_error, time.monotonic()
        if not idle:
            away = False
        elif error is self._over or (not self._away and error is None) or now - self._glanced < _GLANCE:
            return
        else:
            self._glanced = now
            away = not self._answers()
            self._over = None if away else error
        if away and not self._away:
            text = self.session.explained(error, getattr(error, "code", None)) if error is not None else ""
            click.echo(f"{self.session.path}: warning: {text}; waiting for it", err=True)
        elif self._away and not away:
            click.echo(f"{self.session.path}: the brokers are back", err=True)
        self._away = away


def _within(seconds: float, step: Callable[[], object]) -> bool:
    """Whether a step that no signal interrupts is done in time; else it goes on, and the process's end ends it."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            step()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="superclient-consume-end", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    return not thread.is_alive()


def configured(session: Session, group: str | None, default_group: str, isolation: str | None) -> ConsumerConfig:
    """The consumer's configuration; the group is the option's, else the file's, else the command's own."""
    overrides = {"group_id": group, "isolation_level": isolation}
    return session.consumer_config(default_group, **{name: one for name, one in overrides.items() if one is not None})
