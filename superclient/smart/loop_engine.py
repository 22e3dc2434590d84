"""One run of an AsyncPartitionHealthMonitor: timers on its event loop.

What blocks has a thread, and there is a task only for a collector that has to be awaited: a loop that is closed takes
the timer with it, and that is the end.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from superclient.smart import collectors
from superclient.smart.looks import Looks
from superclient.smart.rounds import Kind, Look, Outcome, Ticket
from superclient.smart.workers import Workers

log = logging.getLogger("superclient.smart.monitor")

_LONGEST_WAIT = 3600.0
_PATIENCE = 1.0  # seconds for coroutines to take note of being cancelled


class LoopEngine:
    """One run of a monitor, on its loop's thread but for `call`. Knows nothing of the monitor; see ThreadEngine."""

    def __init__(self, looks: Looks, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._looks = looks
        self._rounds = looks.rounds()
        self._awaits = collectors.is_async(looks.collector)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._workers = Workers()
        self._over = False
        self._pid = os.getpid()

    @property
    def alive(self) -> bool:
        """Whether it will look again."""
        return not self._over and not self.loop.is_closed() and self._pid == os.getpid()

    def call(self, what: Callable[[], None]) -> None:
        """Do this on the loop's thread, soon; from any thread, also from the garbage collector."""
        across(self.loop, what)

    def tick(self) -> None:
        """Start what is due, and come again."""
        if self._over:
            return
        if self._timer is not None:
            self._timer.cancel()
        wait = 1.0
        try:
            self._start(self._rounds.due(time.monotonic()))
            wait = min(self._rounds.wait(time.monotonic()), _LONGEST_WAIT)
        except Exception:
            # Ours, not the collector's: rather health that goes stale than no monitor at all.
            log.exception("a round of the monitor failed")
        # Else this was the last wish of an engine that was made for one.
        if not self._over:
            self._timer = self.loop.call_later(wait, self.tick)

    def ask(self, ticket: Ticket) -> None:
        """Somebody wants a round."""
        self._rounds.request(ticket)
        self.tick()

    def hasten(self) -> None:
        """There is a new topic."""
        self._rounds.hasten()
        self.tick()

    def end(self) -> None:
        """No further look; what is under way is let go of."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._rounds.stop()
        self._looks.close()

    async def stop(self) -> None:
        """The same, from any loop, and wait for coroutines to take note of it."""
        if asyncio.get_running_loop() is not self.loop:
            self.call(self.end)
            self._over = self._over or self.loop.is_closed()
        else:
            self.end()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_PATIENCE)
        self._looks.health.feeds.end()

    def _start(self, due: Sequence[Look]) -> None:
        blocking = [look for look in due if look.kind is not Kind.ALONE or not self._awaits]
        for look in due:
            if look not in blocking:
                self._await(look)
        try:
            self._workers.run([partial(self._looks.make, look, self._deliver) for look in blocking])
        except RuntimeError as error:  # no threads to be had, or the interpreter is ending
            for look in blocking:
                self._rounds.done(look, collectors.failed(look, error))

    def _await(self, look: Look) -> None:
        task = self.loop.create_task(collectors.awaited(self._looks.collector, look))
        # A loop that is closed with no word to its tasks would have each of them complain, on stderr.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.add(task)
        expiry = self.loop.call_later(look.timeout, task.cancel)
        task.add_done_callback(partial(self._awaited, look, expiry))

    def _awaited(self, look: Look, expiry: asyncio.TimerHandle, task: "asyncio.Task[Outcome]") -> None:
        expiry.cancel()
        self._tasks.discard(task)
        if self._over:
            return
        if task.cancelled():
            # No tick: a loop that is ending cancels what it has, and must not be given anything new.
            errors = dict.fromkeys(look.topics, f"no answer within {look.timeout:g} s")
            self._rounds.done(look, Outcome(errors=errors))
            return
        self._looks.works = collectors.works(self._looks.collector)
        error = task.exception()
        self._done(look, task.result() if error is None else collectors.failed(look, error))

    def _deliver(self, look: Look, outcome: Outcome) -> None:
        self.call(partial(self._done, look, outcome))

    def _done(self, look: Look, outcome: Outcome) -> None:
        if not self._over:
            self._rounds.done(look, outcome)
            self.tick()


def across(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Do this on a loop's thread, soon; nothing where the loop is closed."""
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:  # the loop is closed: whoever waited there waits no more
        log.debug("the event loop is closed")


def fulfil(future: "asyncio.Future[Any]", value: object) -> None:
    """Give somebody who waits an answer, if he still does."""
    if not future.done():
        future.set_result(value)
