"""Faults between a program and its broker, made simply: refused, black hole, slow, cut.

A broker that is silent, crashes or comes back is the broker's own business: `pause`, `kill`, `start` of a `Broker`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

from tests.servers.ports import free_port, release_port


@contextlib.contextmanager
def refused_port() -> Iterator[int]:
    """A port on which every connection is refused, and stays so for the length of the block."""
    port = free_port()
    try:
        yield port
    finally:
        release_port(port)


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port where connecting never ends: a listening socket whose backlog is full and never accepted."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(16):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            raise RuntimeError("the backlog did not fill up")
        yield listener.getsockname()[1]


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts every connection and never says a word."""
    with Proxy() as proxy:
        proxy.drop()
        yield proxy.port


class Proxy:
    """A TCP proxy in front of `target_port`, in a thread of its own; a `with` block opens and closes it.

    A Kafka client leaves a proxy as soon as it learns the address that the broker advertises: `Broker(…, proxy=proxy)`,
    or the fixture `behind_proxy`, makes a listener that advertises the proxy.
    """

    def __init__(self, target_port: int = 0, port: int = 0) -> None:
        self.target_port = target_port
        self.port = port
        self.connections = 0
        """How many were accepted so far."""
        self.bytes_sent = 0
        """From programs to the broker, as the network saw them."""
        self._delay = 0.0
        self._drop = False
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def delay(self, seconds: float) -> None:
        """From now on each piece of data, in both directions, is this late."""
        self._delay = seconds

    def drop(self) -> None:
        """From now on data disappears, while connections stay open and new ones are accepted: a black hole."""
        self._drop = True

    def restore(self) -> None:
        """Passes data on at once again; what was dropped is lost, so connections that missed some are cut."""
        if self._drop:
            self.cut()
        self._delay, self._drop = 0.0, False

    def cut(self) -> None:
        """Resets every open connection now; new ones are accepted."""
        self._run(self._abort())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _abort(self) -> None:
        for writer in list(self._open):
            # Lingering for no time makes the kernel send a reset in place of an orderly end.
            with contextlib.suppress(OSError):
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        for _ in range(100):  # one that is just being accepted has a task of the loop's own, and ours a step later
            await self._abort()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            if not tasks and not self._open:
                break
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # an aborted transport lets go of its socket in one of the loop's next steps
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        self.connections += 1
        try:
            if self._drop:
                await self._pass_on(reader, None)
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
            self._open.add(up_writer)
            try:
                await asyncio.gather(self._pass_on(reader, up_writer, counted=True), self._pass_on(up_reader, writer))
            finally:
                up_writer.transport.abort()
                self._open.discard(up_writer)
        except (OSError, asyncio.CancelledError):
            pass  # a cut is what this is for
        finally:
            writer.transport.abort()
            self._open.discard(writer)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, counted: bool = False
    ) -> None:
        """Copies until one side ends, then ends the other; without a writer it only swallows."""
        while data := await reader.read(65536):
            if self._delay:
                await asyncio.sleep(self._delay)
            if writer is None or self._drop:
                continue
            if counted:
                self.bytes_sent += len(data)
            writer.write(data)
            await writer.drain()
        if writer is not None:
            writer.close()
