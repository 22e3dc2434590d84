"""What a recommended linger costs a program that waits for its records: nothing, by AGT-34.

    python -m benchmarks.awaited [--quick] [--no-peer]

The bare arm runs with the library's own linger; the others are advised 100 ms and 5,000 ms, with the ceiling on linger
raised, so that no ceiling hides what is shown. 1, 10, 100 and 1,000 keyed records in flight at a time, over four
partitions, and awaited records beside a stream that nobody awaits, whose batches should be the fuller for it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks._harness import (
    LIBRARIES,
    Arm,
    arms,
    broker,
    interleave,
    options,
    progress,
    recommendation,
    run,
)
from benchmarks._report import Row, compare, publish
from tests.servers import Broker

LINGERS = (100, 5000)  # ms
IN_FLIGHT = {"1": 150, "10": 40, "100": 12, "1000": 6}  # records at a time: turns
REQUESTS = 300
PEER_EVERY = 3  # rounds
LIMIT = 60.0  # seconds; a peer that waits for 5 s every time is not waited for longer
GOAL_MEDIAN, GOAL_P99 = 1.05, 1.2
GOAL_FULLER = 3.0


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = [replace(arm, env={**arm.env, "SUPERSTREAM_MAX_LINGER_MS": "60000"}) for arm in arms(not chosen.no_peer)]
    rounds = 3 if chosen.quick else 9
    rows: list[Row] = []
    with broker() as kafka:
        for library in LIBRARIES:
            for linger in LINGERS:
                progress(f"awaited: {library}, linger {linger} ms advised, {rounds} rounds")
                rows += _rows(library, linger, sides, rounds, kafka)
    publish("awaited", rows)


def _rows(library: str, linger: int, sides: list[Arm], rounds: int, kafka: Broker) -> Iterator[Row]:
    topic = kafka.create_topic(f"awaited-{library}-{linger}", 4)
    streams = {arm.name: kafka.create_topic(f"{topic}-stream-{arm.name}") for arm in sides}
    kafka.publish_metadata(recommendation({"linger.ms": linger, "batch.size": 65536}, topic, *streams.values()))
    job = {"library": library, "bootstrap": kafka.bootstrap, "topic": topic, "requests": REQUESTS}
    job |= {"in_flight": IN_FLIGHT, "settings": {}}
    before = dict.fromkeys(streams, (0, 0))

    def one(arm: Arm) -> dict[str, Any] | str:
        stream = streams[arm.name]
        said = run(arm, "awaited", {**job, "stream": stream}, LIMIT)
        if isinstance(said, str):
            return said
        log = kafka.log_bytes(stream)
        records, batches = before[arm.name]
        before[arm.name] = log.records, len(log.batches)
        said["fill"] = (log.records - records) / (len(log.batches) - batches)
        return said

    results = interleave(sides, rounds, one, PEER_EVERY)
    for name in (*(f"{count} in flight" for count in IN_FLIGHT), "mixed"):
        for figure, goal in (("median", GOAL_MEDIAN), ("p99", GOAL_P99)):
            yield compare(f"{library}, {linger} ms advised, {name}, {figure}", results, f"{name} {figure}", goal, "ms")
    fuller = compare(f"{library}, {linger} ms advised, mixed, stream's records a batch", results, "fill", GOAL_FULLER)
    yield replace(fuller, at_least=True)


if __name__ == "__main__":
    main()
