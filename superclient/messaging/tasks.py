"""Tasks that are waited for, whatever happens: nothing here is left running, and nothing is left unsaid."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from superclient.messaging.told import logger


async def ended(task: "asyncio.Future[Any]", *, patient: bool = False) -> None:
    """Return when the task has ended; cancel it first, or (`patient`) only if we are cancelled ourselves.

    Our own cancellation is raised after the task's end. What the task raises is not.
    """
    cancelled: asyncio.CancelledError | None = None
    if not patient:
        task.cancel()
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
            task.cancel()
    if not task.cancelled() and task.exception() is not None:
        logger.debug("ended by %r", task.exception())
    if cancelled is not None:
        raise cancelled


async def through(work: Coroutine[Any, Any, object], seconds: float) -> bool:
    """Let it come to its end, at most so long; whether it has, without an error. A cancellation of ours waits."""
    task = asyncio.ensure_future(work)
    timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), task.cancel)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    timer.cancel()
    if not task.cancelled() and task.exception() is not None:
        logger.debug("given up: %r", task.exception())
    if cancelled is not None:
        raise cancelled
    return not task.cancelled() and task.exception() is None
