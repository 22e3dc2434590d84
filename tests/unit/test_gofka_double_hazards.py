"""The double of the Gofka broker: offsets, groups, restarts and clusters as treacherous as the real one's."""

from __future__ import annotations

import asyncio
import gc
import ssl
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.servers import wait_for
from tests.servers.gofka import Certificates, GofkaDouble, GofkaProcess
from tests.servers.gofka.broker import Broker
from tests.servers.gofka.client import Client, fetch, produce, request, text
from tests.servers.gofka.errors import Refused
from tests.servers.gofka.state import Options, State

STORED = struct.Struct(">iq")
POISON = 'failed to parse base offset from segment file name: strconv.ParseInt: parsing "data": invalid syntax'


def told(reply: bytes) -> str:
    """The text of an error body."""
    assert reply[:1] == b"\0"
    assert len(reply) == 3 + int.from_bytes(reply[1:3], "big")
    return reply[3:].decode()


def value(reply: bytes) -> bytes:
    """The message of a Fetch."""
    assert int.from_bytes(reply[:4], "big") == len(reply) - 4
    return reply[4:]


def offset(reply: bytes) -> int:
    return int(STORED.unpack(reply)[1])


# --- who leads


def test_a_broker_leads_only_after_a_while() -> None:
    """Refused and not stored, although Metadata has the topic by then."""
    with GofkaDouble(leader_after_s=3600) as broker, Client(broker) as client:
        refusal = "failed to produce message: failed to replicate message through consensus: node is not the leader"
        assert told(client.ask(produce("t", b"x"))) == refusal
        assert broker.topics == {"t": 1}
        assert broker.log("t") == []
        broker.advance(3601)
        assert offset(client.ask(produce("t", b"x"))) == 0


def test_a_follower_has_the_messages_and_little_else() -> None:
    """It refuses Produce, lists only what it made itself, and is wrong about the end; so it is when it leads."""
    with GofkaDouble() as leader, GofkaDouble(cluster=leader, follower=True, node="b2") as follower:
        leader.produce("t", b"a", b"b", b"c")
        leader.commit("g", "t", 2)
        with Client(follower) as client:
            assert told(client.ask(produce("other", b"x"))).endswith("node is not the leader")
            assert value(client.ask(fetch("t", 2))) == b"c"
            assert told(client.ask(fetch("t", 2**62))).endswith("out of range [0, 0)")
            assert follower.committed("g", "t") == -1
            assert follower.topics == {"other": 1}
            leader.stop()
            follower.options.follower = False
            assert offset(client.ask(produce("t", b"d"))) == 3
            assert told(client.ask(fetch("t", 2**62))).endswith("out of range [0, 1)")


# --- offsets


def test_two_producers_of_a_topic_overwrite_each_other() -> None:
    """Both are told the same offset, and that it is stored."""
    with GofkaDouble(overwrites=True) as broker:
        with Client(broker) as first, Client(broker) as second:
            turns = [(first, b"1"), (second, b"2")] * 2
            assert [offset(client.ask(produce("t", name))) for client, name in turns] == [0, 0, 0, 0]
            assert offset(second.ask(produce("t", b"again"))) == 1
            assert broker.log("t") == [b"2", b"again"]
            assert offset(second.ask(produce("other", b"x"))) == 0
        wait_for(lambda: broker.connections_open == 0, "both have gone")
        with Client(broker) as third:
            assert offset(third.ask(produce("t", b"3"))) == 2


def test_one_producer_at_a_time_overwrites_nothing() -> None:
    with GofkaDouble(overwrites=True) as broker:
        for n in range(3):
            with Client(broker) as client:
                client.send(*[produce("t", b"x") for _ in range(4)])
                assert [offset(client.reply()[4:]) for _ in range(4)] == list(range(4 * n, 4 * n + 4))
            wait_for(lambda: broker.connections_open == 0, "it has gone")


def test_the_end_in_an_error_may_be_wrong() -> None:
    """Fetch knows better: a hint too low, too high, with a base above 0."""
    with GofkaDouble(segment_bytes=10) as broker, Client(broker) as client:
        broker.produce("t", *[b"123456"] * 5)
        assert told(client.ask(fetch("t", 5))).endswith("offset 5 out of range [4, 5)")
        assert value(client.ask(fetch("t", 0))) == b"123456"
        for base, end in ((0, 3), (2, 400)):
            broker.hint("t", base, end)
            assert told(client.ask(fetch("t", 2**62))).endswith(f"out of range [{base}, {end})")
            assert value(client.ask(fetch("t", 4))) == b"123456"
            assert told(client.ask(fetch("t", 5))).endswith(f"offset 5 out of range [{base}, {end})")
        assert told(client.ask(fetch("t", -3))).endswith("offset -3 not found in any segment")


