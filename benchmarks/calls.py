"""What the agent adds to one call of produce() or send(), with a plan in force.

    python -m benchmarks.calls [--quick]

All arms send with the same settings: written down in the bare arm, recommended to the others. What is compared is the
CPU time of the calling thread in a call, not what happens to the record later; see programs/calls.py.
"""

from statistics import median
from typing import Any

from benchmarks._harness import (
    BARE,
    LIBRARIES,
    Arm,
    arms,
    broker,
    configured,
    interleave,
    options,
    progress,
    recommendation,
    run,
)
from benchmarks._report import Row, compare, publish

PLAN = {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 2}
CALLS = {"kafka-python": "send()", "aiokafka": "await send()", "confluent-kafka": "produce()"}
BURSTS = {"kafka-python": 30, "aiokafka": 30, "confluent-kafka": 100}
PEER_EVERY = 3  # rounds
GOAL = 1.02


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = arms(peer=not chosen.no_peer)
    rounds = 4 if chosen.quick else 12
    with broker() as kafka:
        topic = kafka.create_topic("calls", 4)
        kafka.publish_metadata(recommendation(PLAN, topic))
        rows = []
        for library in LIBRARIES:
            progress(f"calls: {library}, {rounds} rounds")
            job = {"library": library, "bootstrap": kafka.bootstrap, "topic": topic}
            job |= {"bursts": BURSTS[library], "size": 600}
            rows.append(measured(f"{library} {CALLS[library]}", sides, rounds, job))
    publish("calls", rows)


def measured(figure: str, sides: list[Arm], rounds: int, job: dict[str, Any]) -> Row:
    """What a call costs in each arm, with PLAN in force for the job's topic."""

    def one(arm: Arm) -> dict[str, Any] | str:
        return run(arm, "calls", {**job, "settings": configured(job["library"], PLAN) if arm.name == BARE else {}})

    results = interleave(sides, rounds, one, PEER_EVERY)
    # The same piece of Python in every process: its median of all turns the relative figures into nanoseconds.
    piece = median(result["piece"] for found in results.found.values() for result in found)
    for found in results.found.values():
        for result in found:
            result["ns"] = result["relative"] * piece
    return compare(figure, results, "ns", GOAL, "ns")


if __name__ == "__main__":
    main()
