"""The double of the Gofka broker: proven on what was recorded from the real one; then each of its hazards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers import wait_for
from tests.servers.gofka import GofkaDouble
from tests.servers.gofka.broker import Broker
from tests.servers.gofka.client import Client, fetch, produce, request, text
from tests.servers.gofka.connection import Connection
from tests.servers.gofka.protobuf import fields
from tests.servers.gofka.state import Options, State

EXCHANGES = json.loads((Path(__file__).parents[1] / "data" / "gofka-exchanges.json").read_text())
RECORDED = [(bytes.fromhex(e["request_hex"]), bytes.fromhex(e["response_hex"])) for e in EXCHANGES]
RESTARTED_AT, OLD_AT = 94, 100
"""From here on the recording is of the broker after a restart, and of one of 2025."""


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
    never = 1e6  # what passes with time is for other tests
    options: dict[str, Any] = {
        "advertised": "127.0.0.1:9092",
        "shuffle": False,
        "expiry_tick_s": never,
        "rebalance_timeout_s": never,
    }

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


# --- hazards: what comes over a connection


def in_loop(work: Any) -> Any:
    """Runs a test of single connections whose order of events no machine can change."""
    return asyncio.run(asyncio.wait_for(work(), 60))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  nothing of ours that could set an event
        await asyncio.sleep(0.001)


class Recorder:
    """A transport that keeps what is written, and is always writable."""

    def __init__(self, connection: Connection) -> None:
        self.writes: list[bytes] = []
        self.is_closed = False
        connection.connection_made(self)  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.is_closed = True

    async def size(self, wanted: int) -> bytes:
        await until(lambda: sum(map(len, self.writes)) >= wanted)
        return b"".join(self.writes)


def pair(**options: Any) -> tuple[Broker, list[tuple[Connection, Recorder]]]:
    """A broker without a port, and two connections to it."""
    chosen = Options(advertised="h:1", **options)
    broker = Broker(chosen, State(chosen))
    connections = [Connection(broker) for _ in range(2)]
    return broker, [(connection, Recorder(connection)) for connection in connections]


def test_replies_come_in_random_pieces() -> None:
    """GOF-37: each reply is cut anywhere, in its size as well; together they are what they were."""

    async def work() -> None:
        _, [(cut, in_pieces), _] = pair(pieces=True)
        _, [(plain, whole), _] = pair()
        frames = b"".join(produce("t", b"x" * 50, n) for n in range(20)) + fetch("t", 3) + fetch("t", 99)
        for connection in (cut, plain):
            connection.data_received(frames)
        expected = b"".join(whole.writes)
        assert await in_pieces.size(len(expected)) == expected
        assert len(in_pieces.writes) > 40
        assert any(len(piece) < 4 for piece in in_pieces.writes)

    in_loop(work)


def test_requests_may_come_in_pieces_too() -> None:
    async def work() -> None:
        _, [(connection, transport), _] = pair()
        for byte in produce("t", b"x") + fetch("t", 0):
            connection.data_received(bytes([byte]))
        assert b"".join(transport.writes)[-9:] == struct.pack(">ii", 7, 1) + b"x"

    in_loop(work)


@pytest.mark.parametrize(
    ("reply", "received", "stored"),
    [("whole", 20, 3), ("half", 10, 3), ("none", 0, 3), ("unhandled", 0, 2)],
)
def test_a_connection_closes_after_n_requests(reply: str, received: int, stored: int) -> None:
    """In the middle of a reply or around it, with the request done or not; those after it are not looked at."""
    with GofkaDouble() as broker, Client(broker) as client, Client(broker) as other:
        broker.close_after(3, reply=reply)
        client.send(*[produce("t", b"x", n) for n in range(5)])
        assert [client.reply()[4:] for _ in range(2)] == [struct.pack(">iq", 0, n) for n in range(2)]
        assert len(client.exactly(100)) == received
        assert len(broker.log("t")) == stored
        assert other.ask(fetch("t", 0)) == struct.pack(">i", 1) + b"x"  # once: and other connections live


def test_a_fault_waits_for_its_api() -> None:
    with GofkaDouble() as broker, Client(broker) as client:
        broker.close_after(1, reply="none", api="Fetch")
        assert len(client.ask(produce("t", b"x"))) == 12
        client.send(fetch("t", 0))
        assert client.closed()
        assert broker.requests == {"Produce": 1, "Fetch": 1}


def test_a_reply_may_have_another_correlation_id() -> None:
    with GofkaDouble() as broker, Client(broker) as client:
        broker.answer_wrong_correlation(2)
        client.send(*[produce("t", b"x", n) for n in (100, 200, 300)])
        seen = [int.from_bytes(client.reply()[:4], "big") for _ in range(3)]
        assert seen[0] == 100
        assert seen[1] != 200
        assert seen[2] == 300


def test_a_reply_may_never_come() -> None:
    """The request is done; the replies after it come, and the connection stays open."""
    with GofkaDouble() as broker, Client(broker) as client:
        broker.swallow_reply(2)
        client.send(*[produce("t", b"x", n) for n in (100, 200, 300)])
        assert [int.from_bytes(client.reply()[:4], "big") for _ in range(2)] == [100, 300]
        assert len(broker.log("t")) == 3


@pytest.mark.parametrize("stored", [False, True])
def test_a_request_may_be_refused(stored: bool) -> None:
    with GofkaDouble() as broker, Client(broker) as client:
        told = "failed to replicate message through consensus: timed out enqueuing operation"
        broker.refuse(told, stored=stored)
        client.send(fetch("t", 0))
        client.reply()
        assert client.ask(produce("t", b"x")) == b"\0" + text("failed to produce message: " + told)
        assert broker.log("t") == ([b"x"] if stored else [])
        assert len(client.ask(produce("t", b"y"))) == 12


def test_a_paused_broker_answers_nothing_and_later_everything() -> None:
    with GofkaDouble() as broker, Client(broker) as client:
        broker.pause()
        client.send(*[produce("t", b"x", n) for n in range(4)])
        wait_for(lambda: broker.most_in_flight == 4, "all four under way")
        with Client(broker, timeout=0.05) as late:
            late.send(fetch("t", 0))
            with pytest.raises(TimeoutError):
                late.reply()
            assert broker.log("t") == []
            broker.resume()
            assert [client.reply()[:4] for _ in range(4)] == [struct.pack(">i", n) for n in range(4)]
            late.socket.settimeout(20)
            assert late.reply()


def test_a_frame_must_arrive_in_30_seconds() -> None:
    """From its first byte; an idle connection stays."""
    with GofkaDouble(clock=600) as broker, Client(broker) as slow, Client(broker) as idle:
        slow.send(produce("t", b"x") + produce("t", b"y")[:-1])
        assert len(slow.reply()) == 16
        assert slow.closed()
        broker.advance(3600)
        assert len(idle.ask(produce("t", b"z"))) == 12
        assert broker.log("t") == [b"x", b"z"]


def test_a_client_that_does_not_read_gets_a_truncated_reply() -> None:
    """After 30 s a reply ends where it is, the next one follows, and the stream is of no more use."""
    value = bytes(range(256)) * 4096
    with GofkaDouble() as broker, Client(broker, receive_buffer=4096) as client:
        broker.produce("t", value)
        client.send(*[fetch("t", 0, correlation=n) for n in range(12)])
        wait_for(lambda: broker.connections_blocked == 1, "the broker cannot write")
        broker.advance(31)
        client.socket.shutdown(socket.SHUT_WR)
        received = client.exactly(13 * 2**20)
        whole = b"".join(struct.pack(">Iii", 8 + len(value), n, len(value)) + value for n in range(12))
        assert len(received) < len(whole)
        assert not whole.startswith(received)  # replies after the cut one came


def test_a_client_that_reads_in_time_gets_all_of_it() -> None:
    value = bytes(range(256)) * 4096
    with GofkaDouble() as broker, Client(broker, receive_buffer=4096) as client:
        broker.produce("t", value)
        client.send(*[fetch("t", 0, correlation=n) for n in range(12)])
        wait_for(lambda: broker.connections_blocked == 1, "the broker cannot write")
        assert all(client.reply() == struct.pack(">ii", n, len(value)) + value for n in range(12))


def test_what_has_arrived_is_done_although_the_client_has_gone() -> None:
    """The broker reads on; a client that closed and sends again may find its messages stored twice."""

    async def work() -> None:
        broker, [(connection, transport), _] = pair(commit_s=0.001)
        connection.data_received(produce("t", b"a") + produce("t", b"b"))
        connection.connection_lost(None)
        await until(lambda: "t-0" in broker.state.messages and broker.state.messages["t-0"].next == 2)
        assert transport.writes == []

    in_loop(work)


def test_both_protocols_mix_on_one_connection() -> None:
    create = b"\0\0\0\x0b" + bytes.fromhex("22090a056d756c74691004")
    with GofkaDouble() as broker, Client(broker) as client:
        client.send(produce("t", b"x", 1), create, fetch("t", 0, correlation=2))
        first, second, third = client.reply(), client.reply(), client.reply()
        assert first[:4] == struct.pack(">i", 1)
        assert second.endswith(b"Topic multi created successfully")
        assert third == struct.pack(">ii", 2, 1) + b"x"
        assert broker.topics == {"t": 1, "multi": 4}
        assert broker.requests["protobuf"] == 1


@pytest.mark.parametrize(
    "frame",
    [
        request(0, text("t") + struct.pack(">ii", 0, -1)),
        request(1, struct.pack(">h", -1)),
        request(3, struct.pack(">i", -1)),
        request(9, struct.pack(">h", -2)),
        request(11, text("g") * 4 + struct.pack(">ii", 1000, -1)),
        request(0, b"\0\2\xff\xfe" + struct.pack(">ii", 0, 1) + b"x"),
    ],
    ids=["message", "topic", "topics", "group", "subscription", "not UTF-8"],
)
def test_some_requests_end_the_broker(frame: bytes) -> None:
    """Negative lengths and a Produce topic that is not UTF-8: every connection goes, the port refuses."""
    with GofkaDouble() as broker, Client(broker) as client, Client(broker) as other:
        client.send(frame)
        assert client.closed()
        assert other.closed()
        assert broker.crashed
        with pytest.raises(ConnectionRefusedError):
            Client(broker)
        broker.restart()
        assert not broker.crashed
        with Client(broker) as again:
            assert len(again.ask(produce("t", b"x"))) == 12


def test_two_producers_that_meet_take_one_offset() -> None:
    """It is chosen when a Produce begins and taken when it is through, as on the real broker."""

    async def work() -> None:
        broker, [(first, to_first), (second, to_second)] = pair(commit_s=0.001)
        first.data_received(produce("t", b"lost"))
        second.data_received(produce("t", b"kept"))
        assert await to_first.size(20) == await to_second.size(20) == struct.pack(">Iiiq", 16, 7, 0, 0)
        assert broker.state.messages["t-0"].by_offset == {0: b"kept"}

    in_loop(work)
