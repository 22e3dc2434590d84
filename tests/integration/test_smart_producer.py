"""SmartProducer on a real Kafka: records avoid partitions that a real group is behind in, and all else is as it was."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer

from superclient import PartitionHealthMonitor, SmartProducer, SmartProducerConfig
from superclient.smart.keys import HASHES
from tests.environments import environment, run_program
from tests.integration.groups import caught_up, lagging
from tests.servers import Broker, wait_for

LAGS = [0, 0, 5000, 5000]  # far from what the tests send, which nobody reads
HEALTH = {"max_lag_for_health": 8000, "refresh_interval": 0.2, "timeout_seconds": 10.0}


def configured(kafka: Broker, topic: str, group: str | None, **more: Any) -> SmartProducerConfig:
    settings = {"bootstrap.servers": kafka.bootstrap, "linger.ms": 5, **more.pop("settings", {})}
    health = {**HEALTH, **more.pop("health", {})} if group is not None else None
    return SmartProducerConfig(settings, [topic], group, health, **more)


def knows(producer: SmartProducer, topic: str, healthy: set[int]) -> None:
    """Wait until its monitor does."""
    views = producer._helpers._monitor.views
    wait_for(lambda: topic in views and views[topic].healthy == healthy, f"{topic}'s healthy partitions {healthy}")


def sent(producer: SmartProducer, topic: str, expected: set[int], key: Any = lambda number: None) -> set[Any]:
    """Send records until each of the expected partitions has got some: (key, partition) of all of them."""
    places: set[Any] = set()

    def note(error: Any, message: Any) -> None:
        assert error is None
        places.add((message.key(), message.partition()))

    numbers = iter(range(10**9))

    def again() -> bool:
        producer.produce(topic, b"new", key(next(numbers)), on_delivery=note)
        producer.poll(0.002)
        return {partition for _, partition in places} >= expected

    wait_for(again, f"records in the partitions {expected}", 20)
    for number in range(200):
        producer.produce(topic, b"new", key(number), on_delivery=note)
    assert producer.flush(30) == 0
    return places


def new(kafka: Broker, topic: str) -> list[Any]:
    """The records that did not make the lag."""
    return [record for record in kafka.records(topic) if record.value != b"old"]


@pytest.fixture(scope="module")
def lag(kafka: Broker) -> tuple[str, str]:
    """A topic whose last two partitions have a queue, for all tests that leave it so."""
    return lagging(kafka, LAGS)


def test_records_without_keys_avoid_lagging_partitions(kafka: Broker) -> None:
    """KSP-1, KSP-2, KSP-4, KSP-10: consumer_group alone turns it on; what catches up is used again by itself."""
    topic, group = lagging(kafka, LAGS)
    with SmartProducer(configured(kafka, topic, group)) as producer:
        knows(producer, topic, {0, 1})
        assert sent(producer, topic, {0, 1}) == {(None, 0), (None, 1)}
        caught_up(kafka, topic, group)
        knows(producer, topic, {0, 1, 2, 3})
        assert len(sent(producer, topic, {0, 1, 2, 3})) == 4


def test_batches_stay_full(kafka: Broker) -> None:
    """LAG-5: as many records a batch as with the plain producer, within a tenth, on a busy machine."""
    lengths = {}
    for name in ("plain", "smart"):
        topic, group = lagging(kafka, LAGS, name)
        config = configured(kafka, topic, group, smart_enabled=name == "smart", settings={"linger.ms": 50})
        with SmartProducer(config) as producer:
            if name == "smart":
                knows(producer, topic, {0, 1})
            for _ in range(40):
                for _ in range(500):
                    producer.produce(topic, b"x" * 100)
                producer.flush(30)
        sent = [batch for batch in kafka.log_bytes(topic).batches if batch.records > 1 or batch.size > 150]
        lengths[name] = sum(batch.records for batch in sent) / len(sent)
    assert lengths["smart"] > 0.5 * lengths["plain"]


def test_keys_stay_where_they_were_first(kafka: Broker) -> None:
    """KSP-8: hash partition when healthy, else another one, also after its own has recovered."""
    topic, group = lagging(kafka, LAGS)
    keys = [b"key-%d" % number for number in range(100)]
    with SmartProducer(configured(kafka, topic, group)) as producer:
        knows(producer, topic, {0, 1})
        for key in keys:
            producer.produce(topic, b"first", key)
        producer.flush(30)
        caught_up(kafka, topic, group)
        knows(producer, topic, {0, 1, 2, 3})
        for key in keys:
            for _ in range(20):
                producer.produce(topic, b"later", key.decode())
    places: dict[bytes, set[int]] = {}
    for record in new(kafka, topic):
        places.setdefault(record.key, set()).add(record.partition)
    for key in keys:
        home = HASHES["consistent_random"](key) % 4
        assert len(places[key]) == 1
        assert places[key] <= ({home} if home in (0, 1) else {0, 1})


@pytest.mark.parametrize("stickiness", ["hash", False])
def test_keys_as_they_are_wanted(kafka: Broker, lag: tuple[str, str], stickiness: Any) -> None:
    """KSP-8, KSP-9: "hash" never moves one; False sends them where it is quick, one after the other."""
    topic, group = lag
    with SmartProducer(configured(kafka, topic, group, key_stickiness=stickiness)) as producer:
        knows(producer, topic, {0, 1})
        expected = {0, 1, 2, 3} if stickiness == "hash" else {0, 1}
        places = sent(producer, topic, expected, lambda number: b"key-%d" % (number % 40))
    if stickiness == "hash":
        assert places == {(key, HASHES["consistent_random"](key) % 4) for key, _ in places}
    else:
        assert {partition for _, partition in places} == {0, 1}


@pytest.mark.parametrize("partitioner", [*HASHES, "random"])
def test_healthy_keys_go_where_the_plain_producer_sends_them(kafka: Broker, partitioner: str) -> None:
    """KSP-8: 1000 keys, text and binary, by every partitioner; `random` has no hash: there a key stays, wherever."""
    topic, group = lagging(kafka, [0] * 7)
    keys: list[Any] = [os.urandom(1 + number % 19) for number in range(700)] + [f"ключ-{n}" for n in range(300)]
    plain, smart = {}, {}
    bare = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": partitioner})
    with SmartProducer(configured(kafka, topic, group, settings={"partitioner": partitioner})) as producer:
        knows(producer, topic, set(range(7)))
        for key in keys:
            bare.produce(topic, b"plain", key)
            producer.produce(topic, b"smart", key)
            producer.produce(topic, b"smart", key)
        bare.flush(30)
    for record in kafka.records(topic):
        found = plain if record.value == b"plain" else smart
        found.setdefault(record.key, set()).add(record.partition)
    assert len(smart) == len(set(keys))
    assert all(len(places) == 1 for places in smart.values())
    if partitioner != "random":
        assert smart == plain


def test_an_explicit_partition_wins(kafka: Broker, lag: tuple[str, str]) -> None:
    """KSP-6: also a lagging one, with or without a key, which is not remembered."""
    topic, group = lag
    mark = os.urandom(4)
    with SmartProducer(configured(kafka, topic, group)) as producer:
        knows(producer, topic, {0, 1})
        producer.produce(topic, mark, partition=2)
        producer.produce(topic, mark, b"k", 3)
        assert len(producer._keys) == 0
    assert sorted(record.partition for record in kafka.records(topic) if record.value == mark) == [2, 3]


@pytest.mark.parametrize("lags", [[5000, 5000], [0, 0]])
def test_nothing_healthy_or_nothing_known_is_the_plain_producer(kafka: Broker, lags: list[int]) -> None:
    """KSP-5: all records arrive; where the collector can reach nobody, too."""
    topic, group = lagging(kafka, lags)
    monitor = None
    if lags == [0, 0]:
        monitor = SimpleNamespace(views={})
    with SmartProducer(configured(kafka, topic, group), health_manager=monitor) as producer:
        if monitor is None:
            knows(producer, topic, set())
        for number in range(100):
            producer.produce(topic, b"new", b"k%d" % number if number % 2 else None)
    records = new(kafka, topic)
    assert len(records) == 100
    keyed = [record for record in records if record.key]
    assert all(record.partition == HASHES["consistent_random"](record.key) % 2 for record in keyed)


def test_without_a_group_it_is_a_plain_producer(kafka: Broker, topic: str) -> None:
    """KSP-7: the library's own `produce`, no thread; likewise with smart_enabled=False."""
    before = threading.active_count()
    for config in (configured(kafka, topic, None), configured(kafka, topic, "g", smart_enabled=False)):
        producer = SmartProducer(config)
        assert type(producer).produce is Producer.produce
        assert isinstance(producer, SmartProducer)
        assert type(producer).__name__ == "SmartProducer"
        assert threading.active_count() == before
        producer.produce(topic, b"plain")
        assert producer.flush(30) == 0

    class Mine(SmartProducer):
        def produce(self, *args: Any, **kwargs: Any) -> None:
            super().produce(*args, **kwargs)

    mine = Mine(configured(kafka, topic, None))
    mine.produce(topic, value=b"plain", key="k")
    assert mine.flush(30) == 0
    assert len(kafka.records(topic)) == 3