def test_after_an_overwriting_the_end_is_beyond_the_last_offset() -> None:
    """The file has what the store lost, so that Fetch reads some messages twice."""
    with GofkaDouble(overwrites=True) as broker, Client(broker) as first, Client(broker) as second:
        assert [offset(client.ask(produce("t", b"x"))) for client in (first, second)] == [0, 0]
        assert told(first.ask(fetch("t", 9))).endswith("out of range [0, 2)")
        assert value(first.ask(fetch("t", 1))) == b"x"


def test_asking_for_what_is_not_there_makes_a_directory() -> None:
    with GofkaDouble() as broker, Client(broker) as client:
        broker.create_topic("t", 2)
        assert told(client.ask(fetch("t", 0, partition=1))).endswith("out of range [0, 0)")
        assert broker.strays == set()
        client.ask(fetch("t", 0, partition=2))
        client.ask(fetch("nosuch", 0))
        assert broker.strays == {"t-2", "nosuch"}
        assert broker.topics == {"t": 2}


def test_a_poisoned_topic_stores_and_says_no() -> None:
    """Its end is an error that is no end; other topics are as ever."""
    with GofkaDouble() as broker, Client(broker) as client:
        broker.produce("t", b"before")
        broker.poison("t")
        assert told(client.ask(produce("t", b"x"))) == (
            f"failed to produce message: failed to get or create log: failed to create new log: {POISON}"
        )
        assert value(client.ask(fetch("t", 1))) == b"x"
        assert told(client.ask(fetch("t", 2))) == (
            f"failed to fetch message: failed to get or create log: failed to create new log: {POISON}"
        )
        assert offset(client.ask(produce("other", b"x"))) == 0


def test_a_topic_named_like_a_partition_collides() -> None:
    """Partition 1 of X is topic "X-1"; and topic "X-0" goes on where X is."""
    with GofkaDouble() as broker, Client(broker) as client:
        broker.create_topic("x", 2)
        broker.produce("x-1", b"of another")
        assert value(client.ask(fetch("x", 0, partition=1))) == b"of another"
        broker.produce("x", b"a", b"b")
        assert value(client.ask(fetch("x-0", 1))) == b"b"
        assert offset(client.ask(produce("x-0", b"c"))) == 2


def test_an_offset_can_be_committed_for_anything() -> None:
    """By name alone: no such topic, below zero, beyond the end."""
    with GofkaDouble() as broker, Client(broker) as client:
        body = text("g") + text("nosuch") + struct.pack(">iq", 3, -7) + text("")
        assert client.ask(request(8, body)) == b"\1"
        assert client.ask(request(9, text("g") + text("nosuch") + struct.pack(">i", 3))) == struct.pack(">q", -7)
        assert broker.committed("g", "nosuch", 3) == -7
        assert broker.committed("g", "t") == -1


# --- restarts


def test_commits_survive_a_restart_and_messages_do_not() -> None:
    """On the same port; the old topic is poisoned, a new one is not."""
    with GofkaDouble() as broker:
        broker.produce("t", b"a", b"b")
        broker.commit("g", "t", 2)
        port = broker.port
        with Client(broker) as before:
            broker.stop()
            assert before.closed()
            with pytest.raises(ConnectionRefusedError):
                Client(broker)
            broker.restart()
        assert broker.port == port
        assert broker.committed("g", "t") == 2
        assert broker.topics == {}
        with Client(broker) as client:
            assert told(client.ask(fetch("t", 2))).endswith(POISON)
            assert offset(client.ask(produce("new", b"x"))) == 0


def test_a_restart_can_be_kinder() -> None:
    """The topic as new, so that a commit is past its end; or with its messages, and without their files."""
    with GofkaDouble() as broker:
        broker.produce("t", b"a", b"b")
        broker.restart(poison=False, keep_messages=True)
        with Client(broker) as client:
            assert broker.topics == {"t": 1}
            assert value(client.ask(fetch("t", 1))) == b"b"
            assert told(client.ask(fetch("t", 2))).endswith("out of range [0, 0)")
        broker.restart(poison=False)
        with Client(broker) as client:
            assert told(client.ask(fetch("t", 2))).endswith("out of range [0, 0)")
            assert offset(client.ask(produce("t", b"c"))) == 0


# --- groups


