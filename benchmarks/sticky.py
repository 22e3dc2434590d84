"""What sticky batches save where records without a key come in bursts, and what choosing costs a call.

    python -m benchmarks.sticky [--quick]

20 JSON events every 10 ms, without keys, to 12 partitions on three brokers; zstd, 64 KiB, 5 ms of linger: written down
in the bare arm, recommended to the others, so that partitioning alone differs. Requests are counted on the wire, bytes
in the broker's log. The fewest requests that this linger allows is one a burst, since each burst ends before its linger
does and the next begins after it (also on a machine that is late: a gap is kept). Calls: see benchmarks.calls, here on
12 partitions.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks._cluster import brokers
from benchmarks._harness import (
    BARE,
    OURS,
    Arm,
    arms,
    configured,
    interleave,
    options,
    progress,
    recommendation,
    run,
)
from benchmarks._report import Row, compare, publish
from benchmarks._statistics import spread
from benchmarks.calls import BURSTS, CALLS, measured
from benchmarks.calls import PLAN as CALLS_PLAN
from superclient.cli._wire import Wire
from tests.servers import Broker

LIBRARIES = ("kafka-python", "aiokafka")  # librdkafka sticks by itself
PLAN = {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 5}
PARTITIONS, BURST, RATE, GAP = 12, 20, 2_000, 0.006
LIMIT = 60.0  # seconds
REQUESTS_GOAL, BYTES_GOAL, BEST_GOAL = 0.35, 0.45, 1.10


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = arms(peer=not chosen.no_peer)
    rounds, records = (2, 6_000) if chosen.quick else (5, 10_000)
    rows: list[Row] = []
    with brokers() as cluster, Wire([_address(one) for one in cluster]) as wire:
        kafka = cluster[0]
        for library in LIBRARIES:
            progress(f"sticky: {library}, {rounds} rounds")
            job = {"library": library, "records": records, "rate": RATE, "tick": BURST / RATE, "gap": GAP}
            rows += _bursts(cluster, wire, sides, rounds, job)
        topic = kafka.create_topic("calls", PARTITIONS)
        kafka.publish_metadata(recommendation(CALLS_PLAN, topic))
        for library in LIBRARIES:
            progress(f"sticky: calls of {library}")
            job = {"library": library, "bootstrap": kafka.bootstrap, "topic": topic, "bursts": BURSTS[library]}
            figure = f"{library} {CALLS[library]}, {PARTITIONS} partitions"
            rows.append(measured(figure, sides, 4 if chosen.quick else 12, {**job, "size": 600}))
    publish("sticky", rows)


def _address(kafka: Broker) -> tuple[str, int]:
    host, port = kafka.bootstrap.rsplit(":", 1)
    return host, int(port)


def _bursts(cluster: list[Broker], wire: Wire, sides: list[Arm], rounds: int, job: dict[str, Any]) -> Iterator[Row]:
    library, kafka = job["library"], cluster[0]
    best = job["records"] / BURST + 1  # and the record that warms up

    def one(arm: Arm) -> dict[str, Any] | str:
        topic = kafka.create_topic("bursts", PARTITIONS)
        try:
            kafka.publish_metadata(recommendation(PLAN, topic))
            settings = configured(library, PLAN) if arm.name == BARE else {}
            wire.reset()
            said = run(arm, "send", {**job, "bootstrap": wire.bootstrap, "topic": topic, "settings": settings}, LIMIT)
            if isinstance(said, str):
                return said
            tally, logs = wire.reset(), [one.log_bytes(topic) for one in cluster]
            records, shares = sum(log.records for log in logs), dict.fromkeys(range(PARTITIONS), 0)
            if records != job["records"] + 1:
                raise RuntimeError(f"{arm.name}: {records} of {job['records'] + 1} records arrived")
            for log in logs:
                shares |= log.records_by_partition
            return {
                "requests": tally.requests,
                "of_best": tally.requests / best,
                "batches": sum(len(log.batches) for log in logs),
                "bytes": sum(log.bytes for log in logs) / records,
                "unevenness": max(abs(share * PARTITIONS / records - 1) for share in shares.values()),
            }
        finally:
            kafka.delete_topics(topic)

    found = interleave(sides, rounds, one)
    yield compare(f"{library}, produce requests", found, "requests", REQUESTS_GOAL)
    row = compare(f"{library}, requests ÷ best possible", found, "of_best")
    yield Row(row.figure, row.arms, spread(found.of(OURS, "of_best")), BEST_GOAL)
    yield compare(f"{library}, batches", found, "batches")
    yield compare(f"{library}, bytes a record", found, "bytes", BYTES_GOAL)
    yield compare(f"{library}, the partition furthest from its share", found, "unevenness")


if __name__ == "__main__":
    main()
