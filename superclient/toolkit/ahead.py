"""The one thread of a consumer by which the asyncio face waits, and the batch that is on its way there.

There is at most one. Whoever waits for it may be cancelled: it stays for whoever comes next.
"""

import asyncio
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from superclient.toolkit.fetching import SLICE, Fetcher

T = TypeVar("T")


class Ahead:
    """What the consumer's thread fetches; the thread is made for the first call."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._executor: ThreadPoolExecutor | None = None
        self._coming: Future[tuple[list[Any], int]] | None = None

    def start(self, most: int, timeout: float | None, gather: bool = False) -> None:
        """Fetch, unless a batch is on its way."""
        if self._coming is None:
            self._coming = self._thread().submit(self._fetcher.fetch, most, timeout, gather)

    @property
    def arrived(self) -> bool:
        """Whether there is a batch to take."""
        return self._coming is not None and self._coming.done()

    async def wait(self, timeout: float | None) -> None:
        """Until there is; after `timeout` seconds with whatever was found by then."""
        if self._coming is not None and not await done(self._coming, timeout):
            await self._soon(self._coming)

    def take(self, wait: bool = False) -> tuple[list[Any], int] | None:
        """The records that came and the epoch they are of; None where there are none. `wait` blocks until there are.

        Raises:
            KafkaConsumerError: what fetching them raised.
        """
        if self._coming is None or not (wait or self._coming.done()):
            return None
        while not self._coming.done():
            self._fetcher.hurry()
            futures.wait([self._coming], SLICE)
        coming, self._coming = self._coming, None
        return coming.result()

    async def run(self, call: Callable[[], T]) -> T:
        """A call on the consumer's thread, soon; who is cancelled leaves, and it goes on."""
        future = self._thread().submit(call)
        await self._soon(future)
        return future.result()

    def end(self, wait: bool = False) -> None:
        """Take no more calls; the thread ends with those that it has."""
        if self._executor is not None:
            self._executor.shutdown(wait)

    async def _soon(self, future: "Future[Any]") -> None:
        """Until it is done; what is being fetched meanwhile ends with what it has."""
        self._fetcher.hurry()
        while not await done(future, SLICE):
            self._fetcher.hurry()  # the fetch before it may not have begun

    def _thread(self) -> ThreadPoolExecutor:
        self._fetcher.check_open()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="superclient-consumer")
        return self._executor


async def done(future: "Future[Any]", timeout: float | None) -> bool:
    """Whether it is within `timeout` seconds; asyncio's own wrapping would cancel it, and mind a closed loop."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def arrived(_: object) -> None:
        try:
            loop.call_soon_threadsafe(wake)
        except RuntimeError:  # the loop is closed: nobody waits there any more
            pass

    future.add_done_callback(arrived)
    timer = None if timeout is None else loop.call_later(timeout, wake)
    try:
        await waiter  # wait_for may swallow a cancellation, before Python 3.12
    finally:
        if timer is not None:
            timer.cancel()
    return future.done()
