"""What a subscriber reads from: values of one type, in the order in which their records came."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

from superclient.messaging.lanes import Lane

T = TypeVar("T")

_IN_A_ROW = 100  # values handed out before others on the loop have their turn


class Inbox:
    """The listener's end of a stream; apart from TypeStream, so that it can be noticed when nobody has that any more.

    Attributes:
        kind: the type that was asked for.
        held: nothing is handed out for now (the group shares out its partitions).
        ended: nothing is added any more; what waits is still handed out.
        hand: where the record comes from that was handed out last, until its reader asks for the next one.
        reader: the task that asked last.
    """

    def __init__(self, kind: type[Any], maxsize: int, listener: Any) -> None:
        self.kind = kind
        self.held = False
        self.ended = False
        self.hand: tuple[Lane, int] | None = None
        self.reader: asyncio.Task[Any] | None = None
        self.queue: deque[tuple[Any, Lane, int]] = deque()
        self.starved: set[Lane] = set()  # lanes whose backlog waits for room here
        self._maxsize = maxsize
        self._listener = listener
        self._in_a_row = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self.changed: asyncio.Future[None] | None = None  # somebody waits for a reader to come back

    @property
    def room(self) -> int:
        """How many more values may be added."""
        return self._maxsize - len(self.queue) if self._maxsize else 2**31

    async def get(self) -> Any:
        """The next value; StopAsyncIteration once it has ended and is empty. Nothing is taken for a cancelled call."""
        self.reader = asyncio.current_task()
        self.let_go()
        self._in_a_row += 1
        if self._in_a_row >= _IN_A_ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        while self.held or not self.queue:
            if self.ended and not self.queue:
                raise StopAsyncIteration
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():
                    self.wake()  # it was our turn: somebody else's now
                elif waiter in self._waiters:
                    self._waiters.remove(waiter)
                raise
        value, lane, offset = self.queue.popleft()
        self.hand = (lane, offset)
        if self.starved and len(self.queue) <= self._maxsize // 2:
            starved, self.starved = self.starved, set()
            self._listener.refill(starved)
        if self._waiters and self.queue:
            self.wake()
        return value

    def let_go(self) -> None:
        """The record that was handed out last is done with."""
        hand, self.hand = self.hand, None
        if hand is not None:
            self._listener.done(*hand)
        if self.changed is not None and not self.changed.done():
            self.changed.set_result(None)

    def wake(self) -> None:
        """Something has been added, or has changed: whoever waits looks again."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                if not self.ended:
                    return

    async def settled(self, *, empty: bool) -> None:
        """Return when nothing is in a reader's hands, and (`empty`) nothing waits; at once where nobody will come."""
        while (self.hand is not None or (empty and self.queue)) and self.reader is not None and not self.reader.done():
            if self.changed is None or self.changed.done():  # two may wait: a rebalance, and the listener's end
                self.changed = asyncio.get_running_loop().create_future()
            await asyncio.wait({self.changed, self.reader}, return_when=asyncio.FIRST_COMPLETED)


class TypeStream(Generic[T]):
    """The values of one type for one subscriber: `async for order in stream`.

    A record is done with when its reader asks for the next value, or closes the stream; only then may it be committed.
    One reader at a time: where several tasks share a stream, a record is done with when any of them asks for the next.
    `async with` closes it at the end of the block. A stream that nobody refers to any more is closed too.
    """

    def __init__(self, kind: type[T], inbox: Inbox, leave: Callable[[Inbox, bool], None]) -> None:
        self.type = kind
        self._inbox = inbox
        self._leave = leave
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> "TypeStream[T]":
        return self

    async def __anext__(self) -> T:
        value: T = await self._inbox.get()
        return value

    def qsize(self) -> int:
        """How many values wait to be read."""
        return len(self._inbox.queue)

    async def aclose(self) -> None:
        """Leave. The value read last counts as done with; what waits is kept for the topic's next subscriber.

        Where the topic has other subscribers, they have had it too, and what waits here is dropped. Whoever waits in
        the stream finds it ended.
        """
        self._leave(self._inbox, True)

    async def __aenter__(self) -> "TypeStream[T]":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave(self._inbox, error is None)

    def __del__(self) -> None:
        # The garbage collector comes in any thread, and in the middle of anything; a loop that is closed needs nothing.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._leave, self._inbox, False)
