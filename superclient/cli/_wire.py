"""Counts produce requests and their bytes on the wire: a small TCP proxy in front of each broker of a cluster.

Kafka's framing makes this exact: every request is a length of four bytes, then the API key, the version, a correlation
id and the client's id. Clients would leave a proxy as soon as a broker tells them its address, so in the answers that
hold addresses each broker's is replaced by its proxy's; and where the controller is no broker (as on librdkafka's mock,
while admin clients wait for one) the first broker is named. Plain connections only: TLS hides all of this.
"""

import asyncio
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from superclient.kafka.internal import CLIENT_ID_PREFIX

HOST = "127.0.0.1"

_PRODUCE, _METADATA = 0, 3
_WITH_ADDRESSES = {_METADATA, 10, 60}  # the others: FindCoordinator, DescribeCluster
_LAST_STEPS = 5  # of the loop, in which a connection that was accepted in its last moment gets its task
_FLEXIBLE_METADATA = 9  # from this version on strings and lists have short lengths


_Asked = dict[int, tuple[int, int]]
"""Of requests whose answer holds addresses: correlation id → API key and version."""


@dataclass
class Tally:
    """What went to the brokers: the programs' produce requests and their bytes, and all that the agent sent itself."""

    requests: int = 0
    bytes: int = 0
    agent_requests: int = 0
    agent_bytes: int = 0


class Wire:
    """The proxies of a cluster, in a thread of their own; a `with` block opens and closes them."""

    def __init__(self, brokers: Sequence[tuple[str, int]]) -> None:
        self._brokers = list(brokers)
        self._tally = Tally()
        self._substitutes: list[tuple[bytes, bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="superclient-wire", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.bootstrap = ""

    def __enter__(self) -> "Wire":
        self._thread.start()
        ports = [self._run(self._listen(broker)) for broker in self._brokers]
        for (host, port), own in zip(self._brokers, ports, strict=True):
            self._substitutes += _forms(host, port, own)
        self.bootstrap = ",".join(f"{HOST}:{port}" for port in ports)
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def reset(self) -> Tally:
        """What was counted since the last reset."""
        done, self._tally = self._tally, Tally()
        return replace(done)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self, broker: tuple[str, int]) -> int:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = self._loop.create_task(self._serve(broker, reader, writer))
            self._open[task] = writer
            task.add_done_callback(self._open.pop)

        server = await asyncio.start_server(serve, HOST, 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for _ in range(_LAST_STEPS):
            tasks, writers = list(self._open), list(self._open.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _closed(*writers)  # also of those whose task was cancelled before its first step
            await asyncio.sleep(0)

    async def _serve(self, broker: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, downstream = await asyncio.open_connection(*broker)
        except OSError:
            await _closed(writer)
            return
        asked: _Asked = {}
        ways = [self._requests(reader, downstream, asked), self._answers(upstream, writer, asked)]
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            downstream.close()  # both before anything is awaited, where `_close` may cancel this task
            writer.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _closed(downstream, writer)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked) -> None:
        while (frame := await _frame(reader)) is not None:
            key, version, correlation, length = struct.unpack_from(">hhih", frame, 4)
            if key in _WITH_ADDRESSES:
                asked[correlation] = key, version
            self._count(key, frame[14 : 14 + max(length, 0)], len(frame))
            writer.write(frame)
            await writer.drain()

    def _count(self, key: int, client: bytes, size: int) -> None:
        tally = self._tally
        if client.startswith(CLIENT_ID_PREFIX.encode()):
            tally.agent_requests += 1
            tally.agent_bytes += size
        elif key == _PRODUCE:
            tally.requests += 1
            tally.bytes += size

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: _Asked) -> None:
        while (frame := await _frame(reader)) is not None:
            question = asked.pop(struct.unpack_from(">i", frame, 4)[0], None)
            if question is not None:
                body = frame[4:]
                if question[0] == _METADATA and question[1] > 0:
                    body = _with_controller(body, question[1])
                for address, substitute in self._substitutes:
                    body = body.replace(address, substitute)
                frame = struct.pack(">i", len(body)) + body
            writer.write(frame)
            await writer.drain()


def _forms(host: str, port: int, own: int) -> list[tuple[bytes, bytes]]:
    """A broker's address and its substitute in the two forms that strings have in the protocol's versions."""
    there, here = (host.encode(), struct.pack(">i", port)), (HOST.encode(), struct.pack(">i", own))
    classic = [struct.pack(">h", len(name)) + name + number for name, number in (there, here)]
    compact = [bytes([len(name) + 1]) + name + number for name, number in (there, here)]
    return [(classic[0], classic[1]), (compact[0], compact[1])]


async def _closed(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)


async def _frame(reader: asyncio.StreamReader) -> bytes | None:
    """One request or answer with its length in front; None at the end of the connection."""
    try:
        head = await reader.readexactly(4)
        return head + await reader.readexactly(struct.unpack(">i", head)[0])
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _with_controller(body: bytes, version: int) -> bytes:
    """An answer to a metadata request in which some broker is the controller."""
    flexible = version >= _FLEXIBLE_METADATA
    at = 4 + flexible + 4 * (version >= 3)  # correlation id, no tags, throttle time
    nodes: list[int] = []
    count, at = (body[at] - 1, at + 1) if flexible else (struct.unpack_from(">i", body, at)[0], at + 4)
    for _ in range(count):
        nodes += struct.unpack_from(">i", body, at)
        at = _after_text(body, at + 4, flexible) + 4  # the host, and the port
        at = _after_text(body, at, flexible) + flexible  # the rack, and no tags
    if version >= 2:
        at = _after_text(body, at, flexible)  # the cluster's id
    if not nodes or struct.unpack_from(">i", body, at)[0] in nodes:
        return body
    return body[:at] + struct.pack(">i", nodes[0]) + body[at + 4 :]


def _after_text(body: bytes, at: int, flexible: bool) -> int:
    if flexible:  # a length and one; 0 is null
        return at + max(1, body[at])
    length: int = struct.unpack_from(">h", body, at)[0]
    return at + 2 + max(0, length)
