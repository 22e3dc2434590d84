"""One lane of a relay: a thread that takes batches out of its buffer and carries each through a transaction.

What fails is aborted and tried again, as a whole, for as long as the partitions are ours; nothing is ever skipped.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from confluent_kafka import KafkaException

from superclient import _backoff
from superclient.errors import ToolkitError
from superclient.toolkit.carrier import Carrier, Item, OutOfTime, Producing, Refused, Stale
from superclient.toolkit.forwarding import Target
from superclient.toolkit.sending import CLOSED

_log = logging.getLogger("superclient.toolkit")


class Claim:
    """A partition of the source for as long as it is ours: each assignment makes another."""

    __slots__ = ("lane", "next", "partition", "paused", "valid")

    def __init__(self, partition: int, lane: "Lane") -> None:
        self.partition, self.lane, self.valid = partition, lane, True
        self.next: int | None = None  # the offset after the last record that was handed to the lane
        self.paused: bool | None = None  # None: the library may still pause it for an earlier claim

    def expects(self, message: Any) -> bool:
        """Whether the record is one that the lane has not had.

        Rarely librdkafka goes back to where it began, on resuming a partition that was paused before its first record.
        """
        return self.next is None or message.offset() >= self.next


@dataclass(frozen=True)
class Ways:
    """What all lanes of a relay share; times are in seconds."""

    target: Target
    group_metadata: Callable[[], Any]
    transaction_timeout: float
    batch_size: int
    linger: float
    committed: Callable[[list[Item], int, int], None]  # batch, records forwarded, dead-lettered
    aborted: Callable[[list[Item], str], None]  # batch, reason
    failed: Callable[[BaseException], None]
    changed: threading.Condition


@dataclass(eq=False)
class Lane:
    """Buffer, thread and producer of some of the partitions. `ways.changed` guards what several threads touch."""

    number: int
    producer: Producing
    own: bool  # whether the producer is closed with the lane
    ways: Ways
    buffer: deque[Item] = field(default_factory=deque)
    bytes: int = 0  # of the values in the buffer
    claims: int = 0
    paused: bool = False
    ready: bool = False  # the producer has its transactional id, and whoever had it before is fenced
    inside: frozenset[Claim] = frozenset()  # whose records are in the transaction that is open
    busy: bool = False  # with a batch that was taken out of the buffer
    draining: bool = False  # nothing more comes: what is there goes, then the lane is done
    ending: bool = False  # nothing more goes, but for a commit that is on its way
    done: bool = False  # or given up

    def __post_init__(self) -> None:
        ways = self.ways
        self._carrier = Carrier(
            self.producer, ways.target, ways.transaction_timeout, ways.group_metadata, lambda: self.ending
        )
        self._filling: float | None = None  # since when the buffer has less than a batch
        self.thread = threading.Thread(target=self._run, name=f"superclient-relay-{self.number}", daemon=True)

    @property
    def idle(self) -> bool:
        """Whether everything that came is committed."""
        return not self.buffer and not self.busy

    @property
    def stuck(self) -> bool:
        """Whether it is inside a call to the library that may never come back."""
        return not self.done and self._carrier.stuck

    def abandon(self) -> None:
        """Do without the thread; should it come back, it finds itself fenced, and ends. `changed` is held."""
        self.ending = self.done = True
        self.inside = frozenset()
        if not self.own and self.producer.transactions is not None:
            # Whoever closes it would wait for the call that does not come back.
            self.producer.transactions.release(CLOSED)
            self.producer.client = CLOSED

    def put(self, claim: Claim, message: Any) -> None:
        """Add a record; `changed` is held."""
        self.buffer.append((claim, message))
        self.bytes += len(message)
        claim.next = message.offset() + 1

    def keep_valid(self) -> None:
        """Drop the records of partitions that are no longer ours; `changed` is held."""
        self._keep(item for item in self.buffer if item[0].valid)

    def keep_first(self, most: int) -> None:
        """Drop the records behind so many; `changed` is held."""
        self._keep(islice(self.buffer, most))

    def _keep(self, items: Iterable[Item]) -> None:
        self.buffer = deque(items)
        self.bytes = sum(len(message) for _, message in self.buffer)

    def _run(self) -> None:
        try:
            # Before the first record, not with it: what a killed predecessor left open holds back the offsets of its
            # partitions, so that there would be no first record until the brokers give it up.
            self._carrier.initialise()
            with self.ways.changed:
                self.ready = True
            while batch := self._take():
                self._carry(batch)
        except OutOfTime:
            pass  # the relay has ended in the meantime, and says so
        except BaseException as error:
            self.ways.failed(error)
        finally:
            self._close()
            with self.ways.changed:
                self.done, self.busy = True, False
                self.ways.changed.notify_all()

    def _close(self) -> None:
        transactions = self.producer.transactions
        assert transactions is not None
        transactions.patient = lambda: not self.own
        if self.own:
            try:
                self.producer.close(0.0)
            except (ToolkitError, KafkaException) as error:
                _log.warning("relay: closing a producer: %s", error)

    def _take(self) -> list[Item]:
        """The next batch; [] when there is none and will be none."""
        changed, size = self.ways.changed, self.ways.batch_size
        with changed:
            self.busy, self._filling = False, None
            changed.notify_all()
            while not self.ending:
                if self.buffer and (self.draining or len(self.buffer) >= size or self._waited()):
                    batch = [self.buffer.popleft() for _ in range(min(size, len(self.buffer)))]
                    self.bytes -= sum(len(message) for _, message in batch)
                    self.busy = True
                    return batch
                if self.draining and not self.buffer:
                    break
                changed.wait(self.ways.linger if self.buffer else None)
        return []

    def _waited(self) -> bool:
        now = time.monotonic()
        self._filling = self._filling or now
        return now - self._filling >= self.ways.linger

    def _carry(self, batch: list[Item]) -> None:
        """Until the batch is committed, or is no longer ours, or the relay ends."""
        waits = _backoff.delays(0.05, 2.0)
        while batch := self._enter(batch):
            begun = time.time()  # the clock that goes on while the machine sleeps
            try:
                forwarded, dead = self._carrier.commit(batch)
            except (Stale, Refused, KafkaException, ToolkitError) as error:
                if self.done:
                    raise OutOfTime from error
                self.ways.aborted(batch, str(error))
                self._carrier.abort(error, time.time() - begun)
            else:
                self.ways.committed(batch, forwarded, dead)
                return
            finally:
                self._leave()
            with self.ways.changed:
                self.ways.changed.wait_for(lambda: self.ending, next(waits))

    def _enter(self, batch: list[Item]) -> list[Item]:
        with self.ways.changed:
            batch = [] if self.ending else [item for item in batch if item[0].valid]
            self.inside = frozenset(claim for claim, _ in batch)
        return batch

    def _leave(self) -> None:
        with self.ways.changed:
            self.inside = frozenset()
            self.ways.changed.notify_all()
