"""Counts what clients ask brokers, by API: proxies that clients stay behind, in front of each broker."""

from __future__ import annotations

from collections import Counter

from superclient.cli._wire import Wire

_NAMES = {
    2: "ListOffsets", 3: "Metadata", 8: "OffsetCommit", 9: "OffsetFetch", 10: "FindCoordinator", 11: "JoinGroup",
    17: "SaslHandshake", 18: "ApiVersions", 19: "CreateTopics", 36: "SaslAuthenticate",
}  # fmt: skip


class CountingWire(Wire):
    """A `with` block whose `bootstrap` leads to the brokers (each "host:port"); every request is counted."""

    def __init__(self, *brokers: str) -> None:
        super().__init__([(host, int(port)) for host, _, port in (broker.rpartition(":") for broker in brokers)])
        self._counted: Counter[str] = Counter()

    def take(self) -> dict[str, int]:
        """Name of the request → how many were sent since the last `take`."""
        counted, self._counted = self._counted, Counter()
        return dict(counted)

    def _count(self, key: int, client: bytes, size: int) -> None:
        super()._count(key, client, size)
        self._counted[_NAMES.get(key, str(key))] += 1
