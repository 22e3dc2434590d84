"""What becomes of the records on the reply topics: each goes to the request that it answers, or to nobody."""

import logging
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from superclient.errors import RPCError
from superclient.messaging.correlation import Unmatched, Waiters
from superclient.messaging.headers import error_of
from superclient.messaging.lanes import Lane
from superclient.messaging.parsing import Routes, named
from superclient.messaging.reader import Reader
from superclient.messaging.told import Told, brief, logger, place

_UNFIT = object()
_COUNTED = {Unmatched.FOREIGN: "unmatched", Unmatched.ABSENT: "uncorrelated", Unmatched.AMBIGUOUS: "ambiguous"}


class Replies:
    """The sink of a requester's reader.

    Attributes:
        counts: what RPCStats tells of them.
        sharing: whether another member of the group has some of the partitions.
    """

    def __init__(self, routes: Routes, waiters: Waiters, reader: Callable[[], Reader | None]) -> None:
        self.counts: Counter[str] = Counter()
        self.sharing = False
        self._routes = routes
        self._waiters = waiters
        self._reader = reader
        self._told = Told()

    def take(self, lane: Lane) -> None:
        while lane.backlog:
            record = lane.backlog.popleft()
            try:
                self._arrived(record)
            except Exception:  # the loop goes on, whatever a record holds
                logger.exception("the reply at %s", place(record))

    async def settle(self) -> None:
        """Nothing is in anybody's hands."""

    async def finish(self) -> None:
        """Nothing is in anybody's hands."""

    def assigned(self, kept: Collection[Lane], lost: Collection[Lane]) -> None:
        reader = self._reader()
        if reader is None or reader.consumer is None:
            return
        parts = reader.consumer.partitions_for_topic
        every = {(topic, number) for topic in self._routes.topics for number in parts(topic) or ()}
        others = len(every - set(reader.lanes))
        if others and not self.sharing:
            logger.warning(
                "%d of the %d partitions of the reply topics %s went to another member of the consumer group: replies "
                "there will not be seen here. Give each requester a group of its own",
                others,
                len(every),
                ", ".join(self._routes.by_topic),
            )
        self.sharing = bool(others)

    def _arrived(self, record: Any) -> None:
        waiter = self._waiters.find(record.headers, record.key)
        if isinstance(waiter, Unmatched):
            self.counts[_COUNTED[waiter]] += 1
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("%s is nobody's reply here: %s", place(record), waiter.value)
            return
        error = error_of(record.headers)
        value = _UNFIT if error else self._parsed(record, waiter.expected)
        if error:
            code, message = error
            self.counts["errors"] += 1
            waiter.future.set_exception(RPCError(message, code))
        elif value is _UNFIT:
            self.counts["unfit"] += 1
            waiter.unfit += 1
            return
        else:
            self.counts["replies"] += 1
            waiter.future.set_result(value)
        waiter.replied = True
        self._waiters.retire(waiter)

    def _parsed(self, record: Any, expected: Any) -> Any:
        """By the first spec of the topic that makes a value of what is expected; _UNFIT: by none."""
        for spec in self._routes.by_topic[record.topic]:
            derived = expected is None or _derives(spec["type"], expected)
            if not derived and not _derives(expected, spec["type"]):
                continue
            try:
                value = spec["parser"](record)
            except Exception as error:
                self.counts["parse_errors"] += 1
                where = named(spec["type"]), place(record)
                self._told(record.topic, "the parser of %s failed at %s: %s", *where, brief(error))
                continue
            if derived or _is(value, expected):
                return value
        return _UNFIT


def _derives(kind: Any, base: Any) -> bool:
    try:
        return bool(kind == base or issubclass(kind, base))
    except TypeError:  # list[int] and its like are equal, or are not
        return False


def _is(value: Any, kind: Any) -> bool:
    try:
        return isinstance(value, kind)
    except TypeError:
        return False
