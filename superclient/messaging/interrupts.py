"""A stretch of a coroutine that somebody else may end, without a task of its own."""

import asyncio
import sys
from types import TracebackType


class Interrupt:
    """`with interrupt:` around awaits; `fire()` cancels whoever is inside, who then goes on behind the block.

    Python 3.11's `asyncio.timeout()` made by hand: 3.10 has none, and its stand-in can be moved by its own task only.
    """

    __slots__ = ("_cancelling", "_task", "fired")

    def __init__(self) -> None:
        self.fired = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def __enter__(self) -> "Interrupt":
        self.fired = False
        self._task = asyncio.current_task()
        if sys.version_info >= (3, 11) and self._task is not None:
            self._cancelling = self._task.cancelling()
        return self

    def fire(self) -> None:
        """Nothing happens where nobody is inside, or the second time."""
        if self._task is not None and not self.fired:
            self.fired = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        if not self.fired or task is None:
            return False
        if sys.version_info >= (3, 11) and task.uncancel() > self._cancelling:
            return False  # cancelled by somebody else as well
        return kind is asyncio.CancelledError
