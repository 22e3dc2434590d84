"""AGT-35: settings change under a producer in full flight, and its broker pauses and crashes; no record notices.

The default run sends a tenth of what `make soak` does, through as many changes.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.environments import environment, start_program
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


@pytest.mark.timeout(300)  # half a minute where nothing else runs
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


def _soak(kafka: Broker, library: str, records: int, way: str) -> None:
    topic = kafka.create_topic("soak", 6)
    kafka.create_system_topics()
    interval = 1000 if way == "published" else 300_000
    kafka.publish_metadata(document(0, topic) | {"active": False, "report_interval_ms": interval})
    program = PROGRAMS / f"with_{library.replace('-', '_')}.py"
    arguments = (kafka.bootstrap, topic, str(records), str(RETUNES), way)
    env = {"SUPERSTREAM_TOPICS_LIST": topic}
    with start_program(environment(packages=PACKAGES[library]), program, *arguments, env=env) as running:
        said = _accompany(kafka, running, topic, way)
        _, complaints = running.communicate(timeout=60)
    assert running.returncode == 0, complaints
    assert said["failed"] == [], complaints
    assert len(said["retunes"]) >= 20, complaints
    assert said["left"] == []
    assert "Traceback" not in complaints
    assert "WARN" not in complaints.replace("WARNING", "")
    _in_order(kafka, topic, records)
    assert len(kafka.log_bytes(topic).codecs) >= 4  # the changes did reach the batches


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


def _in_order(kafka: Broker, topic: str, records: int) -> None:
    """Every record once, and those of a key as they were sent."""
    ends = kafka.end_offsets(topic)
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "soak", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
    found: dict[bytes, list[int]] = defaultdict(list)
    assert sum(ends.values()) == records
    missing = records
    while missing:
        for message in consumer.consume(10_000, 1.0):
            assert message.error() is None
            found[message.key()].append(int(message.value().partition(b" ")[0]))
            missing -= 1
    consumer.close()
    for key, numbers in found.items():
        assert numbers == list(range(len(range(int(key), records, KEYS)))), key
