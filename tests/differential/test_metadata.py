"""Bad input: whatever the metadata topic holds, the program's records and output are as without the agent."""

from __future__ import annotations

import json
import os

import pytest
from confluent_kafka import Producer

from tests.differential.conftest import new_topics, recommendation
from tests.differential.program import FOLDER, read
from tests.differential.runner import OPTIMISED, compare
from tests.servers import Broker
from tests.servers.topics import METADATA_TOPIC

LIBRARIES = ("kafka_python", "aiokafka", "confluent")


def advised(topic: str, configuration: object) -> bytes:
    document = recommendation(topic)
    document["topics_configuration"][0]["optimized_configuration"] = configuration  # type: ignore[index]
    return json.dumps(document).encode()


HOSTILE = {
    "bootstrap.servers": "127.0.0.1:1",
    "plugin.library.paths": "/no/such/library.so",
    "sasl.username": "somebody",
    "ssl.ca.location": "/nowhere",
    "acks": "0",
    "retries": 0,
    "enable.idempotence": False,
    "delivery.timeout.ms": 1,
    "transactional.id": "somebody's",
}
NUMBERS = {"compression.type": ["zstd"], "batch.size": float("nan"), "linger.ms": 1e99, "compression.level": -500}
SIGNS = {"compression.type": "brotli", "batch.size": -5, "linger.ms": "-20", "compression.level": {"a": 1}}
LARGEST = {"compression.type": "zstd", "batch.size": 256 * 1024 * 1024, "linger.ms": 900_000, "compression.level": 22}
MANY = [{"topic_name": f"topic-{number}"} for number in range(30_000)]

# What the last record of the metadata topic is, given the topic that is written; how many warnings may say so.
RECORDS = {
    "inactive": (lambda topic: json.dumps({**recommendation(topic), "active": False}).encode(), 0),
    "not_json": (lambda topic: b"\xff\xfe{]", 1),
    "truncated": (lambda topic: json.dumps(recommendation(topic)).encode()[:-20], 1),
    "a_list": (lambda topic: b"[1, 2]", 1),
    "null": (lambda topic: b"null", 1),
    "no_value": (lambda topic: b"", 1),
    "deep": (lambda topic: b"[" * 200_000, 1),
    "wrong_types": (lambda topic: b'{"active": "?", "topics_configuration": 17, "report_interval_ms": "soon"}', 1),
    "wrong_entries": (lambda topic: b'{"topics_configuration": [1, null, {"topic_name": 5}, {"topic_name": "x"}]}', 0),
    "huge": (lambda topic: b'{"topics_configuration": [], "padding": "' + b"x" * 6_000_000 + b'"}', 1),
    "many_topics": (lambda topic: json.dumps({"topics_configuration": MANY}).encode(), 0),
    "hostile": (lambda topic: advised(topic, HOSTILE), 1),
    "numbers": (lambda topic: advised(topic, NUMBERS), 1),
    "signs": (lambda topic: advised(topic, SIGNS), 1),
    "largest": (lambda topic: advised(topic, LARGEST), 1),
    "configuration_is_a_list": (lambda topic: advised(topic, ["compression.type", "zstd"]), 1),
}  # fmt: skip

# What a record is, the agent reads; how it comes, and what becomes of a plan, is each library's own: those kinds with
# each of them, the others with one by turns.
EVERYWHERE = {"inactive", "no_value", "huge", "hostile", "numbers", "signs", "largest", "configuration_is_a_list"}
ELSEWHERE = [name for name in RECORDS if name not in EVERYWHERE]
BY_TURNS = {(LIBRARIES[turn % 3], name) for turn, name in enumerate(ELSEWHERE)}
CASES = [
    pytest.param(
        library,
        name,
        marks=[] if name in EVERYWHERE or (library, name) in BY_TURNS else pytest.mark.matrix_full,
    )
    for library in LIBRARIES
    for name in RECORDS
]


