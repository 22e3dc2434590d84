"""Threads for calls that may block: made when they are needed, used again at once, gone when they are not.

An event loop hands out work here. To start a thread is to wait until it runs, for milliseconds on a busy machine: so
one is started at most, which starts the others.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, Queue

IDLE = 0.5
"""Seconds that a thread waits for more to do: a look is followed by the next one, or by none for long."""


class Workers:
    """For one run of a monitor. All threads are daemons: a call that hangs must not keep the process from ending."""

    def __init__(self) -> None:
        self._work: Queue[Callable[[], None]] = Queue()  # for threads that were counted on
        self._idle: deque[None] = deque()  # one for each thread that waits and was not counted on yet

    def run(self, work: Sequence[Callable[[], None]]) -> None:
        """Do all of these, each on a thread of its own; they raise nothing. From one thread.

        Raises:
            RuntimeError: there are no threads to be had; some of it may be done nevertheless.
        """
        left = []
        for each in work:
            if self._count_on():
                self._work.put(each)
            else:
                left.append(each)
        if left:
            self._start(left)

    def _start(self, work: Sequence[Callable[[], None]]) -> None:
        threading.Thread(target=self._loop, args=(work,), name="superclient-health-look", daemon=True).start()

    def _loop(self, work: Sequence[Callable[[], None]]) -> None:
        if len(work) > 1:
            try:
                self._start(work[1:])
            except RuntimeError:  # then one after the other
                for each in work[1:]:
                    each()
        work[0]()
        following = self._next()
        while following is not None:
            following()
            following = self._next()

    def _next(self) -> Callable[[], None] | None:
        """What to do next; None where there is nothing for a while."""
        self._idle.append(None)
        while True:
            try:
                return self._work.get(timeout=IDLE)
            except Empty:
                # Unless somebody counted on this thread just now: what he brings may be taken by another one, though,
                # which is then counted on in its place.
                if self._count_on():
                    return None

    def _count_on(self) -> bool:
        """Whether there was a thread that waits for something to do; it waits for the caller's from now on."""
        try:
            self._idle.pop()
        except IndexError:
            return False
        return True
