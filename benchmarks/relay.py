"""What the exactly-once relay gives over a loop that is written by hand: records a second.

    python -m benchmarks.relay [--quick]

The arms: a consume-transform-produce loop over confluent-kafka (begin, produce, send offsets, commit); the relay with
one transaction under way; with four. A topic of four partitions, batches of 25 records of some 500 bytes with key and
headers, all with the same care: key, headers, timestamp and partition are kept.
"""

import random
from dataclasses import replace
from itertools import count
from typing import Any

from benchmarks._harness import BARE, CLIENTS, Arm, broker, environment, interleave, options, progress, run
from benchmarks._report import compare, publish
from tests.servers import Broker

PARTITIONS, LIMIT = 4, 300.0
ONE, FOUR = "relay", "relay, 4 in flight"
LANES = {BARE: 0, ONE: 1, FOUR: 4}
GOALS = {ONE: 0.95, FOUR: 2.0}

_numbers = count(1)


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    rounds, records = (3, 2500) if chosen.quick else (9, 10_000)
    python = environment(packages=CLIENTS)
    off = {"SUPERSTREAM_DISABLED": "true"}  # the agent is another benchmark's
    sides = [Arm(name, python, off) for name in LANES]
    with broker() as kafka:
        source = kafka.create_topic("relay-source", PARTITIONS)
        _fill(kafka, source, records)
        progress(f"relay: {records} records, {rounds} rounds")
        found = interleave(sides, rounds, lambda arm: _one(kafka, arm, source, records))
    rows = [
        replace(compare(f"{name}: records/s", found, "rate", goal, ours=name), at_least=True)
        for name, goal in GOALS.items()
    ]
    publish("relay", rows, tuple(LANES))


def _one(kafka: Broker, arm: Arm, source: str, records: int) -> dict[str, Any] | str:
    """One run, into a topic of its own, by a group of its own."""
    target = kafka.create_topic(f"relay-{next(_numbers)}", PARTITIONS)
    try:
        job = {"bootstrap": kafka.bootstrap, "source": source, "target": target, "group": target, "records": records}
        said = run(arm, "relay", {**job, "lanes": LANES[arm.name]}, LIMIT)
        if isinstance(said, dict) and said["forwarded"] != records:
            raise RuntimeError(f"{arm.name} relayed {said['forwarded']} of {records} records")
        return said
    finally:
        kafka.delete_topics(target)


def _fill(kafka: Broker, topic: str, records: int) -> None:
    from confluent_kafka import Producer  # once the agent is off

    producer, noise = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 20}), random.Random(7)
    for number in range(records):
        value = b'{"number": %d, "noise": "%s"}' % (number, noise.randbytes(230).hex().encode())
        producer.produce(
            topic, value, key=b"key-%d" % (number % 500), partition=number % PARTITIONS, headers=[("trace", b"1")]
        )
        producer.poll(0)
    producer.flush(60)


if __name__ == "__main__":
    main()