def test_a_topic_made_anew_with_fewer_partitions(kafka: Broker) -> None:
    """KSP-5: a record that the plain producer would have delivered is delivered."""
    topic = kafka.create_topic(f"fewer-{os.urandom(4).hex()}", 2)
    views = {topic: _view({7: 1.0})}
    config = configured(kafka, topic, "g")
    producer = SmartProducer(config, health_manager=SimpleNamespace(views=views))
    failed: list[Any] = []
    producer.list_topics(topic, 20)
    note = lambda error, message: failed.append(error) if error else None  # noqa: E731
    producer.produce(topic, b"warm", partition=0)
    producer.flush(30)
    for number in range(20):
        producer.produce(topic, b"new", on_delivery=note)
        producer.produce(topic, b"new", b"k%d" % number, on_delivery=note)
    assert producer.flush(30) == 0
    assert failed == []
    assert len(kafka.records(topic)) == 41


def _view(scores: dict[int, float]) -> Any:
    from superclient.partitioning import View

    return View(0.0, float("inf"), dict.fromkeys(scores, 0), scores, frozenset(scores), dict.fromkeys(scores, 1.0))


def test_batches_of_messages_are_placed_too(kafka: Broker, lag: tuple[str, str]) -> None:
    """KSP-2, KSP-11: produce_batch, whose messages are left as they were."""
    topic, group = lag
    mark = os.urandom(4)
    with SmartProducer(configured(kafka, topic, group)) as producer:
        knows(producer, topic, {0, 1})
        messages = [{"value": mark, "key": b"k%d" % number} if number % 2 else {"value": mark} for number in range(100)]
        before = [dict(message) for message in messages]
        assert producer.produce_batch(topic, messages) == 100
        assert producer.produce_batch(topic, [{"value": mark}], 3) == 1
        assert messages == before
        with pytest.raises(TypeError):
            producer.produce_batch(topic, [b"no dict", {"value": mark}])
    counts = Counter(record.partition for record in kafka.records(topic) if record.value == mark)
    assert set(counts) <= {0, 1, 3}
    assert counts.total() == 101
    assert counts[3] == 1