class Member:
    """One member's requests."""

    def __init__(self, broker: GofkaDouble, client: Client, name: str, session_ms: int = 30_000) -> None:
        self.client = client
        self.name = name
        self.session_ms = session_ms

    def _ask(self, key: int, generation: int | None = None) -> bytes:
        number = b"" if generation is None else struct.pack(">i", generation)
        return self.client.ask(request(key, text("g") + text(self.name) + number))

    def join(self) -> int:
        about = text("g") + text(self.name) + text("client") + text("host")
        reply = self.client.ask(request(11, about + struct.pack(">ii", self.session_ms, 1) + text("t")))
        return int(struct.unpack_from(">i", reply, 3)[0])

    def sync(self, generation: int) -> list[int]:
        reply = self._ask(14, generation)
        (count,) = struct.unpack_from(">i", reply)
        return sorted(struct.unpack_from(f">{count}i", reply, 4))

    def heartbeat(self, generation: int) -> str:
        reply = self._ask(12, generation)
        return "" if reply == b"\1" else told(reply)


def test_a_member_expires_at_a_tick_after_its_session() -> None:
    """It is told of a generation first, and only then that it is unknown."""
    with GofkaDouble() as broker, Client(broker) as client:
        broker.create_topic("t", 2)
        dead, alive = Member(broker, client, "dead", 20_000), Member(broker, client, "alive", 3_600_000)
        assert dead.join() == 1
        assert alive.join() == 1
        assert dead.sync(1) + alive.sync(1) == [0, 1] or alive.sync(1) + dead.sync(1) == [0, 1]
        assert dead.heartbeat(1) == ""
        broker.advance(24)  # at least one tick of 3 s after 20 s of silence
        assert set(broker.members("g")) == {"alive"}
        assert broker.generation("g") == 2
        assert dead.heartbeat(1) == "heartbeat failed: generation mismatch: expected 2, got 1"
        assert dead.sync(2) == []
        assert dead.heartbeat(2) == "heartbeat failed: member dead not found in group g"
        assert alive.sync(2) == [0, 1]


def test_heartbeats_keep_a_member_alive() -> None:
    with GofkaDouble() as broker, Client(broker) as client:
        member = Member(broker, client, "m", 600_000)
        generation = member.join()
        for _ in range(4):
            broker.advance(400)
            assert member.heartbeat(generation) == ""
        broker.advance(604)
        assert broker.members("g") == {}
        assert member.heartbeat(generation) == "heartbeat failed: group g not found"
        assert member.join() == 1


def test_time_passes_by_itself_as_fast_as_was_asked() -> None:
    with GofkaDouble(clock=1000) as broker, Client(broker) as client:
        Member(broker, client, "m", 2500).join()
        wait_for(lambda: not broker.members("g"), "the member expires")


def test_a_group_older_than_a_minute_hands_out_stale_assignments() -> None:
    """A second after a Join it calls itself stable again, and a new member has nothing for good."""
    with GofkaDouble() as broker, Client(broker) as client:
        broker.create_topic("t", 4)
        first, second = (Member(broker, client, name, 3_600_000) for name in ("first", "second"))
        assert first.sync(first.join()) == [0, 1, 2, 3]
        broker.advance(61)
        generation = second.join()
        broker.advance(1)
        assert broker.state.groups.by_id["g"].stable
        assert second.sync(generation) == []
        assert first.sync(generation) == [0, 1, 2, 3]
        assert second.join() == generation + 1  # and any further Join bumps the generation


def test_who_has_partitions_keeps_them() -> None:
    """A late member gets nothing; when the first leaves, it gets all."""
    with GofkaDouble() as broker, Client(broker) as client:
        broker.create_topic("t", 4)
        first, late = Member(broker, client, "first"), Member(broker, client, "late")
        assert first.sync(first.join()) == [0, 1, 2, 3]
        generation = late.join()
        assert late.sync(generation) == []
        assert client.ask(request(13, text("g") + text("first"))) == b"\1"
        assert late.heartbeat(generation) == "heartbeat failed: generation mismatch: expected 3, got 2"
        assert late.sync(3) == [0, 1, 2, 3]


def test_orders_are_random() -> None:
    """Of partitions, topics and members, as the real broker's are; `shuffle=False` makes them plain."""
    with GofkaDouble() as broker, Client(broker) as client:
        broker.create_topic("t", 8)
        ask = request(3, struct.pack(">i", 1) + text("t"))
        replies = [client.ask(ask) for _ in range(10)]
        assert len(set(replies)) > 1
        assert len({bytes(sorted(reply)) for reply in replies}) == 1
        broker.options.shuffle = False
        assert client.ask(ask) == client.ask(ask)


# --- the double itself


def test_a_rate_is_nobody_s_unless_asked_for() -> None:
    """Each Produce of any connection waits for the one before."""
    assert Broker(Options(), State(Options())).delay() == 0
    options = Options(rate=10)
    broker = Broker(options, State(options))
    waits = [broker.delay() for _ in range(20)]
    assert waits == sorted(waits)
    assert waits[-1] > 1


