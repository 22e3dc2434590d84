"""AGT-35: settings change under a producer in full flight, and its broker pauses and crashes; no record notices.

The default run sends a tenth of what `make soak` does, through as many changes.
"""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.environments import PATIENT, environment, start_program
from tests.servers import Broker
from tests.soak.programs.retuning import KEYS, document

PROGRAMS = Path(__file__).parent / "programs"
PACKAGES = {
    "kafka-python": ("kafka-python==3.0.12", "crc32c", "lz4", "python-snappy", "zstandard"),
    "aiokafka": ("aiokafka==0.14.0", "cramjam"),
}
RETUNES = 25
PAUSED, CRASHED = 8, 16  # the retunes at which the broker is silent for a while, and at which it is killed
SILENCE = 2.0  # seconds

every_library = pytest.mark.parametrize("library", PACKAGES)


@pytest.mark.timeout(170)  # half a minute where nothing else runs
@every_library
def test_a_tenth(fresh_kafka: Broker, library: str) -> None:
    """AGT-35: 100,000 records through 25 changes of settings, a silent broker and a crash."""
    _soak(fresh_kafka, library, 100_000, "direct")


@pytest.mark.soak
@pytest.mark.parametrize("way", ["direct", "published"])
@every_library
def test_a_million(fresh_kafka: Broker, library: str, way: str) -> None:
    """AGT-35: the same ten times over; with metadata that is published, and found at the report interval, too."""
    _soak(fresh_kafka, library, 1_000_000, way)


@pytest.mark.timeout(170)
@every_library
def test_metadata_that_changes_every_second(fresh_kafka: Broker, library: str) -> None:
    """AGT-35: published, found at the report interval, applied, and gone again; the program never notices."""
    topic = prepared(fresh_kafka, "published")
    said, _ = _run(fresh_kafka, library, topic, 20_000, 6, "published")
    assert said["retunes"] == list(range(6))
    in_order(fresh_kafka, topic, 20_000)


@pytest.mark.timeout(170)
@every_library
def test_metadata_that_makes_no_sense(cluster: Broker, library: str) -> None:
    """AGT-31, AGT-36: contradictions, sizes that no broker takes, lingers that no record survives, a codec whose
    library is gone: what is refused is not set, and the program never notices."""
    topic = prepared(cluster, "bad")
    said, _ = _run(cluster, library, topic, 20_000, 9, "bad")
    assert said["retunes"] == list(range(9))
    for changes in said["changes"]:
        assert changes.get("compression.type", "gzip") in ("gzip", "none")
        assert 16384 <= changes.get("batch.size", 16384) <= 70_000
        # kafka-python's program has left room for 500 ms, aiokafka's for more than any ceiling.
        assert 0 <= changes.get("linger.ms", 0) <= (20 if library == "kafka-python" else 1000)
    in_order(cluster, topic, 20_000)


def prepared(kafka: Broker, way: str) -> str:
    topic = kafka.create_topic(f"soak-{way}-{uuid.uuid4().hex[:8]}", 6)
    kafka.create_system_topics()
    interval = 1000 if way == "published" else 300_000
    kafka.publish_metadata(document(0, topic) | {"active": False, "report_interval_ms": interval})
    return topic


def _soak(kafka: Broker, library: str, records: int, way: str) -> None:
    topic = prepared(kafka, way)
    said, complaints = _run(kafka, library, topic, records, RETUNES, way)
    assert len(said["retunes"]) >= 20, complaints
    in_order(kafka, topic, records)
    assert len(kafka.log_bytes(topic).codecs) >= 4  # the changes did reach the batches


def _run(kafka: Broker, library: str, topic: str, records: int, retunes: int, way: str) -> tuple[dict[str, Any], str]:
    """What the program said at the end, having lost and left nothing; and what it complained of."""
    program = PROGRAMS / f"with_{library.replace('-', '_')}.py"
    arguments = (kafka.bootstrap, topic, str(records), str(retunes), way)
    python = environment(packages=PACKAGES[library])
    with start_program(python, program, *arguments, env={**PATIENT, "SUPERSTREAM_TOPICS_LIST": topic}) as running:
        said = _accompany(kafka, running, topic, way)
        _, complaints = running.communicate(timeout=60)
    assert running.returncode == 0, complaints
    assert said["failed"] == [], complaints
    assert said["left"] == []
    assert "Traceback" not in complaints
    return said, complaints


def _accompany(kafka: Broker, running: subprocess.Popen[str], topic: str, way: str) -> dict[str, Any]:
    """Do to the broker what is its lot while the program runs; what the program says at the end."""
    assert running.stdout is not None
    for line in running.stdout:
        word, _, rest = line.partition(" ")
        if word == "result":
            said: dict[str, Any] = json.loads(rest)
            return said
        number = int(rest)
        if way == "published":
            kafka.publish_metadata(document(number, topic) | {"report_interval_ms": 1000})
        if number == PAUSED:
            kafka.pause()
            time.sleep(SILENCE)
            kafka.resume()
        if number == CRASHED:
            kafka.kill()
            kafka.start()
    raise AssertionError(running.communicate()[1])


def in_order(kafka: Broker, topic: str, records: int, others: dict[bytes, int] | None = None) -> None:
    """Every committed record once, and those of a key as they were sent; beside them only so many of other keys."""
    ends = kafka.end_offsets(topic)
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": "soak", "enable.partition.eof": True}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
    found: dict[bytes, list[int]] = defaultdict(list)
    unread = set(ends)
    while unread:
        for message in consumer.consume(10_000, 0.1):
            if message.error() is None:
                found[message.key()].append(int(message.value().partition(b" ")[0]))
            else:
                assert message.error().code() == KafkaError._PARTITION_EOF
                unread.discard(message.partition())
    consumer.close()
    for key, count in (others or {}).items():
        assert len(found.pop(key)) == count
    assert len(found) == min(KEYS, records)
    for key, numbers in found.items():
        assert numbers == list(range(len(range(int(key), records, KEYS)))), key
