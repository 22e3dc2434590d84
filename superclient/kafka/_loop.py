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
        self._opened: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()  # transport → its task

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        transport, protocol = await super().create_connection(*args, **options)
        self._opened[transport] = asyncio.current_task()
        return transport, protocol

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        return socket.getaddrinfo(host, port, **options)

    def abort(self, task: "asyncio.Task[Any] | None" = None) -> None:
        """End at once what was opened in a task; None: everything."""
        for transport, opener in list(self._opened.items()):
            if task is None or opener is task:
                transport.abort()

    async def clear(self) -> None:
        """End what does not end by itself (TLS says good-bye, and waits to hear the same): transports and tasks."""
        self.abort()
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
