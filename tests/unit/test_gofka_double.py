"""The double of the Gofka broker: proven on what was recorded from the real one; then each of its hazards."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.servers.gofka import GofkaDouble
from tests.servers.gofka.protobuf import fields

EXCHANGES = json.loads((Path(__file__).parents[1] / "data" / "gofka-exchanges.json").read_text())
RECORDED = [(bytes.fromhex(e["request_hex"]), bytes.fromhex(e["response_hex"])) for e in EXCHANGES]
RESTARTED_AT, OLD_AT = 94, 100
"""From here on the recording is of the broker after a restart, and of one of 2025."""


class Client:
    """A socket and as much of the protocol as the tests need, in their own words."""

    def __init__(self, double: Any, timeout: float = 20.0, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", double.port))
        self._buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *frames: bytes) -> None:
        self.socket.sendall(b"".join(frames))

    def exactly(self, size: int) -> bytes:
        """So many bytes, or fewer where the broker closed before."""
        while len(self._buffer) < size:
            try:
                data = self.socket.recv(2**20)
            except ConnectionResetError:
                data = b""
            if not data:
                break
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def reply(self) -> bytes:
        """Correlation and body of the next reply; empty where the broker closed."""
        size = self.exactly(4)
        return self.exactly(int.from_bytes(size, "big")) if size else b""

    def ask(self, frame: bytes) -> bytes:
        """The body of the reply."""
        self.send(frame)
        return self.reply()[4:]

    def closed(self) -> bool:
        return self.exactly(1) == b""


def text(value: str) -> bytes:
    return struct.pack(">h", len(value.encode())) + value.encode()


def request(key: int, body: bytes, correlation: int = 7) -> bytes:
    frame = struct.pack(">hhi", key, 0, correlation) + text("t") + body
    return struct.pack(">I", len(frame)) + frame


def produce(topic: str, value: bytes, correlation: int = 7) -> bytes:
    return request(0, text(topic) + struct.pack(">ii", 0, len(value)) + value, correlation)


def fetch(topic: str, offset: int, partition: int = 0, correlation: int = 7) -> bytes:
    return request(1, text(topic) + struct.pack(">iq", partition, offset), correlation)


# --- the recording


def same(got: bytes, expected: bytes, exchange: dict[str, str]) -> bool:
    """Byte for byte; where the broker's order is random (of members always), the same things in any order."""
    if got == expected or ("random" not in exchange["note"] and exchange["api"] != "DescribeGroups"):
        return got == expected
    unordered = {"Metadata": metadata, "DescribeGroups": described, "Metadata (protobuf)": as_fields}[exchange["api"]]
    start = 4 if unordered is as_fields else 8
    return got[:start] == expected[:start] and unordered(got[start:]) == unordered(expected[start:])


class Reader:
    """Takes a reply apart from its front."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def int16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def int32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def text(self) -> bytes:
        return self.take(self.int16())


def metadata(body: bytes) -> object:
    """A Metadata reply, its brokers, topics and partitions sorted."""
    reader = Reader(body)
    brokers = sorted((reader.text(), reader.text()) for _ in range(reader.int32()))
    topics = []
    for _ in range(reader.int32()):
        name = reader.text()
        partitions = [
            (reader.int32(), reader.text(), [reader.text() for _ in range(reader.int32())])
            for _ in range(reader.int32())
        ]
        topics.append((name, sorted(partitions)))
    return brokers, sorted(topics), reader.rest


def described(body: bytes) -> object:
    """A DescribeGroups reply, the members of each group sorted."""
    reader = Reader(body)
    groups: list[object] = [reader.int32()]
    for _ in range(reader.int32()):
        group = (reader.int16(), *(reader.text() for _ in range(4)))
        members = [
            (reader.text(), reader.text(), reader.text(), reader.take(reader.int32()), reader.take(reader.int32()))
            for _ in range(reader.int32())
        ]
        groups.append((group, sorted(members)))
    return groups, reader.rest


def as_fields(data: bytes) -> object:
    """A protobuf message as a sorted tree, strings of more than one field taken for messages."""
    try:
        parsed = list(fields(data))
    except Exception:
        return data
    tree = [(number, as_fields(value) if isinstance(value, bytes) else value) for number, value in parsed]
    return sorted(tree, key=repr)


@pytest.fixture(scope="module")
def replayed() -> list[bytes]:
    """The double's responses to the recorded requests, in the recording's order and states."""
    got: list[bytes] = []
    options: dict[str, Any] = {"advertised": "127.0.0.1:9092", "shuffle": False}

    def replay(double: GofkaDouble, start: int, end: int) -> None:
        for sent, expected in RECORDED[start:end]:
            with Client(double) as client:  # one each, since some end it
                client.send(sent)
                if not expected:
                    got.append(client.exactly(1))
                    continue
                received = client.exactly(len(expected))
                with contextlib.suppress(TimeoutError):
                    client.socket.settimeout(0.002)
                    received += client.exactly(1)  # nothing more than was due
                got.append(received)

    with GofkaDouble(leader_after_s=3600, **options) as broker:
        replay(broker, 0, 1)
        broker.advance(3600)
        broker.produce("warm", b"up")
        replay(broker, 1, RESTARTED_AT)
        broker.options.advertised = ":9092"
        broker.restart()
        broker.advance(3600)
        broker.produce("fresh", b"x")
        replay(broker, RESTARTED_AT, OLD_AT)
    with GofkaDouble(old_framing=True, **options) as old:
        replay(old, OLD_AT, len(RECORDED))
    return got


def test_every_recorded_request_gets_the_recorded_response(replayed: list[bytes]) -> None:
    """GOF-35: all 113 exchanges byte for byte, orders apart that the recording calls random."""
    assert len(replayed) == len(RECORDED) == 113
    wrong = {
        f"{n} {exchange['api']}: {exchange['case']}": (got, expected)
        for n, (exchange, got, (_, expected)) in enumerate(zip(EXCHANGES, replayed, RECORDED, strict=True))
        if not same(got, expected, exchange)
    }
    assert wrong == {}