def test_requests_under_way_are_counted() -> None:
    """GOF-14: what a client has sent before it got an answer to the first."""
    with GofkaDouble(commit_s=0.002) as broker, Client(broker) as client:
        client.send(*[produce("t", b"x") for _ in range(5)])
        assert [offset(client.reply()[4:]) for _ in range(5)] == list(range(5))
        assert broker.most_in_flight == 5
        assert broker.requests == {"Produce": 5}
        assert (broker.connections_open, broker.connections_total) == (1, 1)


def test_it_encrypts_as_a_proxy_in_front_would(tmp_path: Path) -> None:
    """GOF-12: with a certificate that only its own authority's friends accept; plain bytes get nothing."""
    certificates = Certificates()
    large = bytes(3_000_000)
    with GofkaDouble(ssl=certificates.server, pieces=True) as broker:
        trusting = ssl.create_default_context(cafile=str(certificates.write_ca(tmp_path / "ca.pem")))
        for context in (certificates.client, trusting):
            with Client(broker, tls=context) as client:
                assert len(client.ask(produce("t", large))) == 12
                assert value(client.ask(fetch("t", 0))) == large
        with pytest.raises(ssl.SSLCertVerificationError):
            Client(broker, tls=ssl.create_default_context())
        with Client(broker) as plain:
            plain.send(produce("t", b"x"))
            assert plain.exactly(100)[:1] != b"\0"
        assert len(broker.log("t")) == 2


def test_it_leaves_nothing_behind() -> None:
    """Whatever was under way: connections, a handshake that nobody finishes, replies that nobody reads, a pause."""
    threads = threading.active_count()
    for options in ({}, {"ssl": Certificates().server}):
        clients: list[Client] = []
        with GofkaDouble(commit_s=5, **options) as broker:
            broker.produce("t", bytes(2_000_000))
            for _ in range(3):
                clients.append(Client(broker, receive_buffer=4096))
                clients[-1].send(fetch("t", 0) * 10 + produce("t", b"x"))
            broker.pause()
            port = broker.port
        for client in clients:
            client.socket.close()
        broker.__exit__()  # a second end is no harm
        with pytest.raises(ConnectionRefusedError):
            Client(broker)
        assert port
    assert threading.active_count() == threads
    gc.collect()  # what was left open would warn now


def test_it_runs_in_an_event_loop_of_its_own() -> None:
    """Asked from within a test's loop, it answers."""

    async def work() -> bytes:
        with GofkaDouble() as broker:
            reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
            writer.write(produce("t", b"x"))
            reply = await reader.readexactly(20)
            writer.close()
            await writer.wait_closed()
            return reply

    assert offset(asyncio.run(work())[8:]) == 0


def test_it_runs_as_a_process(tmp_path: Path) -> None:
    """With the same hazards by options; it ends with its block, or when whoever started it is gone."""
    with GofkaProcess(tls_ca=tmp_path / "ca.pem", advertised=":9092") as broker:
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with Client(broker, tls=context) as client:
            assert offset(client.ask(produce("t", b"x"))) == 0
            assert b":9092" in client.ask(request(3, struct.pack(">i", 0)))
    with pytest.raises(ConnectionRefusedError):
        Client(broker)
    with GofkaProcess(old_framing=True) as broker, Client(broker) as client:
        client.send(produce("t", b"x", correlation=5))
        assert client.exactly(16) == struct.pack(">iiq", 5, 0, 0)
        broker.kill()
        assert client.closed()


def test_a_process_ends_when_its_parent_is_killed() -> None:
    parent = """
import sys, time
from tests.servers.gofka import GofkaProcess
with GofkaProcess() as broker:
    print(broker.port, flush=True)
    sys.stdin.read()
"""
    started = subprocess.Popen(
        [sys.executable, "-c", parent],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with started:
        assert started.stdout is not None
        port = int(started.stdout.readline())
        started.kill()
    wait_for(lambda: not listens(port), "the double has ended")


def listens(port: int) -> bool:
    class Address:
        pass

    address: Any = Address()
    address.port = port
    try:
        with Client(address):
            return True
    except ConnectionRefusedError:
        return False


def test_what_it_is_told_past_the_wire_can_be_refused_too() -> None:
    with GofkaDouble() as broker:
        broker.poison("t")
        with pytest.raises(Refused, match="failed to get or create log"):
            broker.produce("t", b"x")
        with pytest.raises(ValueError, match="reply"):
            broker.close_after(1, reply="some")
