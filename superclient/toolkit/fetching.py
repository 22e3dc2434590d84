"""The core of the consumer: raw records out of librdkafka, without a record lost to an error, a signal or a rebalance.

What it adds to `confluent_kafka.Consumer.consume`:

- Errors among records are raised after the records beside them; those that librdkafka mends by itself are logged.
- A call that ended in an exception (Ctrl-C, a callback that raised) may have thrown records away inside the library:
  the partitions are rewound to what was really handed over before anything else is read.
- Records of a partition that was revoked, or sought elsewhere, are not handed over afterwards.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from superclient.errors import KafkaConsumerError, KafkaConsumerFatalError
from superclient.toolkit import codes, positions
from superclient.toolkit.config import ConsumerConfig
from superclient.toolkit.rebalance import Key, Rebalances
from superclient.toolkit.seeking import Seeks

SLICE = 0.1  # seconds of one blocking call: no signal interrupts it, and others wait for their turn
_MOST = 10_000  # records of one call to the library
_REQUEST = 10.0  # seconds for a question to the brokers
# Said for the program to know; librdkafka goes on by itself.
_MENDED = codes.RETRIABLE_ERROR_CODES - {KafkaError.UNKNOWN_TOPIC_OR_PART}
_MENDED |= {KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED}
# librdkafka stops fetching when its queue is full, and looks again after this: with its own second, a program that is
# slower than the brokers stands still for most of it.
_DEFAULTS = {"fetch.queue.backoff.ms": 10}
# Said by `error_cb` alone, again and again; before the first assignment nothing will come of waiting.
_HOPELESS = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})

_NOTHING: tuple[list[Any], dict[Key, Any]] = ([], {})

_log = logging.getLogger("superclient.toolkit")
_error = Message.error


class Fetcher:
    """The library's consumer, and what is known of its partitions; its methods may be called from any thread."""

    def __init__(self, config: ConsumerConfig) -> None:
        self.completed: Callable[[], Mapping[Key, Any]] = dict
        """Asked for the offsets to store: of the records that were completed since it was asked last."""
        settings = {**_DEFAULTS, **config.to_library()}
        self._error_cb = settings.get("error_cb")
        self._reset = OFFSET_END if config.auto_offset_reset in ("latest", "end", "largest") else OFFSET_BEGINNING
        strategy = str(settings.get("partition.assignment.strategy", ""))
        cooperative = "cooperative" in strategy or settings.get("group.protocol") == "consumer"
        self.rebalances = Rebalances(self, cooperative)
        self.seeks = Seeks()
        self.lock = threading.RLock()
        self.epoch = 0
        """Counts up when records that were fetched before are not to be handed out any more; see `valid`."""
        self._stale: dict[Key, int] = {}  # partition → the epoch before which its records were fetched in vain
        self._ends: dict[Key, Any] = {}  # partition → where the next record is expected
        self._stored: dict[Key, Any] = {}  # partition → the offset that is stored, to be committed
        self._known = _NOTHING  # records that were fetched and where their partitions go on, until somebody asks
        self._gathered: list[tuple[int, list[Any]]] = []  # (epoch, records) of a fetch in progress
        self._errors: deque[KafkaConsumerError] = deque()  # to be raised
        self._unsure = False  # whether the library may be further than we know of
        self._unchecked = False  # whether partitions that were sought may not exist
        self.changes = 0
        """Counts up when those who hand records out should look here before the next one."""
        self.topics: list[str] = []
        self._one_topic = True  # whether it never was but one
        self.closed = self._closing = False
        self.last_error: KafkaConsumerError | None = None
        """What the library said of the connection since the last record or assignment."""
        self.client = Consumer({**settings, "error_cb": self._on_error})

    def subscribe(self, topics: list[str]) -> None:
        """Read these topics, and no others."""
        with self.lock:
            self.check_open()
            same = topics == (self.topics or topics) and len(topics) == 1 and not topics[0].startswith("^")
            self._one_topic = self._one_topic and same
            self.topics = topics
            self.seeks.keep(topics)
            self.rebalances.subscribe(self.client, topics)

    def hurry(self) -> None:
        """Have a fetch in progress answer what it has; from any thread or signal handler."""
        self.changes += 1

    def fetch(self, most: int, timeout: float | None, gather: bool) -> tuple[list[Any], int]:
        """Up to `most` records, and their epoch.

        With `gather` as many as there are within `timeout` seconds (None: however long), else the first there are.

        Raises:
            KafkaConsumerError: or the class that fits.
        """
        until = None if timeout is None else time.monotonic() + timeout
        changes = self.changes
        while True:
            left = SLICE if until is None else min(SLICE, until - time.monotonic())
            with self.lock:
                self.check_open(closing=self._closing)
                found = self._step(most, max(left, 0.0))
                if found >= most or (found and not gather) or left <= 0 or changes != self.changes:
                    return self._take(most)
                if found and self._errors:
                    return self._take(most)

    def serve(self) -> tuple[list[Any], int]:
        """Show the brokers that the program is alive, and let rebalances happen; one record, if that brings one."""
        with self.lock:
            self.check_open()
            self._step(1, 0.0, raising=False)
            return self._take(1)

    def valid(self, records: list[Any], epoch: int) -> list[Any]:
        """Those of records fetched at an epoch that may still be handed out."""
        if epoch == self.epoch:
            return records
        return [one for one in records if self._stale.get((one.topic(), one.partition()), 0) <= epoch]

    def ends(self, records: list[Any]) -> dict[Key, Any]:
        """Where each of the records' partitions goes on, as `store_offsets` takes it; the records are in order."""
        known, found = self._known  # mostly they are asked for just as they came
        if known is not records:
            return positions.ends(records, self._one_topic)
        self._known = _NOTHING  # nobody asks twice
        return found

    def seek(self, topic: str, offset: int, partition: int | None) -> None:
        """Read on at an offset: at once where the partition is ours, else when it is assigned."""
        with self.lock:
            self.check_open()
            if topic not in self.topics and not any(one.startswith("^") for one in self.topics):
                raise KafkaConsumerError(f"seek: {topic} is not among the topics that are subscribed to")
            assigned = {key for key in self.rebalances.assigned if key[0] == topic}
            wanted = assigned if partition is None else assigned & {(topic, partition)}
            if not wanted or self.rebalances.assigning:
                self.seeks.later(topic, offset, partition)
                self._unchecked = bool(assigned)
                return
            self._turn(wanted)
            self._ends.update({key: TopicPartition(*key, offset) for key in wanted})
            self.seeks.jump(dict.fromkeys(wanted, offset))
            self.seeks.perform(self.client)

    def commit(self) -> list[Any]:
        """Commit what was stored of the partitions that are ours; what the brokers took, [] for nothing.

        Raises:
            KafkaConsumerError: or the class that fits.
        """
        with self.lock:
            self.check_open()
            self.store()
            if not self._stored:
                return []
            return positions.commit(self.client, self._stored.values())

    def store(self) -> None:
        """Hand completed offsets to the library, which commits them in its own time."""
        with self.lock:
            completed = {key: end for key, end in self.completed().items() if key in self.rebalances.assigned}
            if completed:
                self._stored.update(completed)
                positions.store(self.client, completed.values())

    def close(self) -> None:
        """Leave the group, and commit what is stored where auto-commit is on; once."""
        self._closing = True
        self.hurry()
        with self.lock:
            if not self.closed:
                self.store()
                self.client.close()  # callbacks may still commit
                self.closed = True
        self.rebalances.raise_failure()

    def check_open(self, closing: bool = False) -> None:
        """Raise, if it is closed."""
        if self.closed or closing:
            raise KafkaConsumerFatalError("the consumer is closed")

    def _step(self, most: int, wait: float, raising: bool = True) -> int:
        """One call to the library, or two; how many records are gathered now."""
        found = sum(len(records) for _, records in self._gathered)
        if raising and not found and self._errors:
            raise self._errors.popleft()
        self.store()
        if self._unsure:
            self._rewind()
        if self.seeks.jumps:
            self.seeks.perform(self.client)
        if self._unchecked:
            self._check_sought()
        # Waiting is for one record: the library would wait until there are as many as were asked for, and keep the
        # first ones while partitions are revoked.
        if found < most:  # else an interruption has left some
            found += self._consume(min(most - found, _MOST), 0.0) or (self._consume(1, wait) if wait > 0 else 0)
        if raising:
            self.rebalances.raise_failure()
        return found

    def _consume(self, most: int, wait: float) -> int:
        before = self.epoch
        self._unsure = True
        records: list[Any] = self.client.consume(most, wait)
        if any(map(_error, records)):
            records = [one for one in records if not self._is_error(one)]
        if before != self.epoch:  # what the library had taken for us when a partition went
            gone = {key for key, epoch in self._stale.items() if epoch > before} - self.rebalances.assigned
            records = [one for one in records if (one.topic(), one.partition()) not in gone]
        if self.seeks.jumps:
            records = [one for one in records if (one.topic(), one.partition()) not in self.seeks.jumps]
        if records:
            found = positions.ends(records, self._one_topic)
            self._known = records, found
            self._ends.update(found)
            self._gathered.append((self.epoch, records))
            self.last_error = None
        self._unsure = False
        return len(records)

    def _take(self, most: int) -> tuple[list[Any], int]:
        """What was gathered and may still be handed out; the rest, if there is one, stays."""
        if len(self._gathered) == 1:
            ((epoch, records),) = self._gathered
            found = self.valid(records, epoch)
        else:
            found = [one for epoch, records in self._gathered for one in self.valid(records, epoch)]
        self._gathered = [(self.epoch, found[most:])] if len(found) > most else []
        return (found[:most] if len(found) > most else found), self.epoch

    def _rewind(self) -> None:
        """Go back to the records that we know of; to the committed offsets where there was none yet."""
        unknown = [TopicPartition(*key) for key in self.rebalances.assigned - self._ends.keys()]
        jumps = {key: self._ends[key].offset for key in self.rebalances.assigned & self._ends.keys()}
        try:
            for one in self.client.committed(unknown, timeout=_REQUEST) if unknown else []:
                jumps[one.topic, one.partition] = one.offset if one.offset >= 0 else self._reset
        except KafkaException as error:
            raise codes.consumer_error(error, "reading on after an interruption") from error
        self.seeks.jump({key: offset for key, offset in jumps.items() if key not in self.seeks.jumps})
        self._unsure = False

    def _check_sought(self) -> None:
        self._unchecked = False
        for topic, partitions in self.seeks.named().items():
            try:
                known = self.client.list_topics(topic, timeout=_REQUEST).topics[topic].partitions
            except KafkaException as error:
                raise codes.consumer_error(error, f"seek in {topic}") from error
            missing = sorted(partitions - known.keys())
            if known and missing:
                self.seeks.drop(topic, missing)
                raise KafkaConsumerFatalError(f"seek: {topic} has no partition {missing[0]}, only 0 to {max(known)}")

    def _is_error(self, record: Any) -> bool:
        error = record.error()
        if error is None:
            return False
        topic = record.topic()
        found = codes.consumer_error(error, f"topic {topic}" if topic else "")
        if error.code() in _MENDED and not error.fatal():
            if error.code() != KafkaError._PARTITION_EOF:
                _log.warning("%s", found)
        else:
            self._errors.append(found)
        return True

    def _on_error(self, error: KafkaError) -> None:
        """What librdkafka says of the connection; the program's own `error_cb` hears it as well."""
        self.last_error = found = codes.consumer_error(error)
        if error.fatal() or (error.code() in _HOPELESS and not self.rebalances.assigned and not self._ends):
            if not isinstance(found, KafkaConsumerFatalError):
                found = KafkaConsumerFatalError(str(found), found.code)
            self._errors.append(found)
        else:
            _log.warning("%s", found)
        if self._error_cb is not None:
            self._error_cb(error)

    def _turn(self, keys: Iterable[Key]) -> None:
        """Hand out nothing more of what was fetched of these partitions."""
        self.epoch += 1
        self.changes += 1
        self._stale.update(dict.fromkeys(keys, self.epoch))

    # --- Owner, for Rebalances ---

    def start(self, partitions: list[Any]) -> None:
        self.last_error = None
        self.seeks.apply(partitions)
        self._unchecked = bool(self.seeks.named())
        self._ends.update({(one.topic, one.partition): one for one in partitions if one.offset >= 0})

    def finish(self, partitions: list[Any]) -> None:
        self.store()

    def gone(self, partitions: list[Any]) -> None:
        keys = {(one.topic, one.partition) for one in partitions}
        self._turn(keys)
        self.seeks.forget(keys)
        for key in keys:
            self._ends.pop(key, None)
            self._stored.pop(key, None)
