"""Three real brokers of one cluster: a batch for another partition is there, more often than not, another request."""

import base64
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks._harness import Broker  # not from where it is: that module keeps the agent out of this process


class Member(Broker):
    """A broker that joins the cluster of the first one, which is its controller."""

    def __init__(self, folder: Path, number: int, first: Broker) -> None:
        super().__init__(folder, f"kafka-{number}")
        self._number, self._first = number, first

    def properties(self) -> dict[str, str]:
        """See Broker.properties."""
        own = super().properties()
        address = f"PLAINTEXT://{self.bootstrap}"
        voters = _line("controller.quorum.voters", self._first.folder / "server.properties")
        only = {"process.roles": "broker", "node.id": str(self._number), "controller.quorum.voters": voters}
        return {**own, **only, "listeners": address, "advertised.listeners": address}

    def _format(self) -> None:
        super()._format()
        meta = self.log_dir / "meta.properties"
        own = {
            "cluster.id": _line("cluster.id", self._first.log_dir / "meta.properties"),
            "node.id": str(self._number),
            "directory.id": base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("="),
        }
        text = meta.read_text()
        for name, value in own.items():
            text = re.sub(rf"(?m)^{re.escape(name)}=.*$", f"{name}={value}", text)
        meta.write_text(text)


def _line(name: str, file: Path) -> str:
    """The value that a properties file gives a name."""
    return next(line.split("=", 1)[1] for line in file.read_text().splitlines() if line.startswith(f"{name}="))


@contextmanager
def brokers(count: int = 3) -> Iterator[list[Broker]]:
    """The cluster's brokers, the first with the agents' two topics; each knows the log of its own partitions."""
    with tempfile.TemporaryDirectory(prefix="superclient-bench-") as folder:
        servers = [Broker(Path(folder) / "kafka-1", "kafka-1")]
        try:
            servers[0].start()
            for number in range(2, count + 1):
                servers.append(Member(Path(folder) / f"kafka-{number}", number, servers[0]))
                servers[-1].start()
            servers[0].create_system_topics()
            yield servers
        finally:
            for server in reversed(servers):
                server.close()
