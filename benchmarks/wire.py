"""Bytes on the wire with a recommendation, against the bare library configured by hand to the very same values.

    python -m benchmarks.wire [--quick]

zstd, 64 KiB, 20 ms of linger; JSON events of about 285 bytes, at full speed and at 2,000 records a second, on 4
partitions, without keys. A value that the library holds larger already (librdkafka's batch of 1 MB) is never lowered by
the agent, so the bare arm leaves it too. Bytes are those of the broker's log; `of raw` is their ratio to the bytes of
the values.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks._harness import BARE, LIBRARIES, Arm, arms, broker, configured, interleave, options, progress
from benchmarks._report import Row, compare, publish
from benchmarks._wire import deliver
from tests.servers import Broker

PLAN = {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20}
FULL = {"kafka-python": 30_000, "aiokafka": 50_000, "confluent-kafka": 200_000}
PACED, RATE = 6_000, 2_000
PEER_EVERY = 2  # rounds
GOAL = 1.01


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = arms(peer=not chosen.no_peer)
    rounds = 2 if chosen.quick else 4
    rows: list[Row] = []
    with broker() as kafka:
        for library in LIBRARIES:
            rows += _rows(kafka, sides, rounds, "full speed", {"library": library, "records": FULL[library], "rate": 0})
            paced = {"library": library, "records": PACED, "rate": RATE}
            rows += _rows(kafka, sides, max(2, rounds // 2), "2,000/s", paced)
    publish("wire", rows)


def by_hand(library: str) -> dict[str, Any]:
    """What the program of the bare arm writes down."""
    settings = configured(library, PLAN)
    if library == "confluent-kafka":
        del settings["batch.size"]
    return settings


def _rows(kafka: Broker, sides: list[Arm], rounds: int, speed: str, job: dict[str, Any]) -> Iterator[Row]:
    library = job["library"]
    progress(f"wire: {library}, {speed}, {rounds} rounds")

    def one(arm: Arm) -> dict[str, Any] | str:
        return deliver(kafka, arm, {**job, "settings": by_hand(library) if arm.name == BARE else {}}, PLAN)

    found = interleave(sides, rounds, one, PEER_EVERY)
    yield compare(f"{library}, {speed}, bytes a record", found, "bytes", GOAL)
    yield compare(f"{library}, {speed}, of raw", found, "raw")
    yield compare(f"{library}, {speed}, batches", found, "batches")


if __name__ == "__main__":
    main()
