"""KafkaProducer on a real Kafka: what each record's answer says is what the broker has."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from superclient.toolkit import (
    KafkaProducer,
    KafkaProducerError,
    KafkaProducerFatalError,
    KafkaProducerRetriableError,
    ProducerConfig,
    ProduceResult,
    metrics,
)
from tests.faults import refused_port
from tests.servers import Broker, wait_for

ROOT = Path(__file__).resolve().parents[2]


# Back soon after the broker is, and silent until then.
QUICK = {"reconnect.backoff.max.ms": 200, "retry.backoff.max.ms": 200, "log_level": 0}


@pytest.fixture(scope="module")
def producer(kafka: Broker) -> Any:
    with KafkaProducer(ProducerConfig(kafka.bootstrap)) as made:
        yield made


def impatient(bootstrap: str, **fields: Any) -> KafkaProducer:
    """One that gives a record up after half a second; its log of unreachable brokers is left out."""
    more = {"message.timeout.ms": 500, "log_level": 0, **fields.pop("additional_config", {})}
    return KafkaProducer(ProducerConfig(bootstrap, additional_config=more, **fields))


def test_produce_answers_where_the_record_is(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-1: partition, offset and timestamp are the broker's; key, value, headers and timestamp are what was given."""
    first = producer.produce(
        topic, "värde", key="k", headers={"a": "b", "none": None, "bytes": b"\xff"}, timestamp=1234
    )
    second = producer.produce(topic, None, key=b"\x00", headers=[("x", "1"), ("x", "2")])
    third = producer.produce(topic, b"")
    assert [(one.status, one.partition, one.offset) for one in (first, second, third)] == [
        ("delivered", 0, number) for number in range(3)
    ]
    assert first == ProduceResult("delivered", topic, 0, 0, 1234)
    found = kafka.records(topic)
    assert [(one.key, one.value) for one in found] == [(b"k", "värde".encode()), (b"\x00", None), (None, b"")]
    assert [list(one.headers or []) for one in found] == [
        [("a", b"b"), ("none", None), ("bytes", b"\xff")],
        [("x", b"1"), ("x", b"2")],
        [],
    ]
    assert [round((one.timestamp or 0) * 1000) for one in found] == [one.timestamp for one in (first, second, third)]
    assert first.delivered
    assert json.loads(json.dumps(first.to_dict()))["offset"] == 0


def test_the_partition_is_as_asked(producer: KafkaProducer, kafka: Broker) -> None:
    """KLI-1: a partition that is named is taken; a key's records stay together."""
    topic = kafka.create_topic(f"toolkit-partitions-{os.urandom(4).hex()}", 4)
    assert [producer.produce(topic, b"x", partition=number).partition for number in (3, 0, 2)] == [3, 0, 2]
    assert len({producer.produce(topic, b"x", key="one").partition for _ in range(5)}) == 1


