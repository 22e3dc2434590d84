"""The demo's counting proxy: what it reads and changes in Kafka's protocol."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import threading
import time
import warnings

import pytest

from superclient.cli._wire import HOST, Wire, _forms, _with_controller


def metadata(version: int, controller: int) -> bytes:
    """An answer with the brokers 7 (rack "r") and 8 and no topics, from its correlation id on."""
    flexible = version >= 9

    def text(value: str | None) -> bytes:
        raw = (value or "").encode()
        if flexible:
            return bytes([0 if value is None else len(raw) + 1]) + raw
        return struct.pack(">h", -1 if value is None else len(raw)) + raw

    tags = b"\0" if flexible else b""
    body = struct.pack(">i", 99) + tags + (struct.pack(">i", 0) if version >= 3 else b"")
    body += b"\x03" if flexible else struct.pack(">i", 2)
    for node, rack in ((7, "r"), (8, None)):
        body += struct.pack(">i", node) + text("broker.example") + struct.pack(">i", 9092) + text(rack) + tags
    body += text("cluster") if version >= 2 else b""
    return body + struct.pack(">i", controller) + b"rest"


@pytest.mark.parametrize("version", [1, 2, 3, 8, 9, 13])
def test_a_controller_is_named(version: int):
    """AGT-52: where the controller is no broker the first one is named; otherwise nothing changes."""
    assert _with_controller(metadata(version, -1), version) == metadata(version, 7)
    assert _with_controller(metadata(version, 0), version) == metadata(version, 7)
    assert _with_controller(metadata(version, 8), version) == metadata(version, 8)


@pytest.mark.parametrize("version", [1, 9])
def test_addresses_are_replaced(version: int):
    """AGT-52: a broker's address becomes its proxy's in both forms of the protocol, whatever its length."""
    body = metadata(version, 7)
    for old, new in _forms("broker.example", 9092, 5555):
        body = body.replace(old, new)
    assert b"broker.example" not in body
    assert body.count(b"127.0.0.1" + struct.pack(">i", 5555)) == 2


def test_requests_are_counted():
    """AGT-52: produce requests are counted with their bytes, the agent's own apart, other requests not at all."""

    def request(key: int, client: bytes | None, payload: bytes = b"") -> bytes:
        name = struct.pack(">h", -1) if client is None else struct.pack(">h", len(client)) + client
        body = struct.pack(">hhi", key, 3, 1) + name + payload
        return struct.pack(">i", len(body)) + body

    sent = [request(0, b"app", b"x" * 50), request(0, None), request(3, b"app"), request(0, b"superstreamlib-x")]

    ended = asyncio.Event()

    async def talk(bootstrap: str) -> None:
        host, _, port = bootstrap.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"".join(sent))
        await reader.readexactly(sum(map(len, sent)))  # the server below gives back what it gets
        writer.close()
        await writer.wait_closed()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # how a proxy goes that is closed before it has read all
            while data := await reader.read(1000):
                writer.write(data)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    async def play() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            with Wire([server.sockets[0].getsockname()]) as wire:
                await talk(wire.bootstrap)
                tally = wire.reset()
            await ended.wait()
        assert (tally.requests, tally.bytes) == (2, len(sent[0]) + len(sent[1]))
        assert (tally.agent_requests, tally.agent_bytes) == (1, len(sent[3]))

    asyncio.run(play())


def test_nothing_stays_open_of_clients_that_go_as_it_closes():
    """AGT-52: a connection whose client has just gone is still being closed when the proxy is; none is forgotten."""
    with socket.create_server((HOST, 0)) as broker, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for number in range(10):
            with Wire([broker.getsockname()]) as wire:
                address = HOST, int(wire.bootstrap.rpartition(":")[2])
                clients = [socket.create_connection(address) for _ in range(20)]
                upstream = [broker.accept()[0] for _ in clients]
                going = threading.Thread(target=lambda each=clients: [client.close() for client in each])
                going.start()
                time.sleep(0.0003 * (number % 5))  # so that it closes at various moments of theirs
            going.join()
            for one in upstream:
                one.close()
        gc.collect()
    assert [str(each.message) for each in told] == []
