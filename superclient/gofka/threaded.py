"""An event loop in a thread of its own, for those who have none: calls that wait, and an end that nothing outlives."""

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from superclient.gofka.errors import GofkaError

T = TypeVar("T")


class LoopThread:
    """Runs until `end`; a daemon, so that it keeps no interpreter alive.

    Attributes:
        ended: nothing is taken any more.
    """

    def __init__(self, name: str) -> None:
        self.ended = False
        self._stopped = False
        self._process = os.getpid()
        self._taking = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stopped:
            with suppress(BaseException):  # a SystemExit ends `run_forever`, and is the caller's, who gets it too
                self._loop.run_forever()
        self._loop.close()

    @property
    def is_forked(self) -> bool:
        """This process was forked from the one that the thread is in."""
        return os.getpid() != self._process

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What it returns or raises. Interrupted (Ctrl-C), it is cancelled.

        Raises GofkaError when the thread has ended, ends meanwhile, or is in the process that forked this one;
        RuntimeError in the thread itself, which would wait for itself.
        """
        try:
            if self.is_forked:
                raise GofkaError("the client belongs to the process that forked this one: make another one here")
            if threading.current_thread() is self._thread:
                raise RuntimeError("a blocking client cannot be used from within one of its own calls")
            with self._taking:
                if self.ended:
                    raise GofkaError("the client is closed")
                running = asyncio.run_coroutine_threadsafe(work, self._loop)
        except BaseException:
            work.close()
            raise
        try:
            return running.result()
        except concurrent.futures.CancelledError:
            raise GofkaError("the client was closed meanwhile") from None
        except BaseException:
            running.cancel()
            raise

    def end(self, last: Coroutine[Any, Any, Any] | None = None) -> None:
        """Take nothing more, do a last thing, cancel the rest, let the thread go. Does not wait for any of it."""
        with self._taking:
            if not self.ended:
                self.ended = True
                asyncio.run_coroutine_threadsafe(self._ending(last), self._loop)
            elif last is not None:
                last.close()

    async def _ending(self, last: Coroutine[Any, Any, Any] | None) -> None:
        if last is not None:
            await asyncio.gather(last, return_exceptions=True)
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)
        self._stopped = True
        self._loop.call_soon(self._loop.stop)

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has gone, for so many seconds at most."""
        self._thread.join(timeout)
