"""KafkaConsumer when something is wrong: brokers away, no rights, interruptions. One clear error, nothing lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from superclient.errors import KafkaConsumerError, KafkaConsumerFatalError, KafkaConsumerRetriableError
from superclient.toolkit import ConsumerConfig, KafkaConsumer, MessageResult
from tests.environments import start_program
from tests.faults import refused_port
from tests.integration.consuming import committed, consumer, fill, filled, numbers, read
from tests.servers import Broker, SecureBroker, wait_for

QUIET = {"log_level": 0}


def test_a_broker_that_is_killed_in_the_middle_of_a_stream(fresh_kafka: Broker) -> None:
    """KLI-5: the stream goes on when it is back; every record comes, in order."""
    topic, found, group = filled(fresh_kafka, 2000, size=200), [], "survivor"
    said: list[Any] = []
    settings = {**QUIET, "reconnect.backoff.max.ms": 500, "error_cb": said.append}
    with consumer(fresh_kafka, topic, group, additional_config=settings) as reader:
        for record in reader.message_stream():
            found.append(record)
            if len(found) == 150:
                break
        fresh_kafka.kill()
        thread = threading.Thread(target=lambda: found.extend(_until(reader, 2099)))
        thread.start()
        wait_for(lambda: said and reader.last_error is not None, "it hears that the broker is gone", 30)
        fresh_kafka.start()
        fill(fresh_kafka, topic, range(2000, 2100), size=200)
        thread.join(60)
        assert not thread.is_alive()
        assert reader.last_error is None
    assert numbers(found) == list(range(2100))
    assert committed(fresh_kafka, topic, group) == [2100]


def _until(reader: KafkaConsumer, offset: int) -> Iterator[MessageResult]:
    for record in reader.message_stream():
        yield record
        if record.offset == offset:
            return


def test_nobody_answers() -> None:
    """KLI-3: no error and no hang: the broker may come; last_error says why nothing comes, error_cb hears it too."""
    said: list[Any] = []
    with refused_port() as port:
        config = ConsumerConfig(f"127.0.0.1:{port}", "g", ["t"], additional_config={**QUIET, "error_cb": said.append})
        with KafkaConsumer(config) as reader:
            wait_for(lambda: reader.poll(0.05) is None and reader.last_error is not None and said, "it is told", 20)
            assert isinstance(reader.last_error, KafkaConsumerRetriableError)
            assert "refused" in str(reader.last_error) or "down" in str(reader.last_error)


def test_a_topic_that_does_not_exist(kafka: Broker) -> None:
    """KLI-6: said once, as an error that may mend; who goes on reads it as soon as it is there."""
    topic = f"late-{os.urandom(4).hex()}"
    with consumer(kafka, topic, additional_config={"topic.metadata.refresh.interval.ms": 500}) as reader:
        with pytest.raises(KafkaConsumerRetriableError, match=topic) as raised:
            read(reader, 1)
        assert raised.value.code == "UNKNOWN_TOPIC_OR_PART"
        assert reader.poll(0.1) is None
        assert topic not in kafka.topics()  # it was not created by asking
        kafka.create_topic(topic)
        fill(kafka, topic, [7])
        assert numbers(read(reader, 1)) == [7]


def test_wrong_credentials(secure_kafka: SecureBroker) -> None:
    """KLI-3: fatal, soon, without the password; in a stream as well."""
    settings = {**secure_kafka.client_config("confluent", password="wrong-one"), **QUIET}
    with KafkaConsumer(ConsumerConfig.from_mapping(settings, group_id="g", topics=["t"])) as reader:
        with pytest.raises(KafkaConsumerFatalError) as raised:
            list(reader.message_stream())
        assert raised.value.code == "_AUTHENTICATION"
        assert "wrong-one" not in str(raised.value)


def test_no_rights(secure_kafka: SecureBroker) -> None:
    """KLI-3: to the group, then to the topic: each is a fatal error that names what is missing."""
    topic = secure_kafka.create_topic(f"guarded-{os.urandom(4).hex()}")
    secure_kafka.produce(topic, [b"1"])
    secure_kafka.revoke_all("app")
    settings = {**secure_kafka.client_config("confluent"), **QUIET}

    def refusal(group: str) -> KafkaConsumerError:
        with KafkaConsumer(ConsumerConfig.from_mapping(settings, group_id=group, topics=[topic])) as reader:
            with pytest.raises(KafkaConsumerFatalError) as raised:
                read(reader, 1)
            return raised.value

    try:
        secure_kafka.grant("app", topic, ["DESCRIBE", "READ"])
        assert refusal("closed-group").code == "GROUP_AUTHORIZATION_FAILED"
        secure_kafka.revoke_all("app")
        secure_kafka.grant("app", "open-group", ["READ"], group=True)
        error = refusal("open-group")
        assert (error.code, topic in str(error)) == ("TOPIC_AUTHORIZATION_FAILED", True)
        secure_kafka.grant("app", topic, ["DESCRIBE", "READ"])
        with KafkaConsumer(ConsumerConfig.from_mapping(settings, group_id="open-group", topics=[topic])) as reader:
            assert numbers(read(reader, 1)) == [1]
    finally:
        secure_kafka.revoke_all("app")


def test_records_beside_an_error_come_first(kafka: Broker) -> None:
    """KLI-4: those of the topic that is there, then the error, then the rest."""
    topic, absent = filled(kafka, 300), f"absent-{os.urandom(4).hex()}"
    found: list[MessageResult] = []
    errors = 0
    with consumer(kafka, [topic, absent]) as reader:
        until = time.monotonic() + 30
        while (len(found) < 300 or not errors) and time.monotonic() < until:
            try:
                found += reader.consume_messages(40, 0.5)
            except KafkaConsumerRetriableError:
                errors += 1
    assert errors == 1
    assert numbers(found) == list(range(300))


def test_interrupted_inside_the_library(kafka: Broker) -> None:
    """KLI-4: librdkafka's binding throws away what a call has when a signal handler raises: it is read again."""
    topic, found, interruptions = filled(kafka, 2000, partitions=2), [], 0
    armed, done = threading.Event(), threading.Event()

    def interrupt(_: int, frame: Any) -> None:
        # Only where the library is called: what was returned to us already is the program's to lose.
        if frame.f_code.co_name == "_consume" and armed.is_set():
            raise KeyboardInterrupt

    def pester() -> None:
        while not done.wait(0.005):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=pester)
    thread.start()
    try:
        with consumer(kafka, topic) as reader:
            found += read(reader, 1)
            until = time.monotonic() + 60
            while len(found) < 2000 and time.monotonic() < until:
                armed.set()
                try:
                    records = reader.consume_messages(100, 0.05)
                except KeyboardInterrupt:
                    interruptions += 1
                    armed.clear()  # one call in peace, for progress on a slow machine
                    records = reader.consume_messages(20, 0.05)
                found += records
            done.set()
            thread.join()
    finally:
        done.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert interruptions > 0
    for partition in (0, 1):
        assert [one.offset for one in found if one.partition == partition] == list(range(1000))