def publish(broker: Broker, value: bytes) -> None:
    broker.create_topic(METADATA_TOPIC, config={"max.message.bytes": "9000000"})
    producer = Producer({"bootstrap.servers": broker.bootstrap, "message.max.bytes": 9_000_000})
    producer.produce(METADATA_TOPIC, value)
    assert producer.flush(10) == 0


def same(broker: Broker, library: str, topics: tuple[str, str], warnings: int) -> list[str]:
    """The agent's lines of a program that could not tell the difference."""
    pair = compare(read(FOLDER / library / "keyed.py"), broker, topics)
    found = [each for each in pair.differences() if "optimised" not in each and "more warnings" not in each]
    if len(pair.agent.warnings) > warnings:
        found.append(f"more than {warnings} warnings: {pair.agent.warnings}")
    if found:
        pytest.fail("\n".join(found), pytrace=False)
    assert pair.agent.records
    return pair.agent.ours


def topics_of(broker: Broker, library: str) -> tuple[str, str]:
    broker.reset_system_topics()
    return new_topics(broker, read(FOLDER / library / "keyed.py"))


@pytest.mark.parametrize(("library", "name"), CASES)
def test_record(library: str, name: str, own_kafka: Broker) -> None:
    """TST-5, AGT-36: a metadata record of any kind leaves what the program sends, and shows, as it was."""
    make, warnings = RECORDS[name]
    topics = topics_of(own_kafka, library)
    publish(own_kafka, make(topics[1]))
    own_kafka.create_topic("superstream.clients")

    same(own_kafka, library, topics, warnings)


@pytest.mark.parametrize("library", LIBRARIES)
def test_absent(library: str, own_kafka: Broker) -> None:
    """TST-5, AGT-32, AGT-45: a cluster without system topics stays without them, and one line says so."""
    same(own_kafka, library, topics_of(own_kafka, library), 1)

    assert not {"superstream.clients", METADATA_TOPIC} & own_kafka.topics().keys()


@pytest.mark.parametrize("library", LIBRARIES)
def test_empty(library: str, own_kafka: Broker) -> None:
    """TST-5, AGT-32: system topics without a record."""
    topics = topics_of(own_kafka, library)
    own_kafka.create_system_topics()

    same(own_kafka, library, topics, 0)


@pytest.mark.parametrize("library", LIBRARIES)
def test_several_partitions(library: str, own_kafka: Broker) -> None:
    """TST-5: a metadata topic with several partitions: partition 0 counts, whatever the others hold."""
    topics = topics_of(own_kafka, library)
    own_kafka.create_topic(METADATA_TOPIC, 4)
    own_kafka.create_topic("superstream.clients", 3)
    producer = Producer({"bootstrap.servers": own_kafka.bootstrap})
    producer.produce(METADATA_TOPIC, json.dumps(recommendation(topics[1])).encode(), partition=0)
    for partition in (1, 2, 3):
        producer.produce(METADATA_TOPIC, b"{]", partition=partition)
    assert producer.flush(10) == 0

    assert any(OPTIMISED in line for line in same(own_kafka, library, topics, 0))


@pytest.mark.parametrize("aborted", [False, True], ids=["committed", "aborted"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_transaction_markers(library: str, aborted: bool, own_kafka: Broker) -> None:
    """TST-5: markers of a transaction, and aborted records, after the last record of the metadata topic."""
    topics = topics_of(own_kafka, library)
    own_kafka.create_system_topics()
    own_kafka.publish_metadata(recommendation(topics[1]))
    producer = Producer({"bootstrap.servers": own_kafka.bootstrap, "transactional.id": f"admin-{os.getpid()}"})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(METADATA_TOPIC, b"{]" if aborted else json.dumps(recommendation(topics[1])).encode())
    producer.flush(10)
    if aborted:
        producer.abort_transaction(20)
    else:
        producer.commit_transaction(20)

    assert any(OPTIMISED in line for line in same(own_kafka, library, topics, 0))
