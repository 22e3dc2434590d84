"""The one thread: starts with the first producer, ends with the last, stops before a fork and comes back after it.

What it does when it wakes is not told here: `beat()` does what is due and answers in how many seconds to come again,
or None when there is nothing left to do. Waking is reentrant (a SimpleQueue's put), because the garbage collector
wakes it too.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from superclient.agent import log

FORK_PATIENCE = 0.2  # seconds that os.fork() may wait for the thread; one in the middle of a report needs some


class Heartbeat:
    """A daemon thread that exists while it is needed."""

    def __init__(self, beat: Callable[[], float | None]) -> None:
        self.over = False  # nothing is to be done any more in this process: no call brings the thread back
        self._beat = beat
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._last: Callable[[], None] | None = None

    def ensure(self, blocking: bool = True) -> None:
        """Run the thread if it does not; cheap enough for a hook that is called for every batch.

        With blocking=False it gives up where another thread is at it: for hooks that the garbage collector may call.
        """
        if self.over or (self._thread is not None and not self._stopping):
            return
        if not self._lock.acquire(blocking):
            return
        try:
            self._start()
        finally:
            self._lock.release()

    def _start(self) -> None:
        if self._thread is not None and self._thread.is_alive() and not self._stopping:
            return
        if sys.is_finalizing():  # a thread never gets to run any more, and Thread.start would wait for it for ever
            return
        if _forks_unseen():
            return
        self._stopping = False
        self._wakes = SimpleQueue()
        thread = threading.Thread(target=self._run, args=(self._wakes,), name="superclient", daemon=True)
        try:
            thread.start()
            self._thread = thread  # that it ends, it says under our lock
        except RuntimeError:  # the interpreter is shutting down, or there are no threads to be had
            self._thread = None

    def wake(self) -> None:
        """Let the thread look at what is due, soon. Takes no lock."""
        self._wakes.put(None)

    def stop(self, patience: float = FORK_PATIENCE) -> None:
        """Ask the thread to end and wait a moment; in the middle of a read it ends after it."""
        if self._lock.acquire(timeout=patience):  # another thread may be starting it: one cannot join it before
            self._lock.release()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        self._stopping = True
        self._wakes.put(None)
        thread.join(patience)
        if not thread.is_alive():
            _wait_until_gone(thread.native_id)

    def run_last(self, work: Callable[[], None], patience: float) -> None:
        """Let the thread do this work and end, and wait for it; a thread in the middle of a read is not waited for
        longer."""
        if not self.alive:
            return
        done = threading.Event()

        def last() -> None:
            try:
                work()
            finally:
                done.set()

        self._last = last
        self._wakes.put(None)
        done.wait(patience)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def after_fork_in_child(self) -> None:
        """The thread stayed in the parent, maybe holding a lock of ours."""
        self._lock = threading.RLock()
        self._thread, self._stopping, self._last = None, False, None

    def _run(self, wakes: "SimpleQueue[None]") -> None:
        while wakes is self._wakes and not self._stopping:
            pause = self._once()
            if self._last is not None:
                self._last()
                return
            with self._lock:
                if wakes is not self._wakes or self._stopping:
                    return
                if pause is None:
                    # In this order: whoever wakes us now is either seen here, or sees that there is no thread.
                    self._thread = None
                    if wakes.empty():
                        return
                    self._thread = threading.current_thread()
            try:
                # Up to CPython 3.12 a get with a time-out of nanoseconds may wait for ever.
                wakes.get(timeout=max(0.001, pause or 0.0))
                while True:  # many wakes are one
                    wakes.get_nowait()
            except Empty:
                pass

    def _once(self) -> float | None:
        if self._last is not None:
            return None
        try:
            return self._beat()
        except Exception as error:  # the thread outlives any one failure
            log.failure("heartbeat", "a round of reports", error)
            return 60.0


def _wait_until_gone(native_id: int | None) -> None:
    """Wait, for a moment at most, until a thread that was joined is gone for the operating system too.

    os.fork warns by the system's count of threads, and up to CPython 3.12 a join returns a little before that.
    """
    task = f"/proc/self/task/{native_id}"
    end = time.monotonic() + FORK_PATIENCE
    while os.path.exists(task) and time.monotonic() < end:
        time.sleep(0.0002)


def _forks_unseen() -> bool:
    """Whether this is uWSGI's master, which forks without holding the GIL and without a word to anybody.

    A worker forked while a thread is running waits for ever: that thread, which holds the GIL, stayed in the master.
    """
    uwsgi = sys.modules.get("uwsgi")  # the server itself provides it
    try:
        return uwsgi is not None and bool(uwsgi.masterpid() == os.getpid())
    except Exception:  # another module of that name
        return False
