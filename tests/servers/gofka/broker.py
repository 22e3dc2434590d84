"""The broker double inside its event loop: listener, connections, faults, and what passes with time."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.servers.gofka.connection import Connection
from tests.servers.gofka.state import Options, State

HOST = "127.0.0.1"


@dataclass
class Fault:
    """What happens once, to the request that is the `left`th from now of its API (of any, where that is None)."""

    kind: str
    left: int
    api: str | None = None
    text: str = ""
    stored: bool = False


class Faults:
    """Those that are still to come."""

    def __init__(self) -> None:
        self._coming: list[Fault] = []

    def __bool__(self) -> bool:
        return bool(self._coming)

    def add(self, fault: Fault) -> None:
        self._coming.append(fault)

    def next(self, api: str) -> Fault | None:
        """The fault of this request, if it is its turn; each is counted down, the first that is due is taken."""
        due = None
        for fault in self._coming:
            if fault.api in {None, api}:
                fault.left -= 1
                due = fault if due is None and fault.left <= 0 else due
        if due is not None:
            self._coming.remove(due)
        return due


@dataclass
class Broker:
    """One broker; everything here is called in its loop."""

    options: Options
    state: State
    tls: ssl.SSLContext | None = None
    port: int = 0
    paused: bool = False
    crashed: str = ""
    """Why the real process would have ended, had it got what this one got."""
    requests: Counter[str] = field(default_factory=Counter)
    faults: Faults = field(default_factory=Faults)
    random: random.Random = field(default_factory=lambda: random.Random(0))
    connections: set[Connection] = field(default_factory=set)
    connections_total: int = 0
    most_in_flight: int = 0

    def __post_init__(self) -> None:
        self._listener: socket.socket | None = None
        self._accepting: dict[asyncio.Task[Any], socket.socket] = {}
        self._clock: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self._down = False
        self._none_left = asyncio.Event()

    async def start(self) -> None:
        if self._listener is not None:
            return
        # Not by asyncio's own server: one that it accepts while it is closing is lost, open until somebody collects it.
        self._listener = socket.create_server((HOST, self.port), backlog=1000)
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        self.port = self._listener.getsockname()[1]
        self.options.advertised = self.options.advertised or f"{HOST}:{self.port}"
        self.crashed = ""
        self._down = False
        self.tick()

    async def stop(self) -> None:
        """Nobody listens, and nothing of a connection is left, when this returns."""
        self._go_down()
        self.cut()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        if self.connections:
            self._none_left.clear()
            await self._none_left.wait()
        for _ in range(3):  # an aborted transport lets go of its socket in one of the loop's next steps
            await asyncio.sleep(0)

    def crash(self, reason: str) -> None:
        """The process ends: the port refuses and every connection is gone, until the next start."""
        self._go_down()
        self.crashed = reason
        self.cut()

    def cut(self) -> None:
        """Resets every connection, and those that are not through their handshake yet."""
        for accepting in list(self._accepting):
            accepting.cancel()
        for connection in list(self.connections):
            connection.abort()

    def pause(self, paused: bool) -> None:
        """Takes what comes and answers none of it; afterwards all of it, in order."""
        self.paused = paused
        for connection in list(self.connections):
            connection.proceed_soon()

    def advance(self, seconds: float) -> None:
        self.state.skipped_s += seconds
        self._pass_time()

    def delay(self) -> float:
        """Real seconds until a Produce that begins now is through."""
        delay = self.options.commit_s
        if self.options.rate:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + 1 / self.options.rate
            delay = max(delay, self._free_at - now)
        return delay

    def opened(self, connection: Connection) -> None:
        self.connections.add(connection)
        self.connections_total += 1
        if self._down:  # it was being accepted
            connection.abort()

    def closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._none_left.set()

    def tick(self) -> None:
        """Looks at the clock, and again a little later, for as long as the broker is up."""
        self._pass_time()
        self._clock = asyncio.get_running_loop().call_later(min(0.05, max(0.25 / self.options.clock, 0.005)), self.tick)

    def _pass_time(self) -> None:
        if not self.paused:  # a process that is stopped does nothing by itself either
            self.state.groups.tick()
            for connection in list(self.connections):
                connection.hurry()

    def _go_down(self) -> None:
        self._down = True
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return  # gone again already
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(lambda: Connection(self), accepted, ssl=self.tls))
        self._accepting[task] = accepted
        task.add_done_callback(self._accepted)

    def _accepted(self, task: asyncio.Task[Any]) -> None:
        accepted = self._accepting.pop(task)
        if task.cancelled() or task.exception() is not None:  # a handshake that came to nothing
            accepted.close()