def test_what_the_cluster_refuses_is_in_the_result(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-1, KLI-39: by the library (too large), by the broker (too large for the topic), a partition too far."""
    refused = producer.produce(topic, b"x" * 2_000_000)
    assert refused.status == "error"
    assert isinstance(refused.error, KafkaProducerFatalError)
    assert refused.error.code == "MSG_SIZE_TOO_LARGE"
    small = kafka.create_topic(f"toolkit-small-{os.urandom(4).hex()}", 1, {"max.message.bytes": "1000"})
    refused = producer.produce(small, os.urandom(10_000))
    assert isinstance(refused.error, KafkaProducerFatalError)
    assert refused.error.code == "MSG_SIZE_TOO_LARGE"
    assert small in str(refused.error)
    nowhere = producer.produce(topic, b"x", partition=17)
    assert (nowhere.status, nowhere.partition) == ("error", 17)
    assert isinstance(nowhere.error, KafkaProducerFatalError)
    assert nowhere.error.code == "_UNKNOWN_PARTITION"
    assert producer.produce(topic, b"x").delivered


@pytest.mark.parametrize("flush", [True, False])
@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"value": 5}, TypeError, "value is int: it takes str, bytes or None"),
        ({"value": bytearray(b"x")}, TypeError, "value is bytearray"),
        ({"value": {"a": 1}}, TypeError, "value is dict"),
        ({"value": "\ud800"}, ValueError, "surrogates"),
        ({"key": 5.0}, TypeError, "key is float"),
        ({"partition": "1"}, TypeError, "partition is str: it takes int"),
        ({"partition": -5}, ValueError, "partition is -5: it takes a number from 0"),
        ({"partition": 2**40}, ValueError, "partition is"),
        ({"timestamp": 1.5}, TypeError, "timestamp is float"),
        ({"timestamp": -7}, ValueError, "timestamp is -7"),
        ({"headers": "text"}, TypeError, "headers is str: it takes a mapping"),
        ({"headers": 5}, TypeError, "headers is int"),
        ({"headers": [("a",)]}, TypeError, "it takes (name, value)"),
        ({"headers": [("a", 5)]}, TypeError, "header 'a' is int"),
        ({"headers": [(b"a", b"b")]}, TypeError, "a name that is bytes"),
        ({"headers": [("a\0b", b"")]}, ValueError, "a zero would end it"),
        ({"headers": [("\ud800", b"")]}, ValueError, "surrogates"),
        ({"headers": {"a": "\ud800"}}, ValueError, "surrogates"),
        ({"topic": ""}, ValueError, "topic is ''"),
        ({"topic": "a b"}, ValueError, "topic is 'a b'"),
        ({"topic": ".."}, ValueError, "topic is '..'"),
        ({"topic": "a" * 250}, ValueError, "1 to 249"),
        ({"topic": None}, TypeError, "topic is NoneType: it takes str"),
        ({"topic": b"bytes"}, TypeError, "topic is bytes"),
    ],
)
def test_what_cannot_be_a_record_raises(
    producer: KafkaProducer, arguments: dict[str, Any], error: type[Exception], says: str, flush: bool
) -> None:
    """KLI-1: at once, in words; where the library would crash (a header's name), cut, or wait in vain, as well."""
    with pytest.raises(error) as raised:
        producer.produce(**{"topic": "toolkit-never", "value": b"x", "flush": flush, **arguments})
    assert says in str(raised.value)
    assert len(producer.client) == 0


def test_queued_records_arrive_in_order(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-1: flush=False answers "queued" and waits for nothing; flush says when all are there."""
    answers = {producer.produce(topic, str(number), flush=False).status for number in range(2000)}
    assert answers == {"queued"}
    assert producer.flush() == 0
    assert [record.value for record in kafka.records(topic)] == [b"%d" % number for number in range(2000)]


def test_a_full_queue_is_absorbed_in_order(kafka: Broker, topic: str) -> None:
    """KLI-1: a hundred times what the queue holds; nothing is refused, lost or overtaken, by either face of batches."""
    config = ProducerConfig(kafka.bootstrap, additional_config={"queue.buffering.max.messages": 20})
    with KafkaProducer(config) as producer:
        statuses = {producer.produce(topic, str(number), flush=False).status for number in range(1000)}
        results = producer.produce_batch(topic, [str(number) for number in range(1000, 2000)])
    assert statuses == {"queued"}
    assert [result.offset for result in results] == list(range(1000, 2000))
    assert [record.value for record in kafka.records(topic)] == [b"%d" % number for number in range(2000)]


def test_a_record_larger_than_the_queue_is_no_endless_wait(kafka: Broker, topic: str) -> None:
    """KLI-1: no waiting makes room for it."""
    config = ProducerConfig(kafka.bootstrap, additional_config={"queue.buffering.max.kbytes": 10})
    with KafkaProducer(config) as producer:
        assert producer.produce(topic, b"small").delivered
        refused = producer.produce(topic, b"x" * 50_000)
        assert isinstance(refused.error, KafkaProducerRetriableError)
        assert refused.error.code == "_QUEUE_FULL"


def test_a_batch_has_an_answer_for_each(producer: KafkaProducer, kafka: Broker) -> None:
    """KLI-1: values, and mappings with the names of produce's arguments; in their order; one refused is one refused."""
    topic = kafka.create_topic(f"toolkit-batch-{os.urandom(4).hex()}", 3)
    batch = [
        b"plain",
        "text",
        None,
        {"value": "v", "key": "k", "partition": 2, "headers": {"h": "1"}, "timestamp": 77},
        b"x" * 2_000_000,
        {"key": b"tombstone"},
    ]
    results = producer.produce_batch(topic, batch, partition=1)
    assert [one.status for one in results] == ["delivered"] * 4 + ["error", "delivered"]
    assert [one.partition for one in results] == [1, 1, 1, 2, 1, 1]
    written = {(one.partition, one.offset): one for one in kafka.records(topic)}
    values = [written[one.partition, one.offset].value for one in results if one.delivered]
    assert values == [b"plain", b"text", None, b"v", None]
    one = written[2, 0]
    assert (one.key, list(one.headers or []), one.timestamp) == (b"k", [("h", b"1")], 0.077)
    assert producer.produce_batch(topic, []) == []
    queued = producer.produce_batch(topic, (b"%d" % number for number in range(3)), flush=False)
    assert [one.status for one in queued] == ["queued"] * 3


@pytest.mark.parametrize("mapped", [False, True])
def test_what_a_batch_is_refused_keeps_its_place(kafka: Broker, topic: str, mapped: bool) -> None:
    """KLI-1: the first and the last of those handed over together, neighbours, and through a queue that is full."""
    config = ProducerConfig(kafka.bootstrap, additional_config={"queue.buffering.max.messages": 20})
    large, refused = b"x" * 2_000_000, [0, 7, 255, 256, 257, 511, 512, 599]
    values = [large if number in refused else b"%d" % number for number in range(600)]
    with KafkaProducer(config) as producer:
        results = producer.produce_batch(topic, [{"value": one, "key": "k"} for one in values] if mapped else values)
    assert [place for place, one in enumerate(results) if one.status == "error"] == refused
    written = kafka.records(topic)
    assert [one.value for one in written] == [value for value in values if value is not large]
    assert [written[one.offset or 0].value for one in results if one.delivered] == [one.value for one in written]


def test_a_topic_may_be_of_a_kind_of_str(producer: KafkaProducer, topic: str) -> None:
    """KLI-1: an Enum's, say; results have a plain one, and those of a batch the same one, which costs no memory."""
    kind = Enum("kind", {"topic": topic}, type=str)
    results = producer.produce_batch(kind["topic"], [b"1", b"2"])
    results.append(producer.produce(kind["topic"], b"3"))
    results.append(producer.produce(kind["topic"], b"4", flush=False))
    assert [type(one.topic) for one in results] == [str] * 4
    assert len({id(one.topic) for one in results}) == 1


@pytest.mark.parametrize(
    ("batch", "error", "says"),
    [
        (b"bytes", TypeError, "records is bytes: it takes a list"),
        ({"value": b"x"}, TypeError, "records is dict"),
        ([b"x", 5], TypeError, "record 1: value is int"),
        ([b"x", {"valve": b"x"}], TypeError, "record 1: it has valve; it takes value, key"),
        ([{"partition": -3}], ValueError, "record 0: partition is -3"),
        ([b"x", "\ud800"], ValueError, "record 1: 'utf-8'"),
    ],
)
def test_a_mistake_in_a_batch_sends_none(
    producer: KafkaProducer, kafka: Broker, topic: str, batch: Any, error: type[Exception], says: str
) -> None:
    """KLI-1: told with its place, before anything is on its way."""
    with pytest.raises(error) as raised:
        producer.produce_batch(topic, batch)
    assert says in str(raised.value)
    assert kafka.end_offsets(topic) == {0: 0}


def test_produce_does_not_wait_for_linger(kafka: Broker, topic: str) -> None:
    """KLI-1: with a linger longer than the time in which a record may take at all."""
    config = ProducerConfig(kafka.bootstrap, linger_ms=60_000)
    with KafkaProducer(config) as producer:
        started = time.monotonic()
        assert producer.produce(topic, b"x").delivered
        assert all(one.delivered for one in producer.produce_batch(topic, [b"x"] * 10))
        producer.produce(topic, b"x", flush=False)
        assert producer.flush() == 0
        assert time.monotonic() - started < 55


def test_what_is_lost_unwatched_is_raised_by_flush(caplog: pytest.LogCaptureFixture) -> None:
    """KLI-39, KLI-45: counted, logged once, raised once with the first error's class and code."""
    before = metrics.get("producer.delivery.failed")
    with refused_port() as port, impatient(f"127.0.0.1:{port}") as producer:
        for _ in range(5):
            assert producer.produce("orders", b"x", flush=False).status == "queued"
        with pytest.raises(
            KafkaProducerRetriableError, match=r"orders: .*timed out.* \(4 more were not delivered\)"
        ) as lost:
            producer.flush()
        assert lost.value.code == "_MSG_TIMED_OUT"
        assert metrics.get("producer.delivery.failed") == before + 5
        assert producer.flush() == 0
    told = [one.getMessage() for one in caplog.records if "not delivered" in one.getMessage()]
    assert len(told) == 1


def test_close_raises_what_was_lost_unless_something_else_is_raised() -> None:
    """KLI-39: a with block's own exception is the one that counts."""
    with refused_port() as port:
        with pytest.raises(KafkaProducerRetriableError), impatient(f"127.0.0.1:{port}") as producer:
            producer.produce("orders", b"x", flush=False)
        with pytest.raises(KeyError), impatient(f"127.0.0.1:{port}") as producer:
            raise KeyError(producer.produce("orders", b"x", flush=False))
        assert producer.produce_batch  # the object is there, closed
        with pytest.raises(KafkaProducerFatalError, match="the producer is closed"):
            producer.produce("orders", b"x")


def test_close_with_a_time_gives_up_the_rest() -> None:
    """KLI-39: bounded, told, and each record has its report."""
    before = metrics.get("producer.delivery.failed")
    with refused_port() as port:
        producer = KafkaProducer(ProducerConfig(f"127.0.0.1:{port}", additional_config={"log_level": 0}))
        producer.produce_batch("orders", [b"x"] * 10, flush=False)
        assert producer.flush(0) == 10
        with pytest.raises(KafkaProducerError, match="9 more"):
            producer.close(timeout=0.1)
    assert metrics.get("producer.delivery.failed") == before + 10


def test_a_closed_producer_says_so(kafka: Broker, topic: str) -> None:
    """KLI-39: each method, and closing once more is nothing."""
    producer = KafkaProducer(ProducerConfig(kafka.bootstrap))
    with producer:
        assert producer.produce(topic, b"x").delivered
    producer.close()
    calls = [
        lambda: producer.produce(topic, b"x"),
        lambda: producer.produce(topic, b"x", flush=False),
        lambda: producer.produce_batch(topic, [b"x"]),
        lambda: producer.produce_with_retry(topic, b"x"),
        producer.flush,
        producer.poll,
    ]
    for call in calls:
        with pytest.raises(KafkaProducerFatalError, match="the producer is closed"):
            call()
    assert kafka.end_offsets(topic) == {0: 1}


def test_closing_lets_go_of_the_client(kafka: Broker, topic: str) -> None:
    """KLI-1: connections end with close, also while the object is kept."""
    producer = KafkaProducer(ProducerConfig(kafka.bootstrap))
    producer.produce(topic, b"x")
    client = producer.client
    held = sys.getrefcount(client)
    producer.close()
    gc.collect()
    assert held > sys.getrefcount(client) == 2  # this function, and the call that counts


def test_a_dropped_producer_is_freed_and_tells_what_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    """KLI-1: nothing of ours keeps it; records on their way are mentioned."""
    with refused_port() as port:
        producer = KafkaProducer(ProducerConfig(f"127.0.0.1:{port}", additional_config={"log_level": 0}))
        producer.produce("orders", b"x", flush=False)
        kept = weakref.ref(producer)
        del producer
        gc.collect()
    assert kept() is None
    assert "dropped with 1 records on their way" in caplog.text


def test_threads_share_a_producer(producer: KafkaProducer, kafka: Broker, topic: str) -> None:
    """KLI-1: ten threads, all three ways; each answer is its own record's, each thread's order holds."""
    wrong: list[Any] = []

    def work(thread: int) -> None:
        for number in range(30):
            value = b"%d:%d" % (thread, number)
            if number % 3 == 0:
                results = [(value, producer.produce(topic, value))]
            elif number % 3 == 1:
                results = list(zip([value, value], producer.produce_batch(topic, [value, value]), strict=True))
            else:
                producer.produce(topic, value, flush=False)
                continue
            answers.extend(results)

    answers: list[tuple[bytes, ProduceResult]] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    producer.flush()
    written = kafka.records(topic)
    wrong = [answer for value, answer in answers if written[answer.offset or 0].value != value]
    assert wrong == []
    assert len(written) == 10 * (10 + 20 + 10)
    for thread_number in range(10):
        mine = [int(one.value.split(b":")[1]) for one in written if one.value.startswith(b"%d:" % thread_number)]
        assert mine == sorted(mine)


def test_a_callback_may_produce(kafka: Broker, topic: str) -> None:
    """KLI-1: even waiting for its own record, in a callback that the library calls while somebody else waits."""
    answers: list[ProduceResult] = []

    def statistics(_: str) -> None:
        if not answers:
            answers.append(ProduceResult("begun", topic))
            answers.append(producer.produce(topic, b"from the callback"))

    more = {"stats_cb": statistics, "statistics.interval.ms": 50}
    with KafkaProducer(ProducerConfig(kafka.bootstrap, additional_config=more)) as producer:
        wait_for(lambda: producer.produce(topic, b"x").delivered and len(answers) > 1, "the callback's record")
    assert answers[1].delivered


def test_a_failing_callback_surfaces_and_loses_nothing(kafka: Broker, topic: str) -> None:
    """KLI-39: what a callback of the configuration raises, the call that serves it raises; close only at its end."""
    failing = threading.Event()

    def statistics(_: str) -> None:
        failing.set()
        raise KeyError("mine")

    more = {"stats_cb": statistics, "statistics.interval.ms": 1}
    producer = KafkaProducer(ProducerConfig(kafka.bootstrap, linger_ms=50, additional_config=more))
    for number in range(100):
        with suppress(KeyError):  # the record is queued all the same
            producer.produce(topic, b"%d" % number, flush=False)
    while not failing.is_set():
        with suppress(KeyError):
            producer.poll(0.1)
    with suppress(KeyError):  # or none, where nothing was reported meanwhile
        producer.close()
    assert kafka.end_offsets(topic) == {0: 100}
    with pytest.raises(KafkaProducerFatalError):
        producer.poll()


def test_settings_that_the_library_refuses_are_told() -> None:
    """KLI-39: as a ValueError that names the setting; so is a callback that would never be called."""
    with pytest.raises(ValueError, match=r"no\.such\.setting"):
        KafkaProducer(ProducerConfig("localhost:1", additional_config={"no.such.setting": 1}))
    with pytest.raises(ValueError, match="on_delivery"):
        KafkaProducer(ProducerConfig("localhost:1", additional_config={"on_delivery": print}))


def test_reports_of_success_cannot_be_switched_off(kafka: Broker, topic: str) -> None:
    """KLI-1: whatever is configured, a delivery is heard of."""
    more = {"delivery.report.only.error": True}
    with KafkaProducer(ProducerConfig(kafka.bootstrap, additional_config=more)) as producer:
        assert producer.produce(topic, b"x").delivered


def test_from_env_config(kafka: Broker, topic: str, tmp_path: Path) -> None:
    """KLI-24: the environment's settings, its producer section over them, fields of the call over all."""
    file = tmp_path / "config.json"
    section = {"linger.ms": 7, "compression_type": "zstd"}
    file.write_text(json.dumps({"dev": {"bootstrap_servers": kafka.bootstrap, "producer": section}}))
    with KafkaProducer.from_env_config("dev", path=str(file), acks="all", compression_type="lz4") as producer:
        assert (producer.config.linger_ms, producer.config.compression_type) == (7, "lz4")
        assert producer.produce(topic, b"x").delivered


def test_queued_records_leave_nothing_behind(producer: KafkaProducer, topic: str) -> None:
    """KLI-1: per record nothing stays, once tens of thousands of them are delivered."""
    value = b"x"
    producer.produce_batch(topic, [value] * 1000, flush=False)
    producer.flush()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        produce = producer.produce
        for _ in range(50_000):
            produce(topic, value, flush=False)
        producer.flush()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000


INTERRUPTED = """
import sys, threading, time
from superclient.toolkit import KafkaProducer, ProducerConfig
producer = KafkaProducer(ProducerConfig(sys.argv[1], additional_config={"log_level": 0}))

def tell():
    main = threading.main_thread().ident
    while not sys._current_frames()[main].f_code.co_filename.endswith(("sending.py", "deliveries.py")):
        time.sleep(0.01)
    print("waiting", flush=True)

threading.Thread(target=tell, daemon=True).start()
try:
    producer.produce("orders", b"x")
except KeyboardInterrupt:
    print("interrupted", flush=True)
try:
    producer.close(timeout=0.1)
except Exception as error:
    print(type(error).__name__, flush=True)
"""


def test_ctrl_c_ends_the_waiting_and_the_record_is_accounted_for() -> None:
    """KLI-39: the record is on its way when the waiting ends; closing tells that it was not delivered."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"}
    with refused_port() as port:
        command = [sys.executable, "-c", INTERRUPTED, f"127.0.0.1:{port}"]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=30)[0].split() == ["interrupted", "KafkaProducerError"]
            assert process.returncode == 0


def test_a_broker_that_comes_back_gets_every_record_once(fresh_kafka: Broker) -> None:
    """KLI-1: killed in the middle, started again: the records wait, and arrive once and in order."""
    topic = fresh_kafka.create_topic("orders")
    config = ProducerConfig(fresh_kafka.bootstrap, retries=1000, additional_config=QUICK)
    with KafkaProducer(config) as producer:
        for number in range(500):
            producer.produce(topic, b"%d" % number, flush=False)
        fresh_kafka.kill()
        for number in range(500, 1000):
            producer.produce(topic, b"%d" % number, flush=False)
        waiting: list[ProduceResult] = []
        thread = threading.Thread(target=lambda: waiting.append(producer.produce(topic, b"1000")))
        thread.start()
        fresh_kafka.start()
        thread.join(60)
        assert [one.delivered for one in waiting] == [True]
    assert [record.value for record in fresh_kafka.records(topic)] == [b"%d" % number for number in range(1001)]


def test_idempotence_comes_with_a_transactional_id(kafka: Broker) -> None:
    """KLI-16: whatever the configuration says; the library has it so."""
    config = ProducerConfig(kafka.bootstrap, transactional_id="x", enable_idempotence=False)
    assert config.to_library()["enable.idempotence"] is True
    with KafkaProducer(config) as producer:
        assert isinstance(producer.client, confluent_kafka.Producer)
