"""Standard input as it comes: lines reach Kafka while the program before us in the pipe still runs."""

import errno
import os
import select
import sys
from typing import BinaryIO

from superclient.cli._session import Stop

_LOOK = 0.1  # seconds between two looks at whether to stop


class Stdin:
    """Standard input that ends also when the command was asked to stop, although nothing comes.

    Raises:
        OSError: there is none.
    """

    def __init__(self, stop: Stop) -> None:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "stdin is closed")
        self._stop = stop
        self._stream: BinaryIO = sys.stdin.buffer
        self._descriptor: int | None = None
        try:
            self._descriptor = self._stream.fileno()
        except (OSError, ValueError):  # a test's
            pass
        self.cut = False
        """Whether it ended because it was asked to; there may have been more."""
        self.ended = False
        """Whether it was read to its end."""
        self.typed = sys.stdin.isatty()
        """Whether a person types it."""

    def read(self, size: int, /) -> bytes:
        """What is there, at least a byte; b"" at the end."""
        if self._descriptor is None:
            return self._noted(self._stream.read(size))
        # Windows can select sockets alone: there the read itself waits.
        while os.name == "posix" and not self._stop.requested:
            if select.select([self._descriptor], [], [], _LOOK)[0]:
                break
        if self._stop.requested:
            self.cut = True
            return b""
        return self._noted(os.read(self._descriptor, size))

    def _noted(self, found: bytes) -> bytes:
        self.ended = not found
        return found
