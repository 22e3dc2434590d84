"""What the agent makes of the points that the sweep chose: bytes with a recommendation, and the cost of the defaults.

    python -m benchmarks.chosen [--quick]

With zstd, 256 KiB and 100 ms recommended, bytes in the broker's log against the best of the sweep's points with the
same bound on awaited sends (linger up to 100 ms, which the bare library lets an awaited send wait for and the agent
does not), with and without keys. And the client's CPU time a record at 2,000 records a second under the defaults,
against the bare library with its own settings. JSON events on 4 partitions.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks._design import Point
from benchmarks._harness import BARE, LIBRARIES, OURS, Arm, Results, arms, broker, interleave, options, progress
from benchmarks._report import Row, compare, publish
from benchmarks._wire import deliver
from tests.servers import Broker

PLAN = {"compression.type": "zstd", "batch.size": 256 * 1024, "linger.ms": 100}
RATE, PACED_SECONDS, DEFAULTS_SECONDS = 2_000, 3, 5
SETTLE = 4  # seconds in which the agent's first report has gone out; it is made once, whatever is sent
FULL = {"kafka-python": 30_000, "aiokafka": 60_000, "confluent-kafka": 300_000}
WITHIN, CPU_GOAL = 1.05, 1.15


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    rounds = 2 if chosen.quick else 4
    rows: list[Row] = []
    with broker() as kafka:
        for library in LIBRARIES:
            for keyed in (False, True):
                rows += _recommended(kafka, library, keyed, 0, FULL[library], rounds)
                rows += _recommended(kafka, library, keyed, RATE, RATE * PACED_SECONDS, rounds)
        for library in LIBRARIES:
            rows += _defaults(kafka, library, rounds)
    publish("chosen", rows)


def candidates(library: str) -> list[Point]:
    """The sweep's points that have come out best, written by hand in the bare library."""
    if library == "confluent-kafka":
        return [Point("zstd", None, None, linger) for linger in (None, 100)]
    return [Point("zstd", None, batch, 100) for batch in (64, 256)]


def least(found: Results, names: list[str], figure: str) -> Results:
    """Ours beside the best of the named sides, round by round."""
    rounds = zip(*(found.found[name] for name in names), strict=True)
    return Results({BARE: [min(tried, key=lambda one: one[figure]) for tried in rounds], OURS: found.found[OURS]})


def _recommended(kafka: Broker, library: str, keyed: bool, rate: int, records: int, rounds: int) -> Iterator[Row]:
    name = f"{library}, {'keyed' if keyed else 'unkeyed'}, {f'{rate:,}/s' if rate else 'full speed'}"
    progress(f"chosen: recommended, {name}, {rounds} rounds")
    bare, ours = arms(peer=False)
    tried = {point.label: point for point in candidates(library)}
    job: dict[str, Any] = {"library": library, "records": records, "rate": rate, "keyed": keyed}

    def one(arm: Arm) -> dict[str, Any] | str:
        point = tried.get(arm.name)
        by_hand = point.job(library) if point else {"settings": {}}
        return deliver(kafka, arm, {**job, **by_hand}, None if point else PLAN)

    found = least(
        interleave([*(replace(bare, name=label) for label in tried), ours], rounds, one), list(tried), "bytes"
    )
    row = compare(f"{name}, of raw", found, "raw", WITHIN)
    yield row.with_note(f"the best of {'; '.join(tried)}")
    yield compare(f"{name}, batches", found, "batches")


def _defaults(kafka: Broker, library: str, rounds: int) -> Iterator[Row]:
    progress(f"chosen: defaults, {library}, {rounds} rounds")
    job = {"library": library, "records": RATE * DEFAULTS_SECONDS, "rate": RATE, "settings": {}, "settle": SETTLE}
    found = interleave(arms(peer=False), rounds, lambda arm: deliver(kafka, arm, job, None))
    yield compare(f"{library}, defaults, {RATE:,}/s, CPU time a record", found, "cpu", CPU_GOAL, "us")
    yield compare(f"{library}, defaults, {RATE:,}/s, of raw", found, "raw")
    yield compare(f"{library}, defaults, {RATE:,}/s, batches", found, "batches")


if __name__ == "__main__":
    main()
