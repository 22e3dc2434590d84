"""What the agent keeps in memory for each producer it watches, and whether anything is left of closed ones.

    python -m benchmarks.memory [--quick]

Python objects are counted exactly (tracemalloc). Resident memory, shown beside, moves by some 20 KB from one run to the
next, for it comes and goes in pages and thread stacks; it has a goal for confluent-kafka alone, whose memory is in C.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks._harness import LIBRARIES, Arm, arms, broker, interleave, options, progress, recommendation, run
from benchmarks._report import Row, compare, publish

PLAN = {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20}
GOAL_LIVE, GOAL_LEFT = 20.0, 0.2  # KB for each producer
LIMIT = 60.0  # seconds


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = arms(peer=not chosen.no_peer)
    size = {"live": 30, "churn": 100, "seconds": 5} if chosen.quick else {"live": 100, "churn": 1000, "seconds": 20}
    rows: list[Row] = []
    with broker(recommendation(PLAN, "orders")) as kafka:
        for library in LIBRARIES:
            job = {"library": library, "bootstrap": kafka.bootstrap, "topic": "orders", "settings": {}, **size}
            rows += _rows(sides, 1, job)
    publish("memory", rows)


def _rows(sides: list[Arm], rounds: int, job: dict[str, Any]) -> Iterator[Row]:
    library = job["library"]
    progress(f"memory: {library}")
    found = interleave(sides, rounds, lambda arm: run(arm, "memory", job, LIMIT))
    yield compare(f"{library}, live, objects", found, "live_objects", GOAL_LIVE, "KB", added=True)
    in_c = GOAL_LIVE if library == "confluent-kafka" else None  # its memory is librdkafka's, no Python objects
    yield compare(f"{library}, live, resident", found, "live_resident", in_c, "KB", added=True)
    closed = {arm: round(min(results.of(arm, "churned"))) for results in [found] for arm in results.found}
    yield compare(f"{library}, closed, objects", found, "left_objects", GOAL_LEFT, "KB", added=True)
    row = compare(f"{library}, closed, resident", found, "left_resident", None, "KB", added=True)
    yield row.with_note("created and closed: " + ", ".join(f"{arm} {count}" for arm, count in closed.items()))


if __name__ == "__main__":
    main()
