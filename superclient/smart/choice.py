"""Which partition a SmartProducer's next record is for: the part that its synchronous and asynchronous forms share.

Records without a key take turns at partitions, as in librdkafka: a turn is as long as a batch would be. Records with
one are `keys`' business. Both go by views that a monitor keeps fresh on its own thread; nothing here reads or waits.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from superclient.partitioning import LagAware, Partitioner, View
from superclient.smart.keys import UNPLACED

OVERHEAD = 21  # bytes: the most that a record of format 2 takes beside key, value and headers
MOST_TOPICS = 1000
MOST_UNSEEN = 63
LEAST_SECONDS = 0.01  # of a turn, where librdkafka would send each record by itself or wherever it likes

# librdkafka's names, with its defaults.
_SIZE = (("batch.size",), 1_000_000)
_RECORDS = (("batch.num.messages",), 10_000)
_LINGER = (("linger.ms", "queue.buffering.max.ms"), 5.0)
_STICKY = (("sticky.partitioning.linger.ms",), 0.0)
_PARTITIONER = "partitioner"


class Turn:
    """A partition's turn at a topic's records.

    Attributes:
        unseen: how many records may take it before it is looked at again, of `given` at the last look, which was at
            `seen`. Asking for the time costs more than all the rest; where records come slowly it is asked for each.
        records: that took it until the last look.
        size: their bytes, as if those unseen were like those seen.
        end: when it is over. All times are time.monotonic().
    """

    __slots__ = ("end", "given", "partition", "records", "seen", "size", "unseen")

    def __init__(self, partition: int, began: float, end: float) -> None:
        self.partition, self.seen, self.end = partition, began, end
        self.size = self.unseen = self.given = 0
        self.records = 1


class Choice:
    """One producer's choices of partitions for records without a key.

    Attributes:
        turns: topic → the turn that its records are in; `turn` begins the next one. In the open, because `produce`
            looks at it for each record, and a call would cost as much as the look.
    """

    __slots__ = ("_clock", "_lock", "_partitioner", "_records", "_seconds", "_short", "_size", "_views", "turns")

    def __init__(
        self,
        views: Mapping[str, View],
        settings: Mapping[str, Any],
        *,
        partitioner: Partitioner | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`settings` are librdkafka's, as the user wrote them: a turn is as long as their batches."""
        self.turns: dict[str, Turn] = {}
        self._views, self._clock = views, clock
        self._partitioner = partitioner or LagAware(views, clock=clock)
        self._size, self._records = int(_number(settings, *_SIZE)), int(_number(settings, *_RECORDS))
        # As in librdkafka: twice the linger unless said otherwise.
        sticky = _number(settings, *_STICKY) or 2 * _number(settings, *_LINGER)
        self._seconds = max(sticky / 1000, LEAST_SECONDS)
        self._short = self._seconds / 8
        self._lock = threading.Lock()  # held by nobody who waits, and never waited for

    def place(self, topic: str, value: Any) -> int:
        """The partition for a record with this value, or UNPLACED; `produce` has the same in its own body."""
        turn = self.turns.get(topic)
        if turn is not None and turn.unseen > 0:
            turn.unseen -= 1
            return turn.partition
        return self.look(topic, value).partition

    def look(self, topic: str, value: Any) -> Turn:
        """The turn for one more record: the one that is, as long as a batch would last, else the next one."""
        turn, now = self.turns.get(topic), self._clock()
        if turn is None:
            return self._next(topic, None, value, now)
        size = OVERHEAD + len(value or b"")
        took, turn.given, turn.unseen = turn.given - turn.unseen, 0, 0
        turn.records += took
        turn.size += took * size
        if now >= turn.end or turn.size >= self._size or turn.records >= self._records:
            return self._next(topic, turn, value, now)
        turn.records += 1
        turn.size += size
        # Twice as many as the last time, as long as those came in an eighth of the turn.
        if now - turn.seen < self._short:
            room = min((self._size - turn.size) * turn.records // turn.size, self._records - turn.records)
            turn.given = turn.unseen = min(2 * took + 1, MOST_UNSEEN, max(room, 0))
        turn.seen = now
        return turn

    def changed(self) -> None:
        """What is healthy has changed: turns that are under way end. Called on any thread."""
        for turn in list(self.turns.values()):
            turn.given -= turn.unseen
            turn.unseen, turn.end = 0, 0.0

    def _next(self, topic: str, over: Turn | None, value: Any, now: float) -> Turn:
        """Begin a turn; at UNPLACED where nothing is known of the topic, or nothing good."""
        if not self._lock.acquire(blocking=False):  # another thread is choosing, or was, when its process forked
            return over if over is not None and now < over.end + self._seconds else self._nowhere(now)
        try:
            view = self._views.get(topic)
            if view is None or not view.healthy or now >= view.until:
                turn = self._nowhere(now)
            else:
                if over is not None and over.partition != UNPLACED:
                    self._partitioner.batch_full(topic, over.partition, over.records, over.size)
                partition = self._partitioner.choose(topic, sorted(view.healthy))
                turn = Turn(partition, now, min(now + self._seconds, view.until))
                turn.size = OVERHEAD + len(value or b"")
            if len(self.turns) >= MOST_TOPICS and topic not in self.turns:
                self.turns.clear()
            self.turns[topic] = turn
            return turn
        finally:
            self._lock.release()

    def _nowhere(self, now: float) -> Turn:
        """A turn at which librdkafka chooses, until it is looked again."""
        return Turn(UNPLACED, now, now + self._seconds)


def partitioner(settings: Mapping[str, Any]) -> str | None:
    """librdkafka's partitioner, if these settings name one."""
    found = settings.get(_PARTITIONER, _topics_own(settings).get(_PARTITIONER))
    return None if found is None else str(found)


def _topics_own(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    found = settings.get("default.topic.config")
    return found if isinstance(found, Mapping) else {}


def _number(settings: Mapping[str, Any], names: tuple[str, ...], default: float) -> float:
    """The last of these names that is written; what is no number is librdkafka's to refuse."""
    written = [value for name, value in settings.items() if name in names]
    try:
        return max(float(written[-1]), 0.0) if written else default
    except (TypeError, ValueError):
        return default
