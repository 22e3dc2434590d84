"""What the agent adds to the construction of a producer: on a healthy broker, a refusing one, and in a black hole.

    python -m benchmarks.construct [--quick]

Healthy: the first producer of a process, which fetches the recommendations, and the 91st to 100th, elapsed and by the
CPU time of the constructing thread (elapsed holds also what reports about the first ninety take away meanwhile).
Unreachable: the first producer and the second, for a cluster may cost its wait once. There the program has set a
timeout of 1 s itself (kafka-python 30 s and aiokafka 40 s by default), the same in every arm. aiokafka is timed with
`start()`, beside a task that tells for how long the event loop was blocked; the other two also on an event loop's
thread, where they must not wait at all. An arm that takes longer than the limit is not asked again.
"""

from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks._harness import (
    LIBRARIES,
    OTHER,
    Arm,
    Results,
    arms,
    broker,
    interleave,
    options,
    progress,
    recommendation,
    run,
)
from benchmarks._report import Row, compare, publish
from tests.faults import black_hole, refused_port

PLAN = {"compression.type": "zstd", "batch.size": 65536, "linger.ms": 20}
IMPATIENT: dict[str, dict[str, Any]] = {
    "kafka-python": {"bootstrap_timeout_ms": 1000},
    "aiokafka": {"request_timeout_ms": 1000},
    "confluent-kafka": {},
}
PEER_EVERY = 3  # rounds
LIMIT, LIMIT_OF_100 = 10.0, 30.0  # seconds
GOAL_FIRST, GOAL_LATER = 50.0, 1.0  # milliseconds added
GOAL_UNREACHABLE, GOAL_AGAIN = 500.0, 50.0
GOAL_BLOCKED = 5.0


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = arms(peer=not chosen.no_peer)
    rounds = 3 if chosen.quick else 7
    rows: list[Row] = []
    with broker(recommendation(PLAN, "orders")) as kafka, refused_port() as refused, black_hole() as hole:
        for library in LIBRARIES:
            job = {"library": library, "topic": "orders", "settings": {}}
            rows += _healthy(sides, rounds, {**job, "bootstrap": kafka.bootstrap})
            job["settings"] = IMPATIENT[library]
            for fault, port in (("refused", refused), ("black hole", hole)):
                rows += _unreachable(sides, max(2, rounds // 3), fault, {**job, "bootstrap": f"127.0.0.1:{port}"})
    publish("construct", rows)


def _healthy(sides: list[Arm], rounds: int, job: dict[str, Any]) -> Iterator[Row]:
    library = job["library"]
    first = _measured(sides, rounds, {**job, "count": 1}, LIMIT)
    yield compare(f"{library}, healthy, first", first, "first", GOAL_FIRST, "ms", added=True)
    if library == "aiokafka":
        yield compare(f"{library}, healthy, loop blocked", first, "blocked", GOAL_BLOCKED, "ms", added=True)
    many = _measured(sides, max(2, rounds // 3), {**job, "count": 100}, LIMIT_OF_100)
    yield compare(f"{library}, healthy, 100th", many, "last", GOAL_LATER, "ms", added=True)
    yield compare(f"{library}, healthy, 100th, own CPU time", many, "cpu", GOAL_LATER, "ms", added=True)


def _unreachable(sides: list[Arm], rounds: int, fault: str, job: dict[str, Any]) -> Iterator[Row]:
    library = job["library"]
    found = _measured(sides, rounds, {**job, "count": 2}, LIMIT)
    yield compare(f"{library}, {fault}, first", found, "first", GOAL_UNREACHABLE, "ms", added=True)
    yield compare(f"{library}, {fault}, second", found, "last", GOAL_AGAIN, "ms", added=True)
    if library == "aiokafka":
        yield compare(f"{library}, {fault}, loop blocked", found, "blocked", GOAL_BLOCKED, "ms", added=True)
    else:
        own = [arm for arm in sides if arm.name != OTHER]
        inside = _measured(own, rounds, {**job, "count": 1, "in_loop": True}, LIMIT)
        yield compare(f"{library}, {fault}, on a loop", inside, "first", GOAL_BLOCKED, "ms", added=True)


def _measured(sides: list[Arm], rounds: int, job: dict[str, Any], limit: float) -> Results:
    """Milliseconds: of the first construction, of the last (of 100: the median of the last ten), loop blocked."""
    progress(f"construct: {job['library']}, {job['count']} at {job['bootstrap']}, {rounds} rounds")

    def one(arm: Arm) -> dict[str, Any] | str:
        said = run(arm, "construct", job, limit)
        if isinstance(said, str):
            return said
        seconds = said["seconds"]
        last = median(seconds[-10:]) if len(seconds) > 10 else seconds[-1]
        blocked = max(said.get("blocked", [0.0]))
        cpu = median(said["cpu"][-10:])
        return {"first": seconds[0] * 1000, "last": last * 1000, "cpu": cpu * 1000, "blocked": blocked * 1000}

    return interleave(sides, rounds, one, PEER_EVERY)


if __name__ == "__main__":
    main()
