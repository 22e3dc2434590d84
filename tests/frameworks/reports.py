"""A recommendation for one topic, and the reports that tell whether producers have followed it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tests.servers import Broker, wait_for

RECOMMENDED = {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20}


def recommend(
    cluster: Broker, *topics: str, interval_ms: int = 1000, allow_linger: bool = True, **changes: int | str
) -> None:
    """Both system topics, and a metadata record with RECOMMENDED (and `changes`) for each topic."""
    cluster.create_system_topics()
    advice = [
        {
            "topic_name": topic,
            "potential_reduction_percentage": 60,
            "daily_writes_bytes": 10**9,
            "optimized_configuration": {**RECOMMENDED, **changes},
            "allow_linger": allow_linger,
        }
        for topic in topics
    ]
    cluster.publish_metadata({"active": True, "report_interval_ms": interval_ms, "topics_configuration": advice})


def uids_of(cluster: Broker, clients: Collection[str], timeout: float = 20) -> dict[str, set[str]]:
    """Client id → the uids under which it has sent both kinds of report, once every one of them has."""

    missing: set[tuple[str, str]] = set()

    def complete() -> bool:
        missing.clear()
        missing.update((client, kind) for client in clients for kind in ("client_info", "client_stats"))
        missing.difference_update((report["client_id"], report["message_type"]) for report in cluster.reports())
        return not missing

    wait_for(complete, lambda: f"reports; missing {missing}", timeout)
    uids: dict[str, set[str]] = {client: set() for client in clients}
    for report in cluster.reports():
        if report["client_id"] in uids:
            uids[report["client_id"]].add(report["superstream_client_uid"])
    return uids


def counted(reports: list[dict[str, Any]], client: str) -> float:
    """The records that a client has reported so far."""
    totals = [
        report.get("producer_metrics", {}).get("record-send-total", 0)
        for report in reports
        if report["client_id"] == client and report["message_type"] == "client_stats"
    ]
    return max(totals, default=0)


def values(cluster: Broker, topic: str) -> list[str]:
    """What the programs' records say, without what fills them."""
    return sorted((record.value or b"").decode().partition(",")[0] for record in cluster.records(topic))
