"""The faults themselves: each is the fault that it says it is, for a socket and for a Kafka client."""

from __future__ import annotations

import socket
import time

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tests.faults import Proxy, black_hole, refused_port, silent_port
from tests.servers import Broker


def test_a_refused_port_refuses():
    """Nobody listens, and the kernel says so at once."""
    with refused_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_a_black_hole_never_connects():
    """Connecting neither succeeds nor fails."""
    with black_hole() as port, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", port), 0.5)


def test_a_silent_port_accepts_and_says_nothing():
    """The connection is there, the answer never comes."""
    with silent_port() as port, socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"hello")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_proxy_passes_on_and_delays(behind_proxy: tuple[Broker, Proxy]):
    """A client behind the proxy stays behind it, and is as late as the proxy makes it."""
    broker, proxy = behind_proxy
    topic = broker.create_topic("delayed")
    producer = Producer({"bootstrap.servers": proxy.bootstrap, "linger.ms": 0})

    def seconds() -> float:
        began = time.monotonic()
        producer.produce(topic, b"v")
        assert producer.flush(30) == 0
        return time.monotonic() - began

    seconds()
    sent = proxy.bytes_sent
    proxy.delay(0.3)
    assert seconds() >= 0.6
    assert proxy.bytes_sent > sent
    proxy.restore()
    assert broker.log_bytes(topic).records == 2


def test_a_proxy_drops_and_recovers(behind_proxy: tuple[Broker, Proxy]):
    """Dropped data is a black hole for the programs alone; restored, new connections work again."""
    broker, proxy = behind_proxy
    admin = AdminClient({"bootstrap.servers": proxy.bootstrap, "log_level": 0})
    admin.list_topics(timeout=10)
    proxy.drop()
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=0.5)
    assert broker.topics() is not None
    proxy.restore()
    fresh = AdminClient({"bootstrap.servers": proxy.bootstrap, "log_level": 0})
    assert fresh.list_topics(timeout=10).brokers


def test_a_cut_resets_open_connections():
    """A cut ends what is open, and the next connection is accepted."""
    with socket.socket() as target:
        target.bind(("127.0.0.1", 0))
        target.listen()
        with Proxy(target.getsockname()[1]) as proxy:
            with socket.create_connection(("127.0.0.1", proxy.port), 5) as connection:
                accepted, _ = target.accept()
                with accepted:
                    proxy.cut()
                    with pytest.raises(ConnectionResetError):
                        connection.recv(1)
            with socket.create_connection(("127.0.0.1", proxy.port), 5):
                target.accept()[0].close()
            assert proxy.connections == 2
