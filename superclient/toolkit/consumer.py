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

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Any

from superclient.toolkit.ahead import Ahead
from superclient.toolkit.config import ConsumerConfig, topic_list
from superclient.toolkit.fetching import Fetcher
from superclient.toolkit.handout import Handout
from superclient.toolkit.rebalance import ASSIGN, LOST, REVOKE, Callback
from superclient.toolkit.results import MessageResult

BATCH = 500  # records fetched at once for callers that take them one by one
Self = Any  # typing's own is of Python 3.11


class KafkaConsumer:
    """A consumer of a group.

    Every call that reads raises KafkaConsumerError, or the class that fits.

    Raises:
        KafkaException: settings that librdkafka does not take.
    """

    def __init__(self, config: ConsumerConfig) -> None:
        self.config = config
        self._fetcher = Fetcher(config)
        self._handout = Handout(self._fetcher)
        self._ahead = Ahead(self._fetcher)
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
        self._come_back(BATCH, timeout)
        return next(iter(self._handout.give(1)), None)

    async def apoll(self, timeout: float | None = 1.0) -> MessageResult | None:
        """See poll."""
        await self._acome_back(BATCH, timeout)
        return next(iter(self._handout.give(1)), None)

    def consume_messages(self, max_messages: int, timeout: float | None = 1.0) -> list[MessageResult]:
        """Up to `max_messages` records: as many as there are within `timeout` seconds."""
        self._come_back(_positive(max_messages), timeout, gather=True)
        return self._handout.give(max_messages)

    async def aconsume_messages(self, max_messages: int, timeout: float | None = 1.0) -> list[MessageResult]:
        """See consume_messages. Who is cancelled loses nothing: what came comes with the next call."""
        await self._acome_back(_positive(max_messages), timeout, gather=True)
        return self._handout.give(max_messages)

    def message_stream(self, timeout: float = 1.0) -> Iterator[MessageResult]:
        """Records for ever, until `stop`; `timeout` is how long one wait for records takes, in seconds, at most 1.

        Breaking out of it loses nothing: what was fetched ahead comes with the next call.
        """
        while not self._stopped():
            self._come_back(BATCH, min(timeout, 1.0))
            if self._stops == self._stops_seen:
                yield from self._handout.each()
        self._handout.came_back()

    async def amessage_stream(self, timeout: float = 1.0) -> AsyncIterator[MessageResult]:
        """See message_stream. While the program works on a batch, the consumer's thread fetches the next one.

        Cancelled, wherever it waits, it loses nothing.
        """
        while not self._stopped():
            await self._acome_back(BATCH, min(timeout, 1.0))
            if self._stops != self._stops_seen:
                continue
            self._ahead.start(BATCH if len(self._handout) <= BATCH else 1, min(timeout, 1.0))
            for record in self._handout.each():
                yield record
        self._handout.came_back()

    def fetch(self, max_messages: int, timeout: float | None = 1.0, gather: bool = True) -> list[Any]:
        """Up to `max_messages` of the library's own records within `timeout` seconds; their offsets are never stored.

        Without `gather` it answers the first there are, and waits for no more.

        Raises:
            KafkaConsumerRebalanceError: a callback raised, with the exception as the cause.
        """
        self._come_back(_positive(max_messages), timeout, gather=gather)
        return self._handout.take(max_messages)

    def seek_to_offset(self, topic: str, offset: int, partition: int | None = None) -> None:
        """Read on at `offset`: in one partition, or in all that this consumer has of the topic.

        Right after `subscribe` it counts for the first assignment. An offset beyond the end, or before the beginning,
        is for `auto_offset_reset` to decide; a partition that does not exist raises at the next call that reads.

        Raises:
            ValueError: an offset or a partition that is negative, or larger than Kafka has them.
            KafkaConsumerError: the topic is not subscribed to.
        """
        for name, value, below in (("offset", offset, 2**63), ("partition", partition, 2**31)):
            if value is None and name == "partition":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < below:
                raise ValueError(f"{name} is {value!r}: it takes a number from 0, below {below}")
        self._fetcher.seek(topic, offset, partition)

    def commit(self) -> list[Any]:
        """Commit what was handed out so far, the record in hand included; wait for the brokers.

        Returns the offsets that were committed, as TopicPartitions; [] where there was nothing to commit.
        """
        self._handout.came_back()
        return self._fetcher.commit()

    async def acommit(self) -> list[Any]:
        """See commit."""
        self._handout.came_back()
        return await self._ahead.run(self._fetcher.commit)

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
        self._close()

    async def aclose(self) -> None:
        """See close; the consumer's thread is gone afterwards."""
        self._handout.came_back()
        await self._aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self._handout.came_back()
        self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is None:
            self._handout.came_back()
        await self._aclose()

    def _close(self) -> None:
        try:
            self._fetcher.close()
        finally:
            self._ahead.end()

    async def _aclose(self) -> None:
        if self._fetcher.closed:
            return
        try:
            await self._ahead.run(self._fetcher.close)
        finally:
            self._ahead.end(wait=self._fetcher.closed)  # at once: it has nothing to do any more

    def _come_back(self, most: int, timeout: float | None, gather: bool = False) -> None:
        """The caller is done with what it had, and wants up to `most` records."""
        handout = self._handout
        handout.came_back()
        came = self._ahead.take(wait=True)
        if came is not None:  # the asyncio face was in use as well
            handout.add(*came)
        missing = most - len(handout)
        if missing == most or (gather and missing > 0):
            handout.add(*self._fetcher.fetch(missing, timeout, gather))
        elif handout.turned_stale():
            handout.add(*self._fetcher.serve())

    async def _acome_back(self, most: int, timeout: float | None, gather: bool = False) -> None:
        """The same; the event loop itself never calls the library."""
        handout, ahead = self._handout, self._ahead
        handout.came_back()
        until, stops = None if timeout is None else time.monotonic() + timeout, self._stops
        last = waited = False
        while True:
            came = ahead.take()
            if came is not None:
                handout.add(*came)
                if not waited:  # other tasks get their turn, however much there is to read
                    await asyncio.sleep(0)
            missing = most - len(handout)
            if missing <= 0 or (missing < most and not gather) or last or stops != self._stops:
                break
            left = None if until is None else max(0.0, until - time.monotonic())
            last = left == 0
            ahead.start(missing, left, gather)
            await ahead.wait(left)
            waited = True
        if handout.turned_stale():  # a program that takes its time is still there
            ahead.start(1, 0.0)

    def _stopped(self) -> bool:
        stopped = self._stops != self._stops_seen
        self._stops_seen = self._stops
        return stopped


def _positive(max_messages: int) -> int:
    if isinstance(max_messages, bool) or not isinstance(max_messages, int) or max_messages < 1:
        raise ValueError(f"max_messages is {max_messages!r}: it takes a number from 1")
    return max_messages
