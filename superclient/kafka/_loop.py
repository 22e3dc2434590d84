"""An event loop of superclient's own for aiokafka: it knows what was opened on it, and leaves nothing open behind."""

import asyncio
import socket
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Loop(asyncio.SelectorEventLoop):
    """Knows its transports, because aiokafka loses sight of a connection that does not let us in or is stopped halfway.

    Never the kind of loop that the program has chosen. It resolves names where it is: nobody else waits for this loop,
    and a thread that hangs in it would hold up the interpreter's exit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened: weakref.WeakSet[Any] = weakref.WeakSet()

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        transport, protocol = await super().create_connection(*args, **options)
        self.opened.add(transport)
        return transport, protocol

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        return socket.getaddrinfo(host, port, **options)

    async def clear(self) -> None:
        """End what does not end by itself (TLS says good-bye, and waits to hear the same): transports and tasks."""
        for transport in list(self.opened):
            transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # an aborted transport lets go of its socket in one of the loop's next steps
            await asyncio.sleep(0)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` returns, on a loop that is there for it alone; the thread has no other one running."""
    loop = Loop()
    try:
        return loop.run_until_complete(_cleared(loop, work))
    finally:
        loop.close()


async def _cleared(loop: Loop, work: Callable[[], Awaitable[T]]) -> T:
    try:
        return await work()
    finally:
        with suppress(Exception):
            await loop.clear()
