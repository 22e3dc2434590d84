"""Who gets what of a lane: the listener's side of its streams."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Any

from superclient.errors import MessagingStoppedError
from superclient.messaging.lanes import Lane, Partition
from superclient.messaging.parsing import ParserSpec, Routes, named
from superclient.messaging.reader import Reader
from superclient.messaging.stream import Inbox
from superclient.messaging.told import brief, logger, place

Taker = tuple[ParserSpec, Callable[[Any], Any], Inbox]


class Subscribers:
    """The listener's sink: parses each record for each stream of its topic, as far as all of them have room."""

    def __init__(self, routes: Routes) -> None:
        self.reader: Reader  # set by the listener, which makes both
        self.parse_errors = 0
        self.clean = True  # whether the program came to the listener's end without an exception
        self._routes = routes
        self._inboxes: list[Inbox] = []  # those that get new records
        self._leaving: list[Inbox] = []  # ended, but perhaps not read to their end
        self._takers: dict[str, list[Taker]] = {}

    # --- they come and go ------------------------------------------------------------------------------------------

    def join(self, inbox: Inbox, topics: Collection[str], *, fresh: bool) -> None:
        """From now on it gets the records of its type."""
        if not self.reader.running:
            raise MessagingStoppedError("the listener is stopped")
        if fresh:
            self._end([each for each in self._inboxes if each.kind == inbox.kind])
        self._inboxes.append(inbox)
        self._route()
        # In the loop's next step: programs subscribe to one type after the other, and each is to get the first record.
        lanes = [lane for lane in self.reader.lanes.values() if lane.name.topic in topics]
        asyncio.get_running_loop().call_soon(self.refill, lanes)

    def leave(self, inbox: Inbox, clean: bool) -> None:
        """Its reader wants no more, and (`clean`) is done with the last value. Nothing the second time."""
        if clean:
            inbox.let_go()
        unread = [] if inbox.hand is None else [inbox.hand]
        unread += [(lane, offset) for _, lane, offset in inbox.queue]
        starved, inbox.starved, inbox.hand, inbox.ended = inbox.starved, set(), None, True
        inbox.queue.clear()
        inbox.wake()
        for inboxes in (self._inboxes, self._leaving):
            if inbox in inboxes:
                inboxes.remove(inbox)
        self._route()
        first: dict[Partition, tuple[Lane, int]] = {}
        for lane, offset in unread:
            first.setdefault(lane.name, (lane, offset))
        for lane, offset in first.values():
            if lane.name.topic not in self._takers:
                self.reader.rewind(lane, offset)
            elif lane.tracked and not clean:
                self._hold(lane, offset, inbox)
        for lane, offset in unread:
            self.done(lane, offset)  # nothing where it is read again
        self.refill(starved)

    def _hold(self, lane: Lane, offset: int, inbox: Inbox) -> None:
        """Others go on reading the topic; what this reader has not seen is read again by the next owner."""
        lane.floor = offset if lane.floor is None else min(lane.floor, offset)
        logger.warning(
            "a reader of %s has gone without closing its stream: no offset of %s-%d above %d is committed from now on, "
            "so that it is read again after a restart. Close a stream that is done with, by aclose() or async with",
            *(named(inbox.kind), *lane.name, lane.floor),
        )

    def end(self) -> None:
        """All streams yield what waits in them, then end."""
        self._end(list(self._inboxes))
        for inbox in self._leaving:
            inbox.held = False
            inbox.wake()

    def _end(self, inboxes: Iterable[Inbox]) -> None:
        for inbox in inboxes:
            self._inboxes.remove(inbox)
            self._leaving.append(inbox)
            inbox.ended = True
            inbox.wake()
        self._route()

    def _route(self) -> None:
        self._takers = {}
        for topic, specs in self._routes.by_topic.items():
            takers = [
                (spec, spec["parser"], each) for spec in specs for each in self._inboxes if each.kind == spec["type"]
            ]
            if takers:
                self._takers[topic] = takers

    # --- records ---------------------------------------------------------------------------------------------------

    def take(self, lane: Lane) -> None:
        """Hand out what everybody has room for; what nobody has subscribed to stays."""
        takers = self._takers.get(lane.name.topic)
        if not takers:
            return
        backlog = lane.backlog
        # A record may take more room than one (several specs of a type), or none at all (its parsers raise).
        while (room := min(len(backlog), *(inbox.room for _, _, inbox in takers))) > 0:
            for _ in range(max(room // len(takers), 1)):
                self._hand_out(backlog.popleft(), lane, takers)
        for _, _, inbox in takers:
            inbox.wake()
            if backlog and inbox.room <= 0:
                inbox.starved.add(lane)

    def _hand_out(self, record: Any, lane: Lane, takers: Collection[Taker]) -> None:
        copies, failed = 0, None
        for spec, parser, inbox in takers:
            if spec is failed:
                continue
            try:
                value = parser(record)
            except Exception as error:
                failed = spec
                self._unparsed(record, spec, error)
            else:
                inbox.queue.append((value, lane, record.offset))
                copies += 1
        if copies:
            lane.open(record.offset, copies)
        else:
            self.reader.commits.passed()

    def _unparsed(self, record: Any, spec: ParserSpec, error: Exception) -> None:
        self.parse_errors += 1
        where = place(record), named(spec["type"])
        self.reader.told(record.topic, "%s: the parser of %s raised, skipped: %s", *where, brief(error))

    def refill(self, lanes: Collection[Lane]) -> None:
        """There is room again for what these wait with."""
        self.reader.offer(lanes)

    def done(self, lane: Lane, offset: int) -> None:
        """A reader is done with its copy of a record."""
        self.reader.commits.done(lane, offset)

    # --- rebalances, and the end -------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Nothing more is handed out, until it is known which partitions stay."""
        inboxes = [*self._inboxes, *self._leaving]
        for inbox in inboxes:
            inbox.held = True
        for inbox in inboxes:
            await inbox.settled(empty=False)

    def assigned(self, kept: Collection[Lane], lost: Collection[Lane]) -> None:
        """Go on; what waits of a lost partition is read by its new owner, where offsets are committed."""
        for inbox in [*self._inboxes, *self._leaving]:
            inbox.starved.difference_update(lost)
            if self.reader.commits.tracked:
                gone = set(lost)
                inbox.queue = type(inbox.queue)(each for each in inbox.queue if each[1] not in gone)
            inbox.held = False
            inbox.wake()

    async def finish(self) -> None:
        """End the streams; readers in other tasks than the one that stops the listener read to the end."""
        self.end()
        try:
            for inbox in self._leaving:
                if inbox.reader is not self.reader.stopper:
                    await inbox.settled(empty=True)
        finally:
            for inbox in self._leaving:
                if self.clean and (inbox.reader is self.reader.stopper or _ended_well(inbox.reader)):
                    inbox.let_go()


def _ended_well(task: "asyncio.Task[Any] | None") -> bool:
    """Whether the task has returned. Task.exception() would mark an exception as seen that the program has not seen."""
    return task is not None and task.done() and not task.cancelled() and getattr(task, "_exception", None) is None
