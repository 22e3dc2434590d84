"""Tasks that are waited for, whatever happens: nothing here is left running, and nothing is left unsaid."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from superclient.messaging.told import logger


async def through(work: Coroutine[Any, Any, object], seconds: float, *, insist: bool = False) -> bool:
    """Let it come to its end, at most so long; whether it has, without an error.

    Where we are cancelled ourselves, it is cancelled too, or (`insist`) has its time none the less; our cancellation is
    raised after its end.
    """
    task = asyncio.ensure_future(work)
    timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), task.cancel)
    try:
        await _over(task, cancel=not insist)
    finally:
        timer.cancel()
    return not task.cancelled() and task.exception() is None


async def ended(task: "asyncio.Future[Any]", *, patient: bool = False) -> None:
    """Return when the task has ended; cancel it first, or (`patient`) only if we are cancelled ourselves."""
    if not patient:
        task.cancel()
    await _over(task, cancel=True)


async def each(*steps: Coroutine[Any, Any, object]) -> None:
    """Await one after the other, all of them, however often we are cancelled meanwhile; then raise that."""
    cancelled: asyncio.CancelledError | None = None
    for step in steps:
        try:
            await step
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


class _Counting(asyncio.Task[None]):
    """A task before Python 3.11, which does not tell by itself whether it was asked to end."""

    asked = False

    def cancel(self, msg: Any = None) -> bool:
        self.asked = True
        return super().cancel(msg)


def begun(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task of which `asked_to_end` knows the answer."""
    loop = asyncio.get_running_loop()
    if sys.version_info < (3, 11) and loop.get_task_factory() is None:
        return _Counting(work, loop=loop)
    return loop.create_task(work)


def asked_to_end() -> bool:
    """Whether somebody has cancelled the running task, as opposed to something in it that was cancelled by itself.

    Where that cannot be known (a task factory of the program's before Python 3.11), it is assumed.
    """
    task = asyncio.current_task()
    if sys.version_info >= (3, 11):
        return task is None or task.cancelling() > 0
    return getattr(task, "asked", True)


async def _over(task: "asyncio.Future[Any]", *, cancel: bool) -> None:
    """Return when the task has ended, however often we are cancelled meanwhile; then raise that, not what it raises."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
            if cancel:
                task.cancel()
    if not task.cancelled() and task.exception() is not None:
        logger.debug("ended by %r", task.exception())
    if cancelled is not None:
        raise cancelled
