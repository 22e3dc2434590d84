"""How many records a second the toolkit's KafkaConsumer reads, against confluent-kafka's own consumers.

    python -m benchmarks.consuming [--quick]

The same topic is read from its beginning in each way by turns: `consume()` in lists of 500 is what consume_messages and
message_stream are compared with; of AIOConsumer `poll()`, record by record, is what amessage_stream is, and `consume()`
in lists of 500 what aconsume_messages is. Every way looks at each record's value. read_committed is the default of all;
see programs/consuming.py.
"""

from typing import Any

from confluent_kafka import Producer

from benchmarks._harness import BARE, CLIENTS, OURS, Arm, broker, environment, interleave, options, progress, run
from benchmarks._report import Row, compare, publish

PARTITIONS, SIZE = 4, 200  # bytes of a value
FIGURES = (
    ("consume_messages", "consume", 0.8),
    ("message_stream", "consume", 0.6),
    ("amessage_stream", "AIOConsumer.poll", 1.0),
    ("aconsume_messages", "AIOConsumer.consume", 1.0),
    ("amessage_stream", "AIOConsumer.consume", None),
)
THEIRS = ("consume", "AIOConsumer.consume", "AIOConsumer.poll")


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    rounds, records = (3, 200_000) if chosen.quick else (9, 500_000)
    quiet = {"SUPERSTREAM_DISABLED": "true"}  # the agent is another benchmark's
    bare = environment(packages=CLIENTS, superclient=False)
    ours = environment(packages=CLIENTS, extras=["toolkit"])
    rows: list[Row] = []
    with broker() as kafka:
        topic = kafka.create_topic("consuming", PARTITIONS)
        fill(kafka.bootstrap, topic, records)
        ways = dict.fromkeys(way for figure in FIGURES for way in figure[:2])
        arms = [Arm(way, bare if way in THEIRS else ours, quiet) for way in ways]
        progress(f"consuming: {records:,} records in {len(arms)} ways, {rounds} rounds")
        job: dict[str, Any] = {"bootstrap": kafka.bootstrap, "topic": topic, "records": records}
        found = interleave(arms, rounds, lambda arm: run(arm, "consuming", {**job, "way": arm.name}))
    for way, other, goal in FIGURES:
        for name, unit, wanted in (("rate", "records/s", goal), ("cpu", "µs", None)):
            row = compare(f"{way} ÷ {other}, {name}", found, name, wanted, unit, ours=way, bare=other)
            shown = {BARE: row.arms[other], OURS: row.arms[way]}
            rows.append(Row(row.figure, shown, row.compared, wanted, unit, at_least=name == "rate"))
    publish("consuming", rows, (BARE, OURS))


def fill(bootstrap: str, topic: str, records: int) -> None:
    """Records of different values, dealt to the partitions."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    for number in range(records):
        producer.produce(topic, (b"%d " % number).ljust(SIZE, b"."), partition=number % PARTITIONS)
        if number % 1000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError("the topic could not be filled")


if __name__ == "__main__":
    main()
