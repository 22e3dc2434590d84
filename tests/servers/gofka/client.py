"""A client of the broker double that knows bytes alone: for tests of the double, and of what no real client sends."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Any


class Client:
    """A socket to a double (anything with a `port`), and as much of the protocol as tests need.

    tls: a context to encrypt with; it asks for a certificate of 127.0.0.1.
    """

    def __init__(
        self, double: Any, timeout: float = 20.0, receive_buffer: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(("127.0.0.1", double.port))
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        except BaseException:
            self.socket.close()
            raise
        self._buffer = bytearray()

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
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
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
