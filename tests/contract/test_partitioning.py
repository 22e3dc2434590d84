"""Partitioning in every version of kafka-python and aiokafka that the agent supports: what is ours, and what is not."""

from __future__ import annotations

import pytest

from tests.contract.test_agent import metadata, publish
from tests.contract.test_matrix import CODECS
from tests.environments import environment, run_program
from tests.servers import Broker

# A producer that was never connected: its class's _partition, a real ClusterMetadata, an accumulator's queues.
COMMON = """
import json, random, sys
from collections import defaultdict, deque
from types import SimpleNamespace
PARTITIONER = "partitioner.class"
chance, failures = random.Random(3), []
def cluster_of(kind, leaders):
    cluster = kind()
    cluster._partitions = {"t": {p: SimpleNamespace(leader=l, leader_id=l) for p, l in leaders.items()}}
    return cluster
def check(known, what):
    if not known and len(failures) < 5:
        failures.append(what)
def play(producer_class, accumulator, metadata_class, hooks, dress):
    ours = producer_class._partition
    bare = ours.__wrapped__
    for case in range(300):
        count = chance.choice([1, 2, 3, 7, 12, 50])
        leaders = {p: chance.choice([-1, 1, 2]) if chance.random() < 0.3 else 1 for p in range(count)}
        available = {p for p, leader in leaders.items() if leader != -1}
        producer = producer_class.__new__(producer_class)
        producer._closed = True
        producer._metadata = cluster_of(metadata_class, leaders)
        setattr(producer, accumulator, SimpleNamespace(_batches=defaultdict(deque), _batch_size=1000))
        dress(producer, None)
        check(PARTITIONER in hooks.tunable(producer), "the library's own partitioner is not known")
        hooks.apply(producer, SimpleNamespace(changes={PARTITIONER: "sticky"}))
        router = getattr(producer, accumulator)._superclient_router
        for _ in range(10):
            key = chance.choice([b"", bytes(chance.randrange(256) for _ in range(chance.randrange(1, 40)))])
            value = b"v" * chance.randrange(100)
            args = ("t", None, key, value, key, value)
            check(ours(producer, *args) == bare(producer, *args), f"keyed {key!r}")
            args = ("t", chance.randrange(count), None, value, None, value)
            check(ours(producer, *args) == args[1], "explicit")
            args = ("t", None, None, value, None, value)
            one, two = ours(producer, *args), ours(producer, *args)
            if available:
                check(one == two and one in available, f"{one}, then {two} of {available}")
        dress(producer, lambda *args: 0)
        check(PARTITIONER not in hooks.tunable(producer), "a partitioner of the program's own")
        hooks.apply(producer, SimpleNamespace(changes={}))
        check(getattr(producer, accumulator)._superclient_router is None, "not given back")
    print(json.dumps(failures))
"""
SOURCES = {
    "kafka-python": COMMON
    + """
from kafka.producer import kafka
from kafka.cluster import ClusterMetadata
from superclient.agent.adapters.kafka_python import partition
def dress(producer, own):
    producer.config = {**kafka.KafkaProducer.DEFAULT_CONFIG, **({"partitioner": own} if own else {})}
play(kafka.KafkaProducer, "_accumulator", ClusterMetadata, partition.patch(kafka), dress)
""",
    "aiokafka": COMMON
    + """
from aiokafka.producer import producer as library
from aiokafka.cluster import ClusterMetadata
from superclient.agent.adapters.aiokafka import internals, partition
def dress(producer, own):
    producer._partitioner = own or library.DefaultPartitioner()
hooks = partition.patch(library, internals.classes(library))
play(library.AIOKafkaProducer, "_message_accumulator", ClusterMetadata, hooks, dress)
""",
}
VERSIONS = [
    ("kafka-python", "2.0.6", "3.10"),
    ("kafka-python", "2.2.21", "3.11"),
    ("kafka-python", "2.3.3", "3.12"),
    ("kafka-python", "3.0.12", "3.13"),
    ("aiokafka", "0.10.0", "3.10"),
    ("aiokafka", "0.12.0", "3.12"),
    ("aiokafka", "0.14.0", "3.13"),
]


@pytest.mark.parametrize(("library", "version", "python"), VERSIONS)
def test_keys_partitions_and_partitioners_of_the_program_are_untouched(library: str, version: str, python: str) -> None:
    """AGT-33: for random keys, partition counts and leaders a keyed record's partition equals the library's own."""
    interpreter = environment(python, [f"{library}=={version}", *CODECS[library]], constrained=False)
    done = run_program(interpreter, SOURCES[library])
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stdout + done.stderr
    assert "WARNING" not in done.stderr


# Bursts of 20 records without keys, each burst let go by a flush; then 50 with keys.
BURSTS = {
    "kafka-python": """
import sys
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=sys.argv[1], linger_ms=60000)
producer.send(sys.argv[2], b"first")
producer.flush()
for burst in range(60):
    for number in range(20):
        producer.send(sys.argv[2], b"%d-%d" % (burst, number))
    producer.flush()
for number in range(50):
    producer.send(sys.argv[2], b"keyed", key=b"key-%d" % number)
producer.close()
""",
    "aiokafka": """
import asyncio, sys
from aiokafka import AIOKafkaProducer
async def main():
    producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
    await producer.start()
    await producer.send_and_wait(sys.argv[2], b"first")
    for burst in range(60):
        for number in range(20):
            await producer.send(sys.argv[2], b"%d-%d" % (burst, number))
        await producer.flush()
    for number in range(50):
        await producer.send(sys.argv[2], b"keyed", key=b"key-%d" % number)
    await producer.stop()
asyncio.run(main())
""",
}


@pytest.mark.parametrize(
    ("library", "version", "python"),
    [
        pytest.param(*one, marks=[] if one[1] in ("2.0.6", "3.0.12", "0.10.0", "0.14.0") else [pytest.mark.matrix_full])
        for one in VERSIONS
    ],
)
def test_a_burst_without_keys_is_one_batch(
    library: str, version: str, python: str, cluster: Broker, topic: str
) -> None:
    """AGT-33: far fewer batches than without the agent, evenly spread, and keyed records where they always were."""
    found = {}
    for partitioning in ("default", "auto"):
        name = cluster.create_topic(f"{topic}-{partitioning}", 12)
        publish(cluster, metadata(name))
        interpreter = environment(python, [f"{library}=={version}", *CODECS[library]], constrained=False)
        env = {"SUPERSTREAM_TOPICS_LIST": name, "SUPERSTREAM_METADATA_TIMEOUT_MS": "20000"}
        env["SUPERSTREAM_PARTITIONING"] = partitioning
        done = run_program(interpreter, BURSTS[library], cluster.bootstrap, name, env=env)
        assert (done.stdout, done.returncode) == ("", 0), done.stderr
        assert ("DefaultPartitioner -> sticky" in done.stderr) == (partitioning == "auto"), done.stderr
        assert "WARNING" not in done.stderr
        records = cluster.records(name)
        assert len({(record.value, record.key) for record in records}) == len(records) == 1251
        keyed = {record.key: record.partition for record in records if record.key}
        placed = [record for record in records if record.key is None]
        shares = [sum(record.partition == partition for record in placed) for partition in range(12)]
        found[partitioning] = (len(cluster.log_bytes(name).batches), keyed, shares)
    (bare, bare_keyed, _), (sticky, sticky_keyed, shares) = found["default"], found["auto"]
    assert sticky_keyed == bare_keyed
    assert sticky <= 0.6 * bare
    assert max(shares) <= 2 * 1201 / 12, shares
    assert min(shares) > 0, shares
