"""Futures that tell when somebody waits for them, for the records of a batch that the agent holds back.

An awaited future is told so by what waits: the task, or asyncio's own gather, wait, wait_for, shield. That is a call of
`add_done_callback`, which a subclass sees; a program's own callback waits for nothing. Only producers with an added
linger hand such futures out; all others hand out the library's own.
"""

import asyncio
import functools
import weakref
from collections.abc import Callable
from typing import Any

from superclient.agent import log

HOLD = "_superclient_hold"
MAKE = "_superclient_future"
REFERENCE = "_superclient_reference"


class Reference(weakref.ref[Any]):
    """A batch that was held, for the futures of its records; what holds it, also when the batch is gone."""

    __slots__ = ("asked", "hold", "tp")
    asked: bool
    hold: Any
    tp: Any


class Future(asyncio.Future[Any]):
    """Of one record; it knows its batch weakly, as a future of the library's does not know it at all."""

    __slots__ = ("_superclient_batch",)
    _superclient_batch: Reference

    def add_done_callback(self, callback: Any, *args: Any, **kwargs: Any) -> None:
        super().add_done_callback(callback, *args, **kwargs)
        if not self._superclient_batch.asked and _waits(callback):
            self._tell()

    def __await__(self) -> Any:
        if self.done() and not self._superclient_batch.asked:  # else the task that waits adds its callback
            self._tell()
        return super().__await__()

    def _tell(self) -> None:
        batch = self._superclient_batch
        batch.asked = True
        try:
            batch.hold.awaited(batch)
        except Exception as error:
            log.failure("aiokafka", "releasing a batch", error)


Future.__module__ = "_asyncio"  # "<Future pending>", and asyncio's reminders: as the library's own


def possible(loop: Any) -> bool:
    """Whether the loop's futures are asyncio's, so that one of ours can stand in for them."""
    return type(loop.create_future()) is asyncio.Future


def hold(batch: Any, kind: type, by: Any, loop: Any) -> None:
    """Hold this new batch back until somebody waits for one of its records; `kind` is from `telling`."""
    reference = Reference(batch)
    reference.asked, reference.hold, reference.tp = False, by, batch.tp

    def make() -> Future:
        future = Future(loop=loop)
        future._superclient_batch = reference
        return future

    batch.__class__ = kind
    setattr(batch, MAKE, make)
    setattr(batch, HOLD, by)
    setattr(batch, REFERENCE, reference)


def alone(batch: Any) -> bool:
    """Whether the batch is one record, and somebody waits for it."""
    futures = batch._msg_futures
    return len(futures) == 1 and any(_waits(callback) for callback, _ in futures[0][0]._callbacks or ())


@functools.cache
def telling(batch_class: Any) -> type:
    """The library's batch, whose futures tell."""

    plain = batch_class.append

    def append(self: Any, key: Any, value: Any, timestamp_ms: Any, headers: Any = (), **others: Any) -> Any:
        # Runs for every record: written out, so that nothing is packed or looked up that need not be.
        if self._superclient_hold is None:
            return plain(self, key, value, timestamp_ms, headers=headers, **others)
        return plain(self, key, value, timestamp_ms, headers=headers, _create_future=self._superclient_future, **others)

    return type(batch_class.__name__, (batch_class,), {"append": append, "__module__": batch_class.__module__})


def _waits(callback: Callable[..., Any]) -> bool:
    """A task's wake-up, or one of asyncio's (or uvloop's) own functions."""
    while isinstance(callback, functools.partial):
        callback = callback.func
    if isinstance(getattr(callback, "__self__", None), asyncio.Future):
        return True
    module = getattr(callback, "__module__", None) or ""
    return module.partition(".")[0] in ("asyncio", "_asyncio", "uvloop")
