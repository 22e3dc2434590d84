"""Top speed under the defaults: no recommendation is known for the topic, so each agent uses what it holds sensible.

    python -m benchmarks.throughput [--quick]

The program sends as fast as it can to 4 partitions, without keys; the broker and the program share this machine.
Bytes are those of the broker's log.
"""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks._harness import LIBRARIES, Arm, arms, broker, interleave, options, progress
from benchmarks._report import Row, compare, publish
from benchmarks._wire import deliver
from tests.servers import Broker

RECORDS = {"kafka-python": 30_000, "aiokafka": 50_000, "confluent-kafka": 200_000}
PEER_EVERY = 2  # rounds
GOAL_RATE, GOAL_BYTES = 0.95, 1.0


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = arms(peer=not chosen.no_peer)
    rows: list[Row] = []
    with broker() as kafka:
        for library in LIBRARIES:
            rows += _rows(kafka, library, sides, 2 if chosen.quick else 6)
    publish("throughput", rows)


def _rows(kafka: Broker, library: str, sides: list[Arm], rounds: int) -> Iterator[Row]:
    progress(f"throughput: {library}, {rounds} rounds")
    job = {"library": library, "records": RECORDS[library], "rate": 0, "settings": {}}
    found = interleave(sides, rounds, lambda arm: deliver(kafka, arm, job, None), PEER_EVERY)
    rate = compare(f"{library}, records/s", found, "rate", GOAL_RATE)
    yield replace(rate, at_least=True)
    yield compare(f"{library}, CPU time a record", found, "cpu", None, "us")
    codecs = {
        arm: "+".join(sorted({codec for one in results for codec in one["codecs"]}))
        for arm, results in found.found.items()
    }
    row = compare(f"{library}, bytes a record", found, "bytes", GOAL_BYTES)
    yield row.with_note(", ".join(f"{arm}: {codec}" for arm, codec in codecs.items()))


if __name__ == "__main__":
    main()
