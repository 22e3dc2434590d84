"""The Kafka fixtures themselves: what they promise to every other test."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from tests.servers import METADATA_TOPIC, REPORTS_TOPIC, Broker, SecureBroker, wait_for


def test_a_started_broker_answers_from_its_own_process_group(kafka: Broker):
    """TST-1: ready means that an admin client lists the broker, which runs in a process group of its own."""
    assert len(AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).brokers) == 1
    assert os.getpgid(kafka.pid) == kafka.pid != os.getpgrp()


def test_bytes_and_records_come_from_the_segment_files(kafka: Broker, topic: str):
    """TST-1: what log_bytes says is the size of the partition's segment files."""
    kafka.produce(topic, [b"x" * 1000] * 50)
    summary = kafka.log_bytes(topic)
    assert summary.records == 50
    assert summary.bytes == sum(segment.stat().st_size for segment in kafka.log_dir.glob(f"{topic}-0/*.log")) > 50_000
    assert summary.codecs == {"none"}


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_the_codec_of_a_batch_is_read_from_the_log(kafka: Broker, topic: str, codec: str):
    """TST-1: compressed batches are told by their codec and are smaller than what they hold."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "compression.type": codec, "linger.ms": 200})
    for _ in range(100):
        producer.produce(topic, b"the same text again and again " * 10)
    assert producer.flush(20) == 0
    summary = kafka.log_bytes(topic)
    assert (summary.codecs, summary.records) == ({codec}, 100)
    assert summary.bytes < 100 * 300


def test_records_are_read_back_with_key_and_partition(kafka: Broker, topic: str):
    """Keys, values, offsets and times of what is in a topic; a topic that does not exist has no record."""
    began = time.time()
    kafka.produce(topic, [b"one", b"two"], key=b"k")
    records = kafka.records(topic)
    assert [(r.offset, r.key, r.value, r.headers) for r in records] == [(0, b"k", b"one", ()), (1, b"k", b"two", ())]
    assert began - 1 < records[0].timestamp < time.time() + 1
    assert kafka.records("no-such-topic") == []


def test_each_test_gets_its_system_topics_new(cluster: Broker):
    """A cluster starts without system topics, and metadata and reports can be published, read and reset."""
    assert not {METADATA_TOPIC, REPORTS_TOPIC} & set(cluster.topics())
    assert cluster.reports() == []
    cluster.create_system_topics()
    cluster.publish_metadata({"active": True})
    cluster.publish_metadata(b"not json")
    assert [record.value for record in cluster.records(METADATA_TOPIC)] == [b'{"active": true}', b"not json"]
    cluster.produce(REPORTS_TOPIC, [b'{"client_id": "a"}'])
    assert cluster.wait_for_reports(len) == [{"client_id": "a"}]
    assert cluster.reports(since=time.time() + 5) == []
    cluster.reset_system_topics()
    assert not {METADATA_TOPIC, REPORTS_TOPIC} & set(cluster.topics())


def test_a_broker_survives_crash_and_pause_with_its_data(fresh_kafka: Broker):
    """TST-1: killed and started again on the same ports and data; paused, it is silent, and resumed, it answers."""
    bootstrap = fresh_kafka.bootstrap
    fresh_kafka.create_topic("kept")
    fresh_kafka.produce("kept", [b"value"])
    fresh_kafka.kill()
    assert not fresh_kafka.alive
    fresh_kafka.start()
    assert fresh_kafka.bootstrap == bootstrap
    assert [record.value for record in fresh_kafka.records("kept")] == [b"value"]
    fresh_kafka.pause()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=0.5)
    fresh_kafka.resume()
    wait_for(lambda: "kept" in fresh_kafka.topics(), "the resumed broker answers")


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_secure_broker_wants_credentials_and_rights(secure_kafka: SecureBroker, mechanism: str):
    """TST-1: a user without rights is refused, and the same user with rights produces."""
    topic = secure_kafka.create_topic(f"secured-{mechanism}")

    def outcome(user: str) -> str:
        answers: list[str] = []
        config = secure_kafka.client_config("confluent", user, mechanism=mechanism)
        producer = Producer({**config, "message.timeout.ms": 15000, "log_level": 0})
        producer.produce(
            topic, b"v", on_delivery=lambda error, _: answers.append(error.name() if error else "delivered")
        )
        producer.flush(20)
        return answers[0]

    secure_kafka.grant("app", topic)
    assert outcome("app") == "delivered"
    assert outcome("other") == "TOPIC_AUTHORIZATION_FAILED"
    secure_kafka.revoke_all("app")


def test_servers_end_with_a_session_that_was_killed(tmp_path):
    """TST-1: a server is ended by its pid even where the session got no chance to do so."""
    code = (
        "import os, sys, pathlib\n"
        "from tests.servers.process import ServerProcess\n"
        "server = ServerProcess('sleeper', ['sleep', '600'], pathlib.Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = pathlib.Path(__file__).parents[2]
    program = [sys.executable, "-c", code, str(tmp_path / "log")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=20, cwd=root, check=False)
    pid = int(done.stdout)

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] == "Z"  # nobody reaps orphans in a container without init

    wait_for(gone, "the server is gone", 10)
