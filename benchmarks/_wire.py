"""Sending records to a real broker from every arm, and what the broker wrote; used by throughput, wire and sweep."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from benchmarks._harness import Arm, recommendation, run, run_all
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
        return said if isinstance(said, str) else _figures(kafka, topic, said)
    finally:
        kafka.delete_topics(topic)


def deliver_all(kafka: Broker, arm: Arm, jobs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Many runs one after the other in one process that knows no agent, each into a topic of its own."""
    topics = [kafka.create_topic(f"events-{next(_numbers)}", PARTITIONS) for _ in jobs]
    try:
        filled = [
            {**job, "bootstrap": kafka.bootstrap, "topic": topic} for job, topic in zip(jobs, topics, strict=True)
        ]
        said = run_all(arm, "send", {"jobs": filled}, LIMIT * len(jobs))
        if isinstance(said, str):
            raise RuntimeError(f"{len(jobs)} runs took {said}")
        return [_figures(kafka, topic, one) for topic, one in zip(topics, said, strict=True)]
    finally:
        kafka.delete_topics(*topics)


def _figures(kafka: Broker, topic: str, said: dict[str, Any]) -> dict[str, Any]:
    log = kafka.log_bytes(topic)
    if log.records != said["records"] + 1:  # and the one that warmed up
        raise RuntimeError(f"{topic}: {log.records} of {said['records'] + 1} records arrived")
    return {
        "rate": said["records"] / said["seconds"],
        "cpu": said["cpu"] / said["records"] * 1e6,
        "bytes": log.bytes / log.records,
        "raw": log.bytes / said["raw"],
        "batches": len(log.batches),
        "requests": len(log.batches) / log.records,
        "waited": None if said["waited"] is None else said["waited"] * 1000,
        "codecs": sorted(log.codecs),
    }