def test_a_program_that_takes_its_time_stays_in_the_group(kafka: Broker) -> None:
    """KLI-5: hundreds of records are there for it and it reads on one by one: the brokers hear of it all the same."""
    topic, lost, found = filled(kafka, 1000), [], []
    slow = {**QUIET, "group.protocol": "consumer", "max.poll.interval.ms": 1000}
    with consumer(kafka, topic, additional_config=slow) as reader:
        reader.on_lost(lost.extend)
        for record in reader.message_stream():
            found.append(record)
            threading.Event().wait(0.3)  # its work
            if len(found) == 8:
                break
        found += read(reader, 992)
    assert lost == []
    assert numbers(found) == list(range(1000))


PROGRAM = """
import sys
from superclient.toolkit import ConsumerConfig, KafkaConsumer

with KafkaConsumer(ConsumerConfig(sys.argv[1], sys.argv[2], [sys.argv[3]])) as consumer:
    for record in consumer.message_stream():
        print(record.offset, flush=True)
        if record.offset == 60:
            sys.stdin.readline()
"""


def test_ctrl_c(kafka: Broker) -> None:
    """KLI-48: over a record: the program ends at once, the group is left, and the next one begins with that record."""
    topic, group = filled(kafka, 100), f"group-{os.urandom(4).hex()}"
    with start_program(sys.executable, PROGRAM, kafka.bootstrap, group, topic, env={"PYTHONPATH": os.getcwd()}) as one:
        assert one.stdout is not None
        assert [int(one.stdout.readline()) for _ in range(61)] == list(range(61))
        one.send_signal(signal.SIGINT)
        assert one.wait(30) != 0
    assert committed(kafka, topic, group) == [60]
    with consumer(kafka, topic, group) as reader:
        assert numbers(read(reader, 40)) == list(range(60, 100))
