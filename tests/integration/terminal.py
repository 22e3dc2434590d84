"""Runs `superclient` commands in a terminal of their own, as a person who watches sees them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping

from tests.environments import clean_environment
from tests.integration.cli import full_python
from tests.servers import wait_for

MOVES = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")


class Terminal:
    """What a terminal of 90 × 40 was sent by a command that runs in it."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._master, self._sent = master, b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while got := os.read(self._master, 65536):
                self._sent += got

    @property
    def sent(self) -> str:
        """All of it, colours and movements included."""
        return self._sent.decode(errors="replace")

    @property
    def text(self) -> str:
        """All of it without them."""
        return MOVES.sub("", self.sent)

    def shows(self, *parts: str) -> None:
        """Wait until these were shown."""
        wait_for(lambda: all(part in self.text for part in parts), " and ".join(parts), 30)

    def type(self, text: str) -> None:
        """As typed on its keyboard."""
        os.write(self._master, text.encode())

    def wait(self) -> int:
        """The exit status, once everything was read."""
        status = self.process.wait(60)
        self._reader.join(10)
        return status


@contextlib.contextmanager
def terminal(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Terminal]:
    """`superclient` with these arguments, in a terminal; Ctrl-C is `type("\\x03")`."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 90, 0, 0))
    command = [str(full_python().with_name("superclient")), *arguments]
    variables = clean_environment({"TERM": "xterm", **(env or {})})
    # A session of its own whose controlling terminal this is: else Ctrl-C is a character like any other.
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=variables,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # there is no other way
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
