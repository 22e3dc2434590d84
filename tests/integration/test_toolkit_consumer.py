"""KafkaConsumer on a real Kafka: how records come, what is stored and committed, where reading begins."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from confluent_kafka import Producer

from superclient.errors import KafkaConsumerError, KafkaConsumerFatalError
from superclient.toolkit import ConsumerConfig, KafkaConsumer
from tests.integration.consuming import committed, consumer, dying, fill, filled, numbers, read
from tests.servers import Broker, wait_for


@pytest.fixture(scope="module")
def hundred(kafka: Broker) -> str:
    """A topic of one partition with the records 0 to 99, to be left as it is."""
    return filled(kafka, 100)


def group() -> str:
    return f"group-{os.urandom(4).hex()}"


def test_poll_answers_one_record_after_the_other(kafka: Broker, hundred: str) -> None:
    """KLI-3, KLI-6: the topics of the configuration are subscribed to; poll answers None when nothing comes."""
    with consumer(kafka, hundred) as reader:
        first = reader.poll(20)
        assert first is not None
        assert (first.topic, first.partition, first.offset, first.value) == (hundred, 0, 0, b"0")
        rest = [reader.poll(10) for _ in range(99)]
        assert [one.offset for one in rest if one] == list(range(1, 100))
        assert reader.poll(0) is None
        assert reader.poll(0.05) is None


def test_a_record_is_shown_whole(kafka: Broker, topic: str) -> None:
    """KLI-3: key, headers, timestamp and tombstones; bytes that are no text do no harm."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, b"\xff\x00{", b"\xfe", headers=[("a", b"\xff"), ("a", None)], timestamp=1_700_000_000_123)
    producer.produce(topic, None, b"gone")
    producer.produce(topic, b"")
    producer.flush(20)
    with consumer(kafka, topic) as reader:
        broken, tombstone, empty = read(reader, 3)
    assert (broken.key, broken.value, broken.timestamp) == (b"\xfe", b"\xff\x00{", 1_700_000_000_123)
    assert broken.headers == [("a", b"\xff"), ("a", None)]
    assert (tombstone.key, tombstone.value, tombstone.headers) == (b"gone", None, [])
    assert (empty.key, empty.value) == (None, b"")
    assert json.loads(json.dumps(broken.to_dict()))["key"] == "\\xfe"


def test_consume_messages_answers_a_list(kafka: Broker, hundred: str) -> None:
    """KLI-4: up to as many as were asked for; what is not there is not waited for beyond the time-out."""
    with consumer(kafka, hundred) as reader:
        assert numbers(read(reader, 30)) == list(range(30))
        assert numbers(reader.consume_messages(1, 10)) == [30]
        assert numbers(read(reader, 69)) == list(range(31, 100))
        assert reader.consume_messages(500, 0.05) == []
        assert reader.consume_messages(500, 0) == []
        for wrong in (0, -1, True, 1.5):
            with pytest.raises(ValueError, match="max_messages"):
                reader.consume_messages(wrong)  # type: ignore[arg-type]


def test_poll_lists_and_streams_take_turns(kafka: Broker) -> None:
    """KLI-3, KLI-4, KLI-5: what one has fetched ahead comes with the next, in order, nothing twice."""
    topic, found = filled(kafka, 3000), []
    with consumer(kafka, topic) as reader:
        while len(found) < 3000:
            one = reader.poll(10)
            assert one is not None
            found.append(one)
            found += reader.consume_messages(7, 5)
            for record in reader.message_stream():
                found.append(record)
                if len(found) % 100 == 0:
                    found += [nested for nested in [reader.poll(0)] if nested]  # inside the stream's loop
                if len(found) % 131 == 0 or len(found) >= 3000:
                    break
    assert numbers(found) == list(range(3000))


def test_a_stream_ends_when_it_is_stopped(kafka: Broker, hundred: str) -> None:
    """KLI-5: stop works inside the loop, from another thread, and before the stream has begun; then it goes on anew."""
    with consumer(kafka, hundred) as reader:
        found = []
        for record in reader.message_stream():
            found.append(record)
            if len(found) == 10:
                reader.stop()
        assert numbers(found) == list(range(10))
        reader.stop()
        assert list(reader.message_stream()) == []
        waiting = threading.Event()

        def stop() -> None:
            waiting.wait(30)
            reader.stop()

        stopper = threading.Thread(target=stop)
        stopper.start()
        for record in reader.message_stream():
            found.append(record)
            if len(found) == 100:
                waiting.set()  # nothing more comes: it is stopped where it waits
        stopper.join()
        assert numbers(found) == list(range(100))


def test_subscribe_takes_lists_alone(kafka: Broker, hundred: str) -> None:
    """KLI-7: several topics; one text is a TypeError; subscribing again replaces what was subscribed to."""
    other, third = filled(kafka, 5), filled(kafka, 5)
    config = ConsumerConfig(kafka.bootstrap, group())
    with KafkaConsumer(config) as reader:
        for wrong in (other, (one for one in [other]), [b"x"], None):
            with pytest.raises(TypeError):
                reader.subscribe(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="empty"):
            reader.subscribe([])
        reader.subscribe([other, third])
        assert {record.topic for record in read(reader, 10)} == {other, third}
        reader.subscribe([hundred])
        assert {record.topic for record in read(reader, 100)} == {hundred}


def test_seeking_right_after_subscribing(kafka: Broker) -> None:
    """KLI-8: applied when the partitions are assigned; to all of them when none is named, and once."""
    topic = filled(kafka, 40, partitions=4)
    with consumer(kafka, topic) as reader:
        reader.seek_to_offset(topic, 8)
        assert sorted(numbers(read(reader, 8))) == list(range(32, 40))
    with consumer(kafka, topic) as reader:
        reader.seek_to_offset(topic, 9, partition=2)
        assert sorted(one.offset for one in read(reader, 31) if one.partition == 2) == [9]


def test_seeking_in_the_middle(kafka: Broker) -> None:
    """KLI-8: at once; what was fetched ahead of the partitions is dropped, the others go on where they were."""
    topic = filled(kafka, 4000, partitions=2)
    with consumer(kafka, topic) as reader:
        assert reader.poll(20) is not None  # and some hundred records ahead
        reader.seek_to_offset(topic, 1990)
        assert sorted(one.offset for one in read(reader, 20)) == sorted([*range(1990, 2000)] * 2)
        reader.seek_to_offset(topic, 5, partition=1)
        assert [(one.partition, one.offset) for one in read(reader, 3)] == [(1, 5), (1, 6), (1, 7)]
        for record in reader.message_stream():  # inside a loop that has records left
            if record.offset < 1000:
                reader.seek_to_offset(topic, 1998, partition=1)
            if record.offset == 1999:
                break
        assert reader.consume_messages(1, 0.2) == []


def test_seeks_that_cannot_be_meant(kafka: Broker, hundred: str) -> None:
    """KLI-8: negatives and giants are refused; a partition that does not exist and a topic not read are told so."""
    with consumer(kafka, hundred) as reader:
        for offset, partition in ((-1, None), (0, -1), ("5", None), (True, None), (2**63, None), (0, 2**31)):
            with pytest.raises(ValueError, match="it takes a number from 0"):
                reader.seek_to_offset(hundred, offset, partition)  # type: ignore[arg-type]
        with pytest.raises(KafkaConsumerError, match="not among the topics"):
            reader.seek_to_offset("elsewhere", 0)
        reader.seek_to_offset(hundred, 5, partition=7)
        with pytest.raises(KafkaConsumerFatalError, match=f"{hundred} has no partition 7, only 0 to 0"):
            read(reader, 1)
        assert numbers(read(reader, 2)) == [0, 1]
        reader.seek_to_offset(hundred, 5, partition=3)
        with pytest.raises(KafkaConsumerFatalError, match="no partition 3"):
            read(reader, 1)


def test_an_offset_beyond_the_end_is_for_auto_offset_reset(kafka: Broker, hundred: str) -> None:
    """KLI-8: earliest begins anew; error says so."""
    with consumer(kafka, hundred) as reader:
        reader.seek_to_offset(hundred, 1000)
        assert numbers(read(reader, 1)) == [0]
    with consumer(kafka, hundred, auto_offset_reset="error") as reader:
        reader.seek_to_offset(hundred, 1000)
        with pytest.raises(KafkaConsumerError, match=r"_AUTO_OFFSET_RESET") as raised:
            read(reader, 1)
        assert raised.value.code == "_AUTO_OFFSET_RESET"


def test_a_record_is_stored_when_its_caller_comes_back(kafka: Broker, hundred: str) -> None:
    """KLI-48: whoever dies over a record sees it again; what came before it is committed by auto-commit."""
    ours = group()
    with dying(consumer(kafka, hundred, ours)) as reader:
        for record in reader.message_stream():
            if record.offset == 10:
                break
    assert committed(kafka, hundred, ours) == [10]
    with dying(consumer(kafka, hundred, ours)) as reader:
        assert numbers(read(reader, 5)) == [10, 11, 12, 13, 14]
        assert numbers(reader.consume_messages(5, 10)) == [15, 16, 17, 18, 19]
    assert committed(kafka, hundred, ours) == [15]
    with consumer(kafka, hundred, ours) as reader:
        one = reader.poll(20)
        assert one is not None
        assert one.offset == 15
    assert committed(kafka, hundred, ours) == [16]  # it was left in peace


def test_auto_commit_commits_while_the_program_goes_on(kafka: Broker, hundred: str) -> None:
    """KLI-48: what is stored is committed in the background, and no more than that."""
    ours = group()
    with consumer(kafka, hundred, ours, auto_commit_interval_ms=50) as reader:
        assert numbers(read(reader, 3)) == [0, 1, 2]
        assert reader.poll(10) is not None  # 3, in hand from now on
        wait_for(lambda: committed(kafka, hundred, ours) == [3], "three records are committed", 20)
    with consumer(kafka, hundred, ours, enable_auto_commit=False) as reader:
        assert numbers(read(reader, 3)) == [4, 5, 6]
    assert committed(kafka, hundred, ours) == [4]


def test_commit_waits_and_answers_what_was_committed(kafka: Broker) -> None:
    """KLI-48: the record in hand counts, what was fetched ahead does not; nothing to commit is no error."""
    topic, ours = filled(kafka, 100, partitions=2), group()
    with consumer(kafka, topic, ours, enable_auto_commit=False) as reader:
        assert reader.commit() == []
        for _ in reader.message_stream():
            break
        (done,) = reader.commit()
        assert (done.topic, done.offset) == (topic, 1)
        assert sorted(committed(kafka, topic, ours, 2)) == [-1, 1]
        read(reader, 99)
        assert sorted((one.partition, one.offset) for one in reader.commit()) == [(0, 50), (1, 50)]
        reader.seek_to_offset(topic, 7, partition=1)
        read(reader, 1)
        reader.commit()
        assert committed(kafka, topic, ours, 2) == [50, 8]  # also back


def test_fetch_stores_nothing(kafka: Broker, hundred: str) -> None:
    """KLI-48: the relay's way: raw records, whose offsets its transaction commits."""
    ours = group()
    with consumer(kafka, hundred, ours, auto_commit_interval_ms=50) as reader:
        first = reader.fetch(5, 20)
        assert [one.offset() for one in first] == [0, 1, 2, 3, 4]
        assert reader.poll(10) is not None
        assert [one.offset() for one in reader.fetch(1, 10)] == [6]
    assert committed(kafka, hundred, ours) == [6]  # of the one record that poll answered


@pytest.mark.parametrize("isolation", [None, "read_uncommitted"])
def test_aborted_records_are_for_those_who_ask(kafka: Broker, topic: str, isolation: str | None) -> None:
    """KLI-26: read_committed is the default."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(20)
    for value, end in ((b"1", producer.commit_transaction), (b"2", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(20)
        end(20)
    fill(kafka, topic, [3])
    settings = {"isolation_level": isolation} if isolation else {}
    with consumer(kafka, topic, **settings) as reader:
        assert numbers(read(reader, 3 if isolation else 2)) == ([1, 2, 3] if isolation else [1, 3])
        assert reader.poll(0.1) is None


def test_from_env_config(kafka: Broker, hundred: str, tmp_path: Path) -> None:
    """KLI-24: the environment's settings, the section of the consumer over them, and arguments over both."""
    file = tmp_path / "config.json"
    ours = group()
    file.write_text(
        json.dumps(
            {
                "default": {"bootstrap_servers": "nowhere:1", "consumer": {"group.id": "another"}},
                "test": {"bootstrap.servers": kafka.bootstrap, "consumer": {"group.id": ours, "acks": "all"}},
            }
        )
    )
    with KafkaConsumer.from_env_config("test", topics=[hundred], path=str(file), enable_auto_commit=False) as reader:
        assert (reader.config.group_id, reader.config.enable_auto_commit) == (ours, False)
        assert numbers(read(reader, 1)) == [0]


def test_a_closed_consumer_says_so(kafka: Broker, hundred: str) -> None:
    """KLI-3: every call is one clear error; closing again is none."""
    reader = consumer(kafka, hundred)
    reader.close()
    reader.close()
    for call in (
        reader.poll,
        lambda: reader.consume_messages(1),
        lambda: next(reader.message_stream()),
        lambda: reader.fetch(1),
        lambda: reader.subscribe([hundred]),
        lambda: reader.seek_to_offset(hundred, 0),
        reader.commit,
    ):
        with pytest.raises(KafkaConsumerFatalError, match="the consumer is closed"):
            call()