def test_a_monitor_that_was_passed_in_is_left_alone(kafka: Broker, lag: tuple[str, str]) -> None:
    """KSP-21: neither started nor stopped, and asked while it runs."""
    topic, group = lag
    from superclient import KafkaAdminLagCollector

    monitor = PartitionHealthMonitor.embedded(KafkaAdminLagCollector(kafka.bootstrap, group), [topic], **HEALTH)
    with SmartProducer(configured(kafka, topic, None), health_manager=monitor) as producer:
        assert not monitor.is_running
        monitor.start()
        wait_for(lambda: monitor.get_healthy_partitions(topic) == [0, 1], "the monitor's first look")
        mark = os.urandom(4)
        for _ in range(50):
            producer.produce(topic, mark)
    assert monitor.is_running
    monitor.stop()
    assert {record.partition for record in kafka.records(topic) if record.value == mark} <= {0, 1}


def test_what_is_its_own_ends_with_it(kafka: Broker, lag: tuple[str, str]) -> None:
    """KSP-10, KSP-20: by `with`, by `close`, and when it is dropped."""
    topic, group = lag

    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("superclient")]

    wait_for(lambda: threads() == [], "the end of other tests' threads")
    with SmartProducer(configured(kafka, topic, group)):
        assert "superclient-health" in threads()
    assert "superclient-health" not in threads()
    producer = SmartProducer(configured(kafka, topic, group))
    producer.close()
    producer.close()
    assert "superclient-health" not in threads()
    producer = SmartProducer(configured(kafka, topic, group))
    gone = weakref.ref(producer)
    del producer
    assert gone() is None, "nothing that works for it keeps it"
    gc.collect()
    wait_for(lambda: threads() == [], "the end of the monitor's thread")


def test_a_mistake_is_the_librarys(kafka: Broker, topic: str) -> None:
    """KSP-11: an unknown setting raises what the plain producer raises, and leaves no thread."""
    wrong = {"bootstrap.servers": kafka.bootstrap, "no.such.setting": 1}
    with pytest.raises(KafkaException) as plain:
        Producer(wrong)
    with pytest.raises(KafkaException) as smart:
        SmartProducer(SmartProducerConfig(wrong, [topic], "g"))
    assert str(smart.value) == str(plain.value)
    assert not [thread for thread in threading.enumerate() if thread.name == "superclient-health"]


