"""An Inbox by itself: who waits for whom, without a broker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from superclient.messaging.lanes import Lane, Partition
from superclient.messaging.stream import Inbox


class Listener:
    """Takes down what is done with and what is asked for."""

    def __init__(self) -> None:
        self.finished: list[int] = []
        self.refilled = 0

    def done(self, lane: Lane, offset: int) -> None:
        self.finished.append(offset)

    def refill(self, lanes: Any) -> None:
        self.refilled += 1


LANE = Lane(Partition("orders", 0), tracked=True)


def inbox(*values: int, maxsize: int = 0) -> tuple[Inbox, Listener]:
    listener = Listener()
    made = Inbox(int, maxsize, listener)
    made.queue.extend((value, LANE, value) for value in values)
    return made, listener


def test_two_may_wait_for_a_reader() -> None:
    """SDM-6, SDM-15: a rebalance and the listener's end both go on once the reader lets go."""

    async def main() -> None:
        ours, _ = inbox(1)
        taken, go_on = asyncio.Event(), asyncio.Event()

        async def read() -> None:
            await ours.get()
            taken.set()
            await go_on.wait()
            ours.let_go()
            await asyncio.Event().wait()  # it stays, and asks for nothing more

        reader = asyncio.create_task(read())
        await taken.wait()
        both = [asyncio.create_task(ours.settled(empty=empty)) for empty in (False, True)]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait_for(asyncio.gather(*both), 5)
        reader.cancel()
        await asyncio.wait({reader})

    asyncio.run(main())


def test_nobody_is_waited_for_who_will_not_come() -> None:
    """SDM-15: a reader that has ended, or never came, has nothing in its hands that could be finished."""

    async def main() -> None:
        ours, listener = inbox(1, 2)
        await asyncio.wait_for(ours.settled(empty=True), 10)
        await asyncio.create_task(ours.get())
        await asyncio.wait_for(ours.settled(empty=True), 10)
        assert listener.finished == []

    asyncio.run(main())


@pytest.mark.parametrize("size", [1, 2, 5])
def test_room_is_asked_for_in_time(size: int) -> None:
    """SDM-12: a lane that waits is told of room before the queue is empty, and at the latest then."""

    async def main() -> None:
        ours, listener = inbox(*range(size), maxsize=size)
        ours.starved.add(LANE)
        assert ours.room == 0
        for _ in range(size):
            await ours.get()
        assert listener.refilled == 1
        assert listener.finished == list(range(size - 1))

    asyncio.run(main())


def test_nothing_is_handed_out_while_it_is_held() -> None:
    """SDM-6: in a rebalance; an ended one yields what waits, and ends only then."""

    async def main() -> None:
        ours, _ = inbox(1)
        ours.held = True
        reader = asyncio.create_task(ours.get())
        ours.ended = True
        for _ in range(3):
            ours.wake()
            await asyncio.sleep(0)
        assert not reader.done()
        ours.held = False
        ours.wake()
        assert await reader == 1
        with pytest.raises(StopAsyncIteration):
            await ours.get()

    asyncio.run(main())
