"""A real Redis: Debian's redis-server on a free port of this machine, without persistence."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
import trustme

from tests.servers.fixtures import missing_server
from tests.servers.ports import free_port, release_port
from tests.servers.process import ServerProcess

if TYPE_CHECKING:
    from superclient.smart.config import CacheConfig


class RedisServer(ServerProcess):
    """Starts, stops and starts again on the same port; each start is an empty Redis."""

    def __init__(self, folder: Path, name: str = "redis") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        options = {"bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(folder), **self.options()}
        command = ["redis-server"]
        for option, value in options.items():
            command += [f"--{option}", value]
        super().__init__(name, command, folder / "redis.log")

    def options(self) -> dict[str, str]:
        """redis.conf's options that are this server's own."""
        return {"port": str(self.port)}

    def start(self) -> None:
        super().start()
        self.wait_ready(self._answers)

    def close(self) -> None:
        """Stops it for good."""
        self.stop()
        release_port(self.port)

    def config(self, **more: Any) -> CacheConfig:
        """The configuration of a cache with this Redis."""
        from superclient.smart.config import CacheConfig  # every test session loads this module

        return CacheConfig(**{"remote_enabled": True, "redis_host": "127.0.0.1", "redis_port": self.port, **more})

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """What anybody else does with this Redis."""
        client = redis.Redis("127.0.0.1", self.port, **self.login())
        try:
            yield client
        finally:
            client.close()

    def login(self) -> dict[str, Any]:
        """redis.Redis's arguments to be let in."""
        return {}

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


class SecureRedis(RedisServer):
    """Asks for a password, for TLS, and for a client's certificate of its own authority.

    `ca_file`, `client_cert` and `client_key` let a client in; `other_ca` has signed nothing here.
    """

    password = "redis-secret-words"

    def __init__(self, folder: Path, name: str = "secure-redis") -> None:
        self.ca_file, self.other_ca = folder / "ca.pem", folder / "other-ca.pem"
        self.client_cert, self.client_key = folder / "client.pem", folder / "client.key"
        super().__init__(folder, name)

    def options(self) -> dict[str, str]:
        authority, folder = trustme.CA(), self.folder
        authority.cert_pem.write_to_path(str(self.ca_file))
        trustme.CA().cert_pem.write_to_path(str(self.other_ca))
        server, client = authority.issue_cert("127.0.0.1", "localhost"), authority.issue_cert("app")
        for certificate, chain, key in (
            (server, folder / "server.pem", folder / "server.key"),
            (client, self.client_cert, self.client_key),
        ):
            chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
            certificate.private_key_pem.write_to_path(str(key))
        return {
            "port": "0",
            "tls-port": str(self.port),
            "tls-ca-cert-file": str(self.ca_file),
            "tls-cert-file": str(folder / "server.pem"),
            "tls-key-file": str(folder / "server.key"),
            "tls-auth-clients": "yes",
            "requirepass": self.password,
        }

    def config(self, **more: Any) -> CacheConfig:
        secure = {
            "redis_password": self.password,
            "redis_ssl_enabled": True,
            "redis_ssl_ca_certs": self.ca_file,
            "redis_ssl_certfile": self.client_cert,
            "redis_ssl_keyfile": self.client_key,
        }
        return super().config(**{**secure, **more})

    def login(self) -> dict[str, Any]:
        files = {"ca_certs": self.ca_file, "certfile": self.client_cert, "keyfile": self.client_key}
        return {"password": self.password, "ssl": True, **{f"ssl_{name}": str(path) for name, path in files.items()}}


def _running(server: RedisServer) -> Iterator[RedisServer]:
    try:
        server.start()
        yield server
    finally:
        server.close()


def _require_redis() -> None:
    if shutil.which("redis-server") is None:
        missing_server("redis-server missing: python3 scripts/install_servers.py --debian redis-server gets it")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for the whole session: leave it up, and use a namespace of your own."""
    _require_redis()
    yield from _running(RedisServer(tmp_path_factory.mktemp("redis")))


@pytest.fixture
def fresh_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for one test, to pause, kill and restart."""
    _require_redis()
    yield from _running(RedisServer(tmp_path / "fresh-redis", "fresh-redis"))


@pytest.fixture(scope="session")
def secure_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureRedis]:
    """A Redis that lets in who has its password and a certificate: `secure_redis.config()`."""
    _require_redis()
    for server in _running(SecureRedis(tmp_path_factory.mktemp("secure-redis"))):
        assert isinstance(server, SecureRedis)
        yield server