SAME = """
import sys
from confluent_kafka import Producer
if sys.argv[3] == "smart":
    from superclient import SmartProducer

    def made(settings):
        return SmartProducer({**settings, "topics": [topic], "consumer_group": "nobody"})
else:
    made = Producer
address, topic = sys.argv[1], sys.argv[2]
base = {"bootstrap.servers": address}


def tell(name, attempt):
    try:
        outcome = attempt()
    except BaseException as error:
        outcome = (type(error).__qualname__, str(error), error.__context__ is None, error.__cause__ is None)
    print(name, outcome)


def note(error, message):
    got.append((str(error), message.topic(), message.value(), message.key(), message.timestamp()[0] == 1))


got = []
producer = made({**base, "on_delivery": lambda error, message: got.append(("default", message.value()))})
producer.produce(topic, "text")
producer.produce(topic, b"by callback", callback=note)
producer.produce(topic, value=b"by on_delivery", key="key", on_delivery=note, timestamp=1234567, headers={"a": b"b"})
producer.produce(topic, b"both", b"", 0, note, note, 0, [("a", "b"), ("a", None)])
producer.produce(topic, None, b"tombstone", on_delivery=note)
producer.produce(topic)
tell("length", lambda: len(producer))
tell("flush", lambda: producer.flush(30))
tell("delivered", lambda: sorted(map(str, got)))
tell("length", lambda: (len(producer), bool(producer), producer.poll(0)))
tell("topics", lambda: list(producer.list_topics(topic, 20).topics))
tell("purge", lambda: producer.purge())

for mistake in [
    (1,), (topic, 1), (topic, bytearray(b"x")), (topic, b"", 1), (topic, b"", bytearray(b"k")), (topic, b"", "\\ud800"),
    (topic, b"", None, None), (topic, b"", None, "1"), (topic, b"", None, 99), (topic, b"", None, -1, None, None, None),
    (topic, b"", None, -1, None, None, 0, 5), (topic, b"x" * 2_000_000), (topic, b"", b"k", -1, 5, 5, 0, {1: 2}),
    (topic + "\\0", b""), (None, b""), ([], b""),
]:
    tell("mistake %r" % (mistake[1:],), lambda: made(base).produce(*mistake))

small = made({**base, "queue.buffering.max.messages": 5, "linger.ms": 60000})
tell("full", lambda: [small.produce(topic, b"x", key) for key in [None, b"a", "b"] * 9])
tell("length", lambda: (len(small), small.purge(), small.flush(30), len(small)))


def raises(error, message):
    raise ZeroDivisionError("mine")


producer.produce(topic, b"x", on_delivery=raises)
tell("callback raises", lambda: producer.flush(30))


def transaction():
    producer = made({**base, "transactional.id": topic + sys.argv[3]})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"transaction")
    producer.commit_transaction(30)
    producer.begin_transaction()
    producer.produce(topic, b"aborted", "key")
    producer.flush(30)  # an old librdkafka that aborts before the broker knows of the partition is refused
    producer.abort_transaction(30)
    return len(producer)


tell("transaction", transaction)


if hasattr(Producer, "close"):
    with made(base) as inside:
        inside.produce(topic, b"inside")
    tell("after with", lambda: inside.produce(topic, b"after"))
    tell("closed", lambda: (made(base).close(),))
"""


@pytest.mark.parametrize("version", ["2.3.0", "2.12.0", "2.16.1"])
@pytest.mark.parametrize("agent", ["true", "false"])
def test_it_stands_in_for_the_plain_producer(kafka: Broker, version: str, agent: str) -> None:
    """KSP-11, KSP-7: the same program with `Producer` and with SmartProducer prints the same and leaves the same
    records: values, keys, headers, timestamps, callbacks, lengths, transactions, mistakes; without and with the agent.
    """
    python = environment("3.11", [f"confluent-kafka=={version}"], extras=["smart"])
    env = {"SUPERSTREAM_DISABLED": agent}
    said, left = [], []
    for kind in ("plain", "smart"):
        topic = kafka.create_topic(f"same-{os.urandom(4).hex()}", 3)
        done = run_program(python, SAME, kafka.bootstrap, topic, kind, env=env)
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.replace(topic, "TOPIC"))
        left.append(sorted((repr(r.value), repr(r.key), repr(r.headers)) for r in kafka.records(topic)))
    assert said[1] == said[0]
    assert left[1] == left[0]


EXIT = """
import sys, threading
from superclient import SmartProducer
producer = SmartProducer({"bootstrap.servers": sys.argv[1], "topics": [sys.argv[2]], "consumer_group": sys.argv[3]})
for number in range(10):
    producer.produce(sys.argv[2], b"%d" % number)
if sys.argv[4] == "flush":
    producer.flush(30)
elif sys.argv[4] == "raise":
    producer.flush(30)
    raise SystemExit(3)
"""


@pytest.mark.parametrize("way", ["flush", "raise", "nothing"])
def test_a_program_ends_as_always(kafka: Broker, lag: tuple[str, str], way: str) -> None:
    """KSP-10, KSP-20: without `with` or `close`, the monitor at work: at once, silently, with its own exit status."""
    topic, group = lag
    root = Path(__file__).resolve().parents[2]
    env = {"SUPERSTREAM_DISABLED": "true", "PYTHONPATH": str(root)}
    done = run_program(Path(sys.executable), EXIT, kafka.bootstrap, topic, group, way, env=env, timeout=30)
    assert done.returncode == (3 if way == "raise" else 0)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
