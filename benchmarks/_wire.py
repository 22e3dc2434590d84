"""Sending events to a real broker from every arm, and what the broker wrote; used by throughput and wire."""

from itertools import count
from typing import Any

from benchmarks._harness import Arm, recommendation, run
from benchmarks.programs.events import events
from tests.servers import Broker

PARTITIONS = 4
LIMIT = 60.0  # seconds
_numbers = count(1)


def deliver(kafka: Broker, arm: Arm, job: dict[str, Any], plan: dict[str, Any] | None) -> dict[str, Any] | str:
    """One run of programs/send.py into a topic of its own: its figures, records a second, bytes and batches written.

    With a `plan`, the metadata recommends it for the topic. Every record must have arrived.
    """
    topic = kafka.create_topic(f"events-{next(_numbers)}", PARTITIONS)
    try:
        kafka.publish_metadata(recommendation(plan or {}, *([topic] if plan else [])))
        said = run(arm, "send", {**job, "bootstrap": kafka.bootstrap, "topic": topic}, LIMIT)
        if isinstance(said, str):
            return said
        log = kafka.log_bytes(topic)
        if log.records != job["records"] + 1:
            raise RuntimeError(f"{arm.name}: {log.records} of {job['records'] + 1} records arrived")
        return {
            "rate": job["records"] / said["seconds"],
            "cpu": said["cpu"] / job["records"] * 1e6,
            "bytes": log.bytes / log.records,
            "raw": log.bytes / raw_bytes(job["records"]),
            "batches": len(log.batches),
            "codecs": sorted(log.codecs),
        }
    finally:
        kafka.delete_topics(topic)


def raw_bytes(records: int) -> int:
    """The bytes of the values that programs/send.py sends, as they are before any batch is made of them."""
    sizes = [len(value) for value in events(min(records, 20_000))]
    whole, rest = divmod(records, len(sizes))
    return whole * sum(sizes) + sum(sizes[:rest])
