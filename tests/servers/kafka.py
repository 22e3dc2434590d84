"""A real single-node Apache Kafka in KRaft mode, without Docker."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.faults import Proxy
from tests.servers.log_segments import LogSummary, read_topic
from tests.servers.ports import free_port, release_port
from tests.servers.process import ServerError, ServerProcess
from tests.servers.topics import Topics

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from install_servers import CLASS_ARCHIVE, KAFKA_VERSION, OLD_KAFKA_VERSION, cache_folder, kafka_libraries  # noqa: E402  the one place that knows the cache

__all__ = ["KAFKA_VERSION", "OLD_KAFKA_VERSION", "ROOT", "Broker", "cache_folder", "kafka_libraries"]

_JAVA = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+PerfDisableSharedMem"]

_PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,PROXIED:PLAINTEXT",
    # One node holds everything, and few partitions of the internal topics make the first group join quick.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After a crash the controller holds the old registration until its session ends: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Tests write records of years ago; retention, which first looks 30 s after the start, would take them.
    "log.retention.ms": "-1",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "file.delete.delay.ms": "1000",
}


class Broker(Topics):
    """One broker on its own ports and folder; the methods of `Topics` work on it while it is up."""

    def __init__(
        self, folder: Path, name: str = "kafka", version: str = KAFKA_VERSION, proxy: Proxy | None = None
    ) -> None:
        """With a `proxy`, clients that connect to `proxy.bootstrap` stay behind it; the tests' own calls go past it."""
        self.folder = folder
        self._proxy = proxy
        self.log_dir = folder / "data"
        self.version = version
        self._libraries = kafka_libraries(version)
        self._properties_file = folder / "server.properties"
        self._ports: list[int] = []
        self._process = ServerProcess(name, [], folder / "broker.log", env=self._environment())
        super().__init__("")

    def properties(self) -> dict[str, str]:
        """The configuration of the node; a subclass adds listeners."""
        port, controller = self._take_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        listeners = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
        advertised = f"PLAINTEXT://127.0.0.1:{port}"
        if self._proxy is not None:
            # A listener of its own: a client leaves a proxy as soon as it learns the advertised address.
            (self._proxy.target_port,) = self._take_ports(1)
            listeners += f",PROXIED://127.0.0.1:{self._proxy.target_port}"
            advertised += f",PROXIED://127.0.0.1:{self._proxy.port}"
        return {
            **_PROPERTIES,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": listeners,
            "advertised.listeners": advertised,
            "log.dirs": str(self.log_dir),
        }

    def format_options(self) -> list[str]:
        """What a subclass adds to the formatting of the storage (SCRAM users)."""
        return []

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.alive

    @property
    def log_file(self) -> Path:
        """What the broker says, not what it stores; a failing test shows the end of it."""
        return self._process.log

    def start(self) -> None:
        """Starts, or starts again on the same ports and data; returns when an admin client lists the broker."""
        if not self._properties_file.exists():
            self._format()
        self._process.command = [*self._java(), "kafka.Kafka", str(self._properties_file)]
        self._process.start()
        self._process.wait_ready(self._answers)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        """A crash (SIGKILL); `start` recovers from the same data."""
        self._process.kill()

    def pause(self) -> None:
        """A black hole: connections stay open, nothing is answered (SIGSTOP)."""
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    def close(self) -> None:
        """Ends the broker, without ceremony as its data go too; its log stays."""
        self._process.kill()
        shutil.rmtree(self.log_dir, ignore_errors=True)
        for port in self._ports:
            release_port(port)

    def log_bytes(self, topic: str) -> LogSummary:
        """The truth about bytes, from the segment files: `.bytes .records .batches .codecs .records_by_partition`."""
        return read_topic(self.log_dir, topic)

    def _take_ports(self, count: int) -> list[int]:
        ports = [free_port() for _ in range(count)]
        self._ports += ports
        return ports

    def _java(self) -> list[str]:
        logging = ROOT / "scripts" / "kafka" / "log4j2.properties"
        archive = self._libraries / CLASS_ARCHIVE
        quick = [f"-XX:SharedArchiveFile={archive}", "-Xlog:disable", "-Xlog:all=error"] if archive.exists() else []
        return [*_JAVA, *quick, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{self._libraries}/*"]

    @staticmethod
    def _environment() -> dict[str, str]:
        wanted = ("PATH", "JAVA_HOME", "HOME", "TMPDIR", "LANG")
        return {name: os.environ[name] for name in wanted if name in os.environ}

    def _format(self) -> None:
        """Writes the configuration and makes an empty log: by Java once, as that is slow, and by a copy afterwards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}\n" for name, value in self.properties().items()]
        self._properties_file.write_text("".join(lines))
        options = self.format_options()
        template = cache_folder() / "formatted" / f"{self.version}-{zlib.crc32(repr(options).encode()):08x}"
        if not template.exists():
            self._format_with_java(options)
            with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
                copy = shutil.copytree(self.log_dir, Path(scratch, "data"))
                template.parent.mkdir(exist_ok=True)
                with contextlib.suppress(OSError):  # another session was quicker
                    copy.rename(template)
            return
        shutil.copytree(template, self.log_dir)
        meta = self.log_dir / "meta.properties"
        cluster_id = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        meta.write_text(re.sub(r"(?m)^cluster.id=.*$", f"cluster.id={cluster_id}", meta.read_text()))

    def _format_with_java(self, options: list[str]) -> None:
        command = [*self._java(), "kafka.tools.StorageTool", "format", "-t", "c3VwZXJjbGllbnQtdGVzdA"]
        command += ["-c", str(self._properties_file), *options]
        done = subprocess.run(command, capture_output=True, text=True, env=self._environment(), check=False, timeout=60)
        if done.returncode != 0:
            self._properties_file.unlink()
            raise ServerError(f"formatting the storage failed:\n{done.stdout}\n{done.stderr}")

    def _answers(self) -> bool:
        try:
            # By default the pauses between two attempts grow past the second that it takes to start.
            patience = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 50}
            return bool(AdminClient(self._client(**patience)).list_topics(timeout=2).brokers)
        except KafkaException:
            return False
