"""The one thread of a client by which the asyncio face waits, and how what it brings gets onto the event loops.

A `Poller` serves the library's callbacks, whatever the load; a `Landing` is one event loop's end of it, which hands out
what arrived together. A `Worker` runs calls that block, one after the other. None of them keeps its owner alive.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MethodType
from typing import Any, TypeVar

T = TypeVar("T")
Report = Callable[[Any, Any], Any]  # of the library's error, or None, and its message

TICK = 0.1  # seconds of one call that waits for callbacks
AT_ONCE = 500  # results that are handed out before the loop may do something else
SETTLE = 0.05  # seconds
ROOM = 0.005  # seconds after which a full queue is tried again
_log = logging.getLogger("superclient.toolkit")


class Poller:
    """Serves a client's callbacks on a thread of its own, from the first `start` until `end`."""

    def __init__(self, poll: Callable[[float], object], settle: Callable[[], object], name: str) -> None:
        self._poll: Callable[[float], object] | None = poll
        self._settle, self._name = settle, name
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.ended = False

    def start(self) -> None:
        """Start, unless it runs or has ended."""
        if self._thread is None:
            with self._lock:
                if self._thread is None and self._poll is not None:
                    # A daemon: a program that forgot to close its client comes to its end all the same.
                    self._thread = threading.Thread(target=self._run, name=self._name, args=(self._poll,), daemon=True)
                    self._thread.start()

    def end(self, wait: bool = True) -> None:
        """End, let go of the client, and wait for the thread; idempotent."""
        self.ended, self._poll = True, None
        with self._lock:
            thread = self._thread
        if wait and thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self, poll: Callable[[float], object]) -> None:
        while not self.ended:
            try:
                poll(TICK)
                self._settle()
            except Exception:  # of a callback in the configuration: there is nobody else to hear of it
                _log.exception("a callback of the client's failed")


class Worker:
    """Runs calls that block, one after the other, on a thread made for the first of them."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, call: Callable[[Callable[[], bool]], T]) -> T:
        """The result of a call, which can ask whether it is to stop: its caller was cancelled, and left."""
        stopped = threading.Event()
        try:
            return await self._submit(call, stopped)
        finally:
            stopped.set()

    async def finish(self, call: Callable[[Callable[[], bool]], T]) -> T:
        """The same; who is cancelled waits for the call's end all the same, so that its outcome is decided."""
        stopped, cancelled = threading.Event(), None
        future = self._submit(call, stopped)
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                stopped.set()
                cancelled = error
        if cancelled is not None:
            future.exception()  # looked at
            raise cancelled
        return future.result()

    def _submit(self, call: Callable[[Callable[[], bool]], T], stopped: threading.Event) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._executor, call, stopped.is_set)

    def end(self) -> None:
        """Take no more calls; the thread ends when it has none."""
        self._executor.shutdown(wait=False)


class Landing:
    """One event loop's results. All but `report` and `across` is called on that loop.

    `make` turns a delivery report into a result; `unwanted` is told of a report that nobody waits for any more.
    `waiting` counts the calls that wait for room in the client's queue; who comes later waits behind them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Report, unwanted: Report) -> None:
        self.loop = loop
        self.waiting = 0
        self._make, self._unwanted = make, unwanted
        self._reports: deque[tuple[asyncio.Future[Any], Any, Any]] = deque()
        self._called = False
        self._handed_out = threading.Event()
        self._line = asyncio.Lock()
        self._taken = self._taking()

    def report(self, future: "asyncio.Future[Any]") -> Report:
        """What the library calls, on any thread, for the record that a future waits for."""
        return MethodType(self._taken, future)

    def _taking(self) -> Callable[["asyncio.Future[Any]", Any, Any], None]:
        take, call = self._reports.append, self._call

        def arrived(future: "asyncio.Future[Any]", error: Any, message: Any) -> None:
            take((future, error, message))
            if not self._called:
                call()

        return arrived

    def _call(self) -> None:
        self._called = True
        self._handed_out.clear()
        if not self.across(self._hand_out):
            self._called = False
            while self._reports:
                _, error, message = self._reports.popleft()
                self._unwanted(error, message)

    def across(self, call: Callable[[], object]) -> bool:
        """Have something called on the loop; whether the loop is still there, and with it anybody who waits."""
        try:
            self.loop.call_soon_threadsafe(call)
        except RuntimeError:
            return False
        return True

    def _hand_out(self) -> None:
        self._called = False  # before the look: what comes after it calls again
        self._handed_out.set()
        make, reports = self._make, self._reports
        for _ in range(min(AT_ONCE, len(reports))):
            future, error, message = reports.popleft()
            if future.done():  # cancelled
                self._unwanted(error, message)
            else:
                future.set_result(make(error, message))
        if reports and not self._called:
            self._called = True
            self.loop.call_soon(self._hand_out)

    def settle(self) -> None:
        """Wait a moment for a loop that is busy: to take the interpreter from it again and again would delay both."""
        if self._called:
            self._handed_out.wait(SETTLE)

    async def room(self, accepted: Callable[[], T]) -> T:
        """What the call answers once it finds room, after everything that waited before; until then BufferError."""
        self.waiting += 1
        try:
            async with self._line:
                while True:
                    try:
                        return accepted()
                    except BufferError:
                        await asyncio.sleep(ROOM)
        finally:
            self.waiting -= 1


class Landings:
    """The landings of the loops on which a client is used."""

    def __init__(self, make: Report, unwanted: Report) -> None:
        self._new = partial(Landing, make=make, unwanted=unwanted)
        self._known: dict[asyncio.AbstractEventLoop, Landing] = {}

    def of(self, loop: asyncio.AbstractEventLoop) -> Landing:
        """The loop's; those of loops that were closed are forgotten."""
        landing = self._known.get(loop)
        if landing is None:
            for other in [one for one in list(self._known) if one.is_closed()]:
                self._known.pop(other, None)
            landing = self._known.setdefault(loop, self._new(loop))
        return landing

    def settle(self) -> None:
        """See Landing.settle."""
        for landing in list(self._known.values()):
            landing.settle()
