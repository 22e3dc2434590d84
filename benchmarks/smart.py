"""What SmartProducer adds to confluent-kafka's produce(), and what it leaves of its throughput.

    python -m benchmarks.smart [--quick]

The arms: confluent-kafka's Producer, SmartProducer, and its closest peer. A topic with 12 partitions, and a consumer
group that keeps up; that is behind everywhere (nothing healthy); that keeps up, with a Redis configured that is not
there. Records without keys, and with 500 different ones. The call is the CPU time of the calling thread, as in
calls.py; the rate is that of acknowledged records, everything on this machine; bytes are the broker's.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from statistics import median
from typing import Any

from benchmarks._harness import (
    BARE,
    CLIENTS,
    OTHER,
    OURS,
    Arm,
    Results,
    broker,
    environment,
    interleave,
    options,
    progress,
    run,
)
from benchmarks._report import Row, compare, publish
from tests.faults import refused_port
from tests.servers import Broker

PEER = "kafka-smart-producer==0.0.1"
MODULES = {BARE: None, OURS: "superclient", OTHER: "kafka_smart_producer"}
PARTITIONS, GROUP, BEHIND = 12, "readers", 20_000
GOAL_CALL, GOAL_ADDED, GOAL_RATE = 1.8, 2000.0, 0.9
SITUATIONS = ("healthy", "nothing healthy", "Redis down")
LIMIT = 120.0  # seconds
PEER_EVERY = 3  # rounds

_numbers = count(1)


def main() -> None:
    """Measure, print, write."""
    chosen = options(__doc__)
    sides = _sides(peer=not chosen.no_peer)
    rounds = 3 if chosen.quick else 9
    rows: list[Row] = []
    with broker() as kafka, refused_port() as nobody:
        for situation in SITUATIONS:
            for keyed in (False, True):
                name = f"{situation}, {'with' if keyed else 'without'} keys"
                progress(f"smart: {name}, {rounds} rounds")
                job = {"keyed": keyed, "bursts": 30, "size": 600, "records": 60_000 if chosen.quick else 150_000}
                job["redis"] = nobody if situation == "Redis down" else None
                behind = BEHIND if situation == "nothing healthy" else 0
                mine = [arm for arm in sides if arm.name != OTHER or situation == "healthy"]
                found = interleave(mine, rounds, lambda arm, j=job, b=behind: _one(kafka, arm, j, b), PEER_EVERY)
                rows += _rows(name, found)
    publish("smart", rows)


def _sides(peer: bool) -> list[Arm]:
    off = {"SUPERSTREAM_DISABLED": "true"}  # the agent is another benchmark's
    found = [
        Arm(BARE, environment(packages=CLIENTS, superclient=False)),
        Arm(OURS, environment(packages=CLIENTS, extras=["smart", "redis"]), off),
    ]
    if peer:
        found.append(Arm(OTHER, environment(packages=[*CLIENTS, PEER], superclient=False)))
    return found


def _one(kafka: Broker, arm: Arm, job: dict[str, Any], behind: int) -> dict[str, Any] | str:
    """One run, into a topic of its own; `bytes` a record, `moved` keys that are not in one partition, in order."""
    topic = kafka.create_topic(f"smart-{next(_numbers)}", PARTITIONS)
    try:
        _commit(kafka, topic, behind)
        said = run(arm, "smart_calls", {**job, "module": MODULES[arm.name], **_where(kafka, topic)}, LIMIT)
        if isinstance(said, str):
            return said
        log = kafka.log_bytes(topic)
        return {**said, "bytes": log.bytes / log.records, "moved": _moved(kafka, topic) if job["keyed"] else 0}
    finally:
        kafka.delete_topics(topic)


def _where(kafka: Broker, topic: str) -> dict[str, str]:
    return {"bootstrap": kafka.bootstrap, "topic": topic, "group": f"{GROUP}-of-{topic}"}


def _commit(kafka: Broker, topic: str, behind: int) -> None:
    """The group has read everything that will come, for its lag is never negative; or it is behind by so much."""
    from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition  # once the agent is off

    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(behind):
        producer.produce(topic, b"old", partition=number % PARTITIONS)
    producer.flush(30)
    offset = 0 if behind else 10**9
    partitions = [TopicPartition(topic, number, offset) for number in range(PARTITIONS)]
    admin = kafka.admin()
    for answer in admin.alter_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(f"{GROUP}-of-{topic}", partitions)]
    ).values():
        answer.result(30)


def _moved(kafka: Broker, topic: str) -> int:
    """How many keys are in two partitions, or out of order; of the records that have a number."""
    last: dict[bytes, tuple[int, int]] = {}
    moved = set()
    for record in kafka.records(topic):
        if record.key is None or record.value is None or not record.value[:9].isdigit():
            continue
        number = int(record.value[:9])
        partition, before = last.get(record.key, (record.partition, -1))
        if partition != record.partition or number <= before:
            moved.add(record.key)
        last[record.key] = (record.partition, number)
    return len(moved)


def _rows(name: str, found: Results) -> Iterator[Row]:
    # The same piece of Python in every process: its median of all turns the relative figures into nanoseconds.
    piece = median(result["piece"] for results in found.found.values() for result in results)
    for results in found.found.values():
        for result in results:
            result["ns"] = result["relative"] * piece
    yield compare(f"{name}: a call", found, "ns", GOAL_CALL, "ns")
    yield compare(f"{name}: added to a call", found, "ns", GOAL_ADDED, "ns", added=True)
    yield replace(compare(f"{name}: records/s", found, "rate", GOAL_RATE), at_least=True)
    row = compare(f"{name}: bytes a record", found, "bytes")
    if "with keys" in name:
        told = {arm: sum(one["moved"] for one in results) for arm, results in found.found.items()}
        row = row.with_note(", ".join(f"{arm}: {moved} keys moved or out of order" for arm, moved in told.items()))
    yield row


if __name__ == "__main__":
    main()
