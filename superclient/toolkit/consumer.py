"""KafkaConsumer: records one by one, in lists, or as a stream; sync and asyncio over one core (`fetching.py`).

    with KafkaConsumer(ConsumerConfig("localhost:9092", "billing", topics=["orders"])) as consumer:
        for record in consumer.message_stream():      # until consumer.stop(), from any thread or signal handler
            print(record.topic, record.offset, record.value)

Offsets. A record's offset is stored, and committed by auto-commit, when its caller comes back for the next record,
commits, or closes: a program that dies over a record sees it again. Leaving the `with` by an exception stores nothing
of what was in hand.

Errors that librdkafka mends by itself (a broker is away) are logged as warnings and end nothing; `last_error` has the
last one. What it does not mend is raised: a topic that does not exist (KafkaConsumerRetriableError, once: going on
waits for it), no rights, wrong credentials (KafkaConsumerFatalError).

Rebalance callbacks run in the thread that fetches: the caller's own, and the consumer's thread for the asyncio face.
"""

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from superclient.toolkit.config import ConsumerConfig, topic_list
from superclient.toolkit.fetching import Fetcher
from superclient.toolkit.handout import BATCH, Handout
from superclient.toolkit.rebalance import ASSIGN, LOST, REVOKE, Callback
from superclient.toolkit.results import MessageResult

Self = Any  # typing's own is of Python 3.11


class KafkaConsumer:
    """A consumer of a group.

    Every call that reads raises KafkaConsumerError, or the class that fits.

    Raises:
        KafkaException: settings that librdkafka does not take.
    """

    def __init__(self, config: ConsumerConfig) -> None:
        self.config = config
        self._handout = Handout()
        self._fetcher = Fetcher(config, self._handout.completed)
        self._stops = self._stops_seen = 0
        self.client: Any = self._fetcher.client
        """The library's own consumer, for whatever is not here."""
        if config.topics is not None:
            self.subscribe(list(config.topics))

    @classmethod
    def from_env_config(
        cls, env: str | None = None, topics: Sequence[str] | None = None, path: str | None = None, **overrides: Any
    ) -> "KafkaConsumer":
        """From an environment of the configuration file; `overrides` are fields of ConsumerConfig.

        Raises:
            ConfigFileError: the file named is absent, or one that is there is malformed.
        """
        if topics is not None:
            overrides["topics"] = topics
        return cls(ConsumerConfig.from_env_config(env, path, **overrides))

    def subscribe(self, topics: list[str]) -> None:
        """Read these topics from now on, and no others; it does not wait for the brokers.

        Raises:
            TypeError: no list of names.
        """
        self._fetcher.subscribe(topic_list(topics))

    def poll(self, timeout: float | None = 1.0) -> MessageResult | None:
        """The next record; None where there is none within `timeout` seconds (None: wait however long)."""
        self._come_back()
        if not self._handout:
            self._fill(BATCH, timeout, gather=False)
        found = self._handout.give(1)
        return MessageResult(found[0]) if found else None

    def consume_messages(self, max_messages: int, timeout: float | None = 1.0) -> list[MessageResult]:
        """Up to `max_messages` records: as many as there are within `timeout` seconds."""
        if max_messages < 1:
            raise ValueError(f"max_messages is {max_messages}: it takes a number from 1")
        self._come_back()
        missing = max_messages - len(self._handout)
        if missing > 0:
            self._fill(missing, timeout, gather=True)
        return list(map(MessageResult, self._handout.give(max_messages)))

    def message_stream(self, timeout: float = 1.0) -> Iterator[MessageResult]:
        """Records for ever, until `stop`; `timeout` is how long one wait for records takes, in seconds.

        Breaking out of it loses nothing: what was fetched ahead comes with the next call.
        """
        handout, fetcher = self._handout, self._fetcher
        while not self._stopped():
            self._come_back()
            if not handout:
                self._fill(BATCH, timeout, gather=False)
            while handout.at < len(handout.batch):
                yield MessageResult(handout.give(1)[0])
                if self._stops != self._stops_seen or fetcher.epoch != handout.epoch:
                    break
                if time.monotonic() > handout.stale_at:
                    break

    def fetch(self, max_messages: int, timeout: float | None = 1.0) -> list[Any]:
        """Up to `max_messages` of the library's own records within `timeout` seconds; their offsets are never stored.

        Raises:
            KafkaConsumerRebalanceError: a callback raised, with the exception as the cause.
        """
        self._come_back()
        kept = len(self._handout)
        if kept:
            found = self._handout.batch[self._handout.at :][:max_messages]
            self._handout.batch = self._handout.batch[self._handout.at + len(found) :]
            self._handout.at = 0
            return found
        return self._fetcher.fetch(max_messages, timeout)

    def seek_to_offset(self, topic: str, offset: int, partition: int | None = None) -> None:
        """Read on at `offset`: in one partition, or in all that this consumer has of the topic.

        Right after `subscribe` it counts for the first assignment. An offset beyond the end, or before the beginning,
        is for `auto_offset_reset` to decide; a partition that does not exist raises at the next call that reads.

        Raises:
            ValueError: a negative offset or partition.
            KafkaConsumerError: the topic is not subscribed to.
        """
        for name, value in (("offset", offset), ("partition", partition)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise ValueError(f"{name} is {value!r}: it takes a number from 0")
        self._fetcher.seek(topic, offset, partition)

    def commit(self) -> list[Any]:
        """Commit what was handed out so far, the record in hand included; wait for the brokers.

        Returns the offsets that were committed, as TopicPartitions; [] where there was nothing to commit.
        """
        self._handout.came_back()
        return self._fetcher.commit()

    def stop(self) -> None:
        """End the stream in progress, or the one that is begun next; from any thread or signal handler."""
        self._stops += 1
        self._fetcher.hurry()

    def on_assign(self, callback: Callback) -> Callback:
        """Call it with the list of TopicPartitions that were assigned; where it sets an `offset`, it begins there."""
        self._fetcher.rebalances.register(ASSIGN, callback)
        return callback

    def on_revoke(self, callback: Callback) -> Callback:
        """Call it with the list of TopicPartitions that are about to go; `commit` still works in it."""
        self._fetcher.rebalances.register(REVOKE, callback)
        return callback

    def on_lost(self, callback: Callback) -> Callback:
        """Call it with the list of TopicPartitions that are gone already: this consumer was away for too long."""
        self._fetcher.rebalances.register(LOST, callback)
        return callback

    @property
    def last_error(self) -> Exception | None:
        """What librdkafka last said of the connection; None once records or partitions have come again."""
        return self._fetcher.last_error

    def close(self) -> None:
        """Store what was handed out, commit it where auto-commit is on, and leave the group; once more does nothing."""
        self._handout.came_back()
        self._fetcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self._handout.came_back()
        self._fetcher.close()

    def _come_back(self) -> None:
        self._handout.came_back()
        if self._handout and time.monotonic() > self._handout.stale_at:
            self._handout.add(self._fetcher.serve(), self._fetcher.epoch)
        if self._handout.epoch != self._fetcher.epoch:
            self._handout.prune(self._fetcher)

    def _fill(self, most: int, timeout: float | None, gather: bool) -> None:
        records = self._fetcher.fetch(most, timeout, gather)
        self._handout.add(records, self._fetcher.epoch)

    def _stopped(self) -> bool:
        stopped = self._stops != self._stops_seen
        self._stops_seen = self._stops
        return stopped
