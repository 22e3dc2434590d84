"""How many records a second the toolkit's KafkaProducer gets acknowledged, against confluent-kafka's own producers.

    python -m benchmarks.producing [--quick]

`produce` with a callback, served every 100 records, is what produce(flush=False) and produce_batch are compared with;
AIOProducer, 10,000 gathered, what 10,000 gathered aproduce are. A produce_batch answers with the place of every record,
which bare callbacks that count do not; in batches of 10,000 it also waits for each before the next begins. See
programs/producing.py.
"""

from itertools import count
from typing import Any

from benchmarks._harness import BARE, CLIENTS, OURS, Arm, broker, environment, interleave, options, progress, run
from benchmarks._report import Row, compare, publish
from tests.servers import Broker

PARTITIONS, SIZE = 4, 200  # bytes of a value
CALLBACKS, AIO = "produce with callbacks", "AIOProducer"
FIGURES = (
    ("produce(flush=False)", CALLBACKS, 0.9),
    ("produce_batch(flush=False)", CALLBACKS, 0.9),
    ("produce_batch", CALLBACKS, 0.9),
    ("produce_batch, 10,000 each", CALLBACKS, None),
    ("aproduce", AIO, 1.0),
    ("aproduce", CALLBACKS, None),
)

_numbers = count(1)


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    rounds, records, awaited = (3, 100_000, 30_000) if chosen.quick else (9, 300_000, 100_000)
    quiet = {"SUPERSTREAM_DISABLED": "true"}  # the agent is another benchmark's
    bare = environment(packages=CLIENTS, superclient=False)
    ours = environment(packages=CLIENTS, extras=["toolkit"])
    ways = dict.fromkeys(way for figure in FIGURES for way in figure[:2])
    arms = [Arm(way, bare if way in (CALLBACKS, AIO) else ours, quiet) for way in ways]
    progress(f"producing: {records:,} records in {len(arms)} ways, {awaited:,} where they are awaited; {rounds} rounds")
    job: dict[str, Any] = {"size": SIZE}
    numbers = {way: awaited if way in (AIO, "aproduce") else records for way in ways}
    with broker() as kafka:
        found = interleave(arms, rounds, lambda arm: _one(kafka, arm, {**job, "records": numbers[arm.name]}))
    rows: list[Row] = []
    for way, other, goal in FIGURES:
        for name, unit, wanted in (("rate", "records/s", goal), ("cpu", "µs", None)):
            row = compare(f"{way} ÷ {other}, {name}", found, name, wanted, unit, ours=way, bare=other)
            shown = {BARE: row.arms[other], OURS: row.arms[way]}
            rows.append(Row(row.figure, shown, row.compared, wanted, unit, at_least=name == "rate"))
    publish("producing", rows, (BARE, OURS))


def _one(kafka: Broker, arm: Arm, job: dict[str, Any]) -> dict[str, Any] | str:
    """One run, into a topic of its own."""
    topic = kafka.create_topic(f"producing-{next(_numbers)}", PARTITIONS)
    try:
        return run(arm, "producing", {**job, "bootstrap": kafka.bootstrap, "topic": topic, "way": arm.name})
    finally:
        kafka.delete_topics(topic)


if __name__ == "__main__":
    main()
