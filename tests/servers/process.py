"""A server process of the tests: its own process group, a kept log, and an end whatever happens to the session."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Ends what is left of a session that was killed: it reads pids until the pipe closes, and a pipe always closes.
_WATCHDOG = """
import os, signal, sys
alive = set()
for line in sys.stdin:
    (alive.add if line[0] == "+" else alive.discard)(int(line[1:]))
for group in alive:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class ServerError(RuntimeError):
    """A server did not start, did not become ready, or does not answer any more."""


class _Watchdog:
    """Tells a small process of its own which groups to end when this process is gone."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def tell(self, sign: str, pid: int) -> None:
        if self._owner != os.getpid():  # a forked child must not speak for its parent
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-c", _WATCHDOG], stdin=subprocess.PIPE, text=True, start_new_session=True
            )
            atexit.register(self.close, self._owner)
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{sign}{pid}\n")
            self._process.stdin.flush()

    def close(self, owner: int) -> None:
        if self._process is not None and self._process.stdin is not None and owner == os.getpid():
            self._process.stdin.close()
            self._process.wait(10)


_watchdog = _Watchdog()
RUNNING: list[ServerProcess] = []
"""The servers of this session that are up; the report of a failing test shows what they logged meanwhile."""


class ServerProcess:
    """One program that serves until `stop`; `start` may be called again afterwards."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        if self.alive:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,  # Ctrl-C in the terminal ends the tests first, and they end the server
            )
        _watchdog.tell("+", self._process.pid)
        RUNNING.append(self)

    def wait_ready(self, probe: Callable[[], bool], timeout: float = 60.0) -> None:
        """Asks `probe` until it says yes; a server that died or took too long is a ServerError that shows its log."""
        deadline = time.monotonic() + timeout
        while not probe():
            if not self.alive:
                raise ServerError(f"{self.name} ended while starting:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} was not ready after {timeout} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        if self.alive:
            os.killpg(self.pid, number)

    def pause(self) -> None:
        """Stops answering without closing a connection (SIGSTOP)."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """A crash: SIGKILL, and nothing was written down properly."""
        self.signal(signal.SIGKILL)
        self._gone(10)

    def stop(self, timeout: float = 15.0) -> None:
        """An orderly end; past the timeout a crash."""
        self.resume()
        self.signal(signal.SIGTERM)
        if not self._gone(timeout):
            self.kill()

    def _gone(self, timeout: float) -> bool:
        if self._process is None:
            return True
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        _watchdog.tell("-", self._process.pid)
        if self in RUNNING:
            RUNNING.remove(self)
        return True

    def log_tail(self, characters: int = 4000, since: int = 0) -> str:
        """The end of the log, at most `characters`, and nothing before byte `since`."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(since, self.log.stat().st_size - characters))
            return log.read().decode(errors="replace")


@atexit.register
def _end_all() -> None:
    for server in list(RUNNING):
        server.stop(5)
