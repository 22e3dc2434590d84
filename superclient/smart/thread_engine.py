"""One run of a PartitionHealthMonitor: the loop of its thread."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from superclient.smart import collectors
from superclient.smart.looks import Looks
from superclient.smart.rounds import Look, Outcome, Ticket
from superclient.smart.workers import Workers

log = logging.getLogger("superclient.smart.monitor")

_LONGEST_WAIT = 3600.0


class ThreadEngine:
    """One run of a monitor. Knows nothing of the monitor, so that one that is dropped can be collected."""

    def __init__(self, looks: Looks) -> None:
        self._looks, self._health = looks, looks.health
        self._rounds = looks.rounds()
        self._inbox = _Inbox()
        self._workers = Workers()
        self._over = False

    def run_and_end(self) -> None:
        """What the thread does."""
        try:
            self._run()
        finally:
            self._rounds.stop()
            self._health.feeds.end()
            self._looks.close()

    def run_for(self, ticket: Ticket) -> None:
        """One round on this thread, until this wish is fulfilled."""
        tell = ticket.done

        def tell_and_stop(ok: bool) -> None:
            self._over = True
            tell(ok)

        ticket.done = tell_and_stop
        self._rounds.request(ticket)
        try:
            self._run()
        finally:
            self._looks.close()

    def stop(self) -> None:
        """Let the run end. Takes no lock: the garbage collector may call it."""
        self._over = True
        self._inbox.put(_nothing)

    def ask(self, ticket: Ticket) -> None:
        """Somebody wants a round."""
        self._inbox.put(partial(self._rounds.request, ticket))

    def hasten(self) -> None:
        """There is a new topic."""
        self._inbox.put(self._rounds.hasten)

    def _run(self) -> None:
        while not self._over:
            try:
                self._once()
            except Exception:
                # Ours, not the collector's: rather health that goes stale than no monitor at all.
                log.exception("a round of the monitor failed")
                time.sleep(1.0)

    def _once(self) -> None:
        due = self._rounds.due(time.monotonic())
        try:
            self._workers.run([partial(self._looks.make, look, self._deliver) for look in due])
        except RuntimeError as error:  # no threads to be had, or the interpreter is ending
            for look in due:
                self._rounds.done(look, collectors.failed(look, error))
        if self._over:
            return
        self._inbox.wait(min(self._rounds.wait(time.monotonic()), _LONGEST_WAIT))
        for message in self._inbox.all():
            message()

    def _deliver(self, look: Look, outcome: Outcome) -> None:
        self._inbox.put(partial(self._rounds.done, look, outcome))


def _nothing() -> None:
    """A message that only wakes."""


class _Inbox:
    """Messages for one thread; `put` takes no lock that it would have to wait for.

    Not a SimpleQueue: up to Python 3.12 its `get`, given a very short time-out, may wait for ever.
    """

    def __init__(self) -> None:
        self._messages: deque[Callable[[], None]] = deque()
        self._empty = threading.Lock()  # held while there is nothing new; released by whoever brings something
        self._empty.acquire()

    def put(self, message: Callable[[], None]) -> None:
        """Leave a message."""
        self._messages.append(message)
        with suppress(RuntimeError):  # somebody else has brought something just now
            self._empty.release()

    def wait(self, seconds: float) -> None:
        """Until there is something new, or so many seconds have passed."""
        self._empty.acquire(timeout=seconds)

    def all(self) -> Iterator[Callable[[], None]]:
        """Take what is there."""
        while self._messages:
            yield self._messages.popleft()
