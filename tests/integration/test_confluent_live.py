"""confluent-kafka producers that change their settings while they are in use: nothing lost, doubled or out of order."""

from pathlib import Path
from typing import Any

import pytest

from tests.environments import environment, run_program, start_program
from tests.servers import Broker

LIVE = {"SUPERSTREAM_LIVE_SWAP": "true", "SUPERSTREAM_DEFAULTS": "off"}

# What the heartbeat does with a changed plan is called directly, so that twenty changes need no twenty intervals.
PRELUDE = """
import gc, os, sys, threading, time
import superclient.agent.adapters.confluent
sys.modules["superclient.agent.adapters.confluent.making"].INTERVAL_MS = 200
sys.modules["superclient.agent.adapters.confluent.coming"].RIPENING = 0
import confluent_kafka
from confluent_kafka import Producer, SerializingProducer
from superclient.agent import pipeline
address, topic, kind = sys.argv[1:]

class Mine(Producer):
    def produce(self, *args, **kwargs):
        return super().produce(*args, **kwargs)
    def poll(self, *args):
        return super().poll(*args)
    def flush(self, *args):
        return super().flush(*args)

KINDS = {"Producer": Producer, "subclass": Mine, "serializing": SerializingProducer}
make = KINDS.get(kind, Producer)

def wait_for(condition):
    end = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)

def changes(number):
    return {"compression.type": ("zstd", "lz4")[number % 2], "linger.ms": 5 + number % 2}

def tuned(producer, changes):
    producer._superclient.tend(producer)
    return producer._superclient.tune(producer, changes)

def resources():
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))

def fits(now, before):
    return now[0] <= before[0] and now[1] <= before[1]
"""

UNDER_LOAD = (
    PRELUDE
    + """
producer = make({"bootstrap.servers": address, "enable.idempotence": True})
producer.list_topics(topic, 20)
early, live = producer.produce, producer._superclient
wait_for(lambda: live.tune(producer, changes(-1)))
wait_for(lambda: live.tend(producer) or not live._left)
called, sent, going, polling = {}, {3: 1}, True, True

def note(error, message):
    assert error is None, error
    called[message.value()] = called.get(message.value(), 0) + 1

# A handle that has just come is connected to nobody for a moment: one that has delivered a record counts in full.
producer.produce(topic, key=b"3", value=b"3 0", on_delivery=note)
assert producer.flush(30) == 0
before = resources()
sys.setswitchinterval(1e-4)

def work(key):
    number = 0
    while going:
        for _ in range(100):
            send = early if number % 3 else producer.produce
            send(topic, key=b"%d" % key, value=b"%d %d" % (key, number), on_delivery=note)
            number += 1
        producer.flush(30)
        time.sleep(0.01)
    sent[key] = number

def serve():
    while polling:
        producer.poll(0.05)

serving = threading.Thread(target=serve)
threads = [threading.Thread(target=work, args=(key,)) for key in range(3)]
for thread in (serving, *threads):
    thread.start()
for number in range(20):
    wait_for(lambda: tuned(producer, changes(number)))
going = False
for thread in threads:
    thread.join()
print(producer.flush(30), len(producer))
polling = False
serving.join()
wait_for(lambda: live.tend(producer) or producer.poll(0) or not live._left)
print(len(called) == sum(sent.values()), set(called.values()), type(producer) is make)
wait_for(lambda: fits(resources(), before))
print(*sent.values())
"""
)


def _python(version: str = "2.16.1", python: str = "3.11") -> Path:
    return environment(python, [f"confluent-kafka=={version}"])


def _run(kafka: Broker, topic: str, program: str, kind: str = "Producer", version: str = "2.16.1", **env: str) -> str:
    done = run_program(_python(version), program, kafka.bootstrap, topic, kind, env={**LIVE, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stderr, done.stderr
    return done.stdout


def _in_order(kafka: Broker, topic: str) -> dict[int, int]:
    """How many records each key has, once they were found to be numbered from 0 without a gap."""
    found: dict[int, int] = {}
    for record in kafka.records(topic):
        key, number = (int(word) for word in (record.value or b"").split())
        assert number == found.get(key, 0), f"key {key}: {number} after {found.get(key, 0) - 1}"
        found[key] = number + 1
    return found


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("Producer", "2.3.0"),
        ("Producer", "2.12.0"),
        ("Producer", "2.16.1"),
        ("subclass", "2.3.0"),
        ("subclass", "2.16.1"),
        ("serializing", "2.16.1"),
    ],
)
def test_twenty_exchanges_under_load(cluster: Broker, kind: str, version: str) -> None:
    """AGT-35: an idempotent producer under three producing threads and a polling one gets other settings twenty times:
    every record once and in the order of its key, every callback once, the length right, no descriptor or thread left.
    """
    topic = cluster.create_topic(f"under-load-{kind.lower()}-{version}", 4)
    out = _run(cluster, topic, UNDER_LOAD, kind, version).splitlines()
    assert out[:2] == ["0 0", "True {1} True"]
    assert sorted(_in_order(cluster, topic).values()) == sorted(int(count) for count in out[2].split())
    assert {"zstd", "lz4"} <= cluster.log_bytes(topic).codecs


def test_a_producer_that_does_not_rest_keeps_its_settings(cluster: Broker, topic: str) -> None:
    """AGT-35: as long as a record is queued, no other handle takes over, and produce does not wait; the program's own
    flush is the moment at which it does.
    """
    program = (
        PRELUDE
        + """
producer = Producer({"bootstrap.servers": address, "linger.ms": 60000})
live, first = producer._superclient, producer._superclient.inner
producer.produce(topic, b"0 0")
print(tuned(producer, changes(0)), live.inner is first, len(producer))
producer.produce(topic, b"0 1")
wait_for(lambda: live.next.ready)
print(producer.poll(0), tuned(producer, changes(0)), live.inner is first, len(producer))
print(producer.flush(30), live.inner is first, tuned(producer, changes(0)), len(producer))
producer.produce(topic, b"0 2" * 50)
print(producer.flush(30))
"""
    )
    assert _run(cluster, topic, program) == "False True 1\n0 False True 2\n0 False True 0\n0\n"
    codecs = [batch.codec for batch in cluster.log_bytes(topic).batches for _ in range(batch.records)]
    assert codecs == ["none", "none", "zstd"]


@pytest.mark.parametrize("kind", ["Producer", "subclass"])
def test_a_produce_that_began_before_goes_where_it_belongs(cluster: Broker, topic: str, kind: str) -> None:
    """AGT-35: the handle is exchanged while a call's arguments are still being computed, and under a bound method that
    was taken before: the record goes to the new one, behind all that went before.
    """
    program = (
        PRELUDE
        + """
producer = make({"bootstrap.servers": address})
early = producer.produce

def later(value):
    producer.produce(topic, b"0 0")
    assert producer.flush(30) == 0
    wait_for(lambda: tuned(producer, changes(0)))
    old = producer._superclient._left[-1].handle
    producer.produce(topic, b"0 1")
    return value, old

value, old = later(b"0 2")
early(topic, value)
producer.produce(topic, b"0 3")
print(len(old), len(producer), producer.flush(30))
producer.produce(topic, (wait_for(lambda: tuned(producer, changes(1))), b"0 4")[1])
print(len(producer), producer.flush(30), len(producer))
"""
    )
    out = _run(cluster, topic, program, kind).splitlines()
    assert out == ["0 3 0", "1 0 0"]
    assert _in_order(cluster, topic) == {0: 5}


def test_an_asynchronous_producer(cluster: Broker, topic: str) -> None:
    """AGT-35, AGT-28: AIOProducer, whose batches come from an executor's threads: every future resolved, every record
    once, through five exchanges.
    """
    program = (
        PRELUDE
        + """
import asyncio
from confluent_kafka.aio import AIOProducer

async def main():
    producer = AIOProducer({"bootstrap.servers": address}, batch_size=20)
    inner, futures = producer._producer, []
    for number in range(5):
        asked = asyncio.get_running_loop().run_in_executor(None, wait_for, lambda: tuned(inner, changes(number)))
        while not asked.done():
            for _ in range(50):
                futures.append(await producer.produce(topic, value=b"%d" % len(futures)))
            await asyncio.sleep(0.01)
            await producer.poll(0)
        await asked
    await producer.flush()
    messages = await asyncio.gather(*futures)
    await producer.close()
    print(len(messages), len({message.value() for message in messages}), len(inner))

asyncio.run(main())
"""
    )
    sent, distinct, left = _run(cluster, topic, program).split()
    assert (distinct, left) == (sent, "0")
    assert sorted(int(record.value or b"") for record in cluster.records(topic)) == list(range(int(sent)))


def test_a_transactional_producer_is_never_touched(cluster: Broker, topic: str) -> None:
    """AGT-35: beside a producer that changes, a transactional one keeps its handle, and its transactions."""
    program = (
        PRELUDE
        + """
other = Producer({"bootstrap.servers": address})
producer = Producer({"bootstrap.servers": address, "transactional.id": topic})
tracked = pipeline.agent().tracker.find(producer)
producer.init_transactions(30)
for number in range(3):
    producer.begin_transaction()
    producer.produce(topic, b"0 %d" % number)
    print(tuned(producer, changes(0)), "produce" in vars(producer))
    producer.commit_transaction(30)
wait_for(lambda: tuned(other, changes(0)))
print(len(producer))
"""
    )
    assert _run(cluster, topic, program) == "False False\n" * 3 + "0\n"
    assert len([batch for batch in cluster.log_bytes(topic).batches if not batch.is_control]) == 3


@pytest.mark.parametrize("version", ["2.3.0", "2.16.1"])
def test_closed_forked_and_dropped_in_the_middle(cluster: Broker, topic: str, version: str) -> None:
    """AGT-35, AGT-28: a close, a fork or the end of a producer while another handle waits to take over: as without the
    agent, and nothing is left, without the garbage collector.
    """
    cluster.create_system_topics()
    program = (
        PRELUDE
        + """
import gc
warm = Producer({"bootstrap.servers": address})
warm.list_topics(topic, 20)
del warm
gc.disable()
wait_for(lambda: len(pipeline.agent().tracker.everyone()) == 0 or time.sleep(0.5) is None)
before, number = resources(), 0
for turn in range(12):
    producer = Producer({"bootstrap.servers": address, "linger.ms": 1})
    live = producer._superclient
    tuner = threading.Thread(target=lambda: [tuned(producer, changes(n)) for n in range(4)])
    tuner.start()
    for _ in range(50):
        producer.produce(topic, b"0 %d" % number)
        number += 1
        if turn % 3 == 0 and _ % 10 == 0:
            producer.poll(0)
    if turn % 3 == 1 and hasattr(producer, "close"):
        print(producer.close())
        try:
            producer.produce(topic, b"too late")
        except RuntimeError:
            pass
    elif turn == 2:
        producer.flush(30)
        child = os.fork()
        if not child:
            os._exit(0 if producer._superclient.exchange() is False else 1)
        assert os.waitpid(child, 0)[1] == 0
    producer.flush(30) if not (turn % 3 == 1 and hasattr(producer, "close")) else None
    tuner.join()
    producer.produce(topic, b"0 %d" % number) if turn % 3 != 1 else None
    number += turn % 3 != 1
    producer.flush(30) if turn % 3 != 1 else None
    del tuner, producer, live
wait_for(lambda: fits(resources(), before))
print(number)
"""
    )
    out = _run(cluster, topic, program, version=version).split()
    assert out[:-1] == (["True"] * 4 if version == "2.16.1" else [])
    assert _in_order(cluster, topic) == {0: int(out[-1])}


def test_statistics_that_nobody_serves_stop(cluster: Broker, topic: str) -> None:
    """AGT-28: a producer that may change in use and never polls has a handle without statistics after three emissions;
    its length never counts them.
    """
    program = (
        PRELUDE
        + """
producer = Producer({"bootstrap.servers": address})
live, lengths = producer._superclient, set()
producer.produce(topic, b"0 0")
print(producer.flush(30))
wait_for(lambda: lengths.add(len(producer)) or live.tend(producer) or live.making.emissions is None)
producer.produce(topic, b"0 1")
print(producer.flush(30), lengths <= {0, 1})
wait_for(lambda: live.tend(producer) or not live._left)
"""
    )
    assert _run(cluster, topic, program) == "0\n0 True\n"
    assert _in_order(cluster, topic) == {0: 2}


def test_statistics_that_wait_are_no_reason_to_stay(cluster: Broker, topic: str) -> None:
    """AGT-35: an idle producer that nobody polls has our statistics in its queue: it gets new settings all the same."""
    program = (
        PRELUDE
        + """
producer = Producer({"bootstrap.servers": address})
live = producer._superclient
producer.produce(topic, b"0 0")
print(producer.flush(30))
wait_for(lambda: len(live.inner) > 0)
wait_for(lambda: live.tune(producer, changes(0)))
producer.produce(topic, b"0 1")
print(producer.flush(30), live.making.emissions is not None)
"""
    )
    assert _run(cluster, topic, program) == "0\n0 True\n"
    assert _in_order(cluster, topic) == {0: 2}


def test_no_figures_are_lost_between_handles(cluster: Broker, topic: str) -> None:
    """AGT-41: a handle that was left is asked for its last figures: all records are counted, none twice."""
    program = (
        PRELUDE
        + """
producer = Producer({"bootstrap.servers": address})
tracked, live = pipeline.agent().tracker.find(producer), producer._superclient
for number in range(500):
    producer.produce(topic, b"0 %d" % number)
    if number % 100 == 99:
        producer.flush(30)
        wait_for(lambda: tuned(producer, changes(number // 100)))
def counted():
    producer.poll(0)
    tracked.adapter.refresh(tracked.counters)
    found = tracked.counters.topics.get(topic)
    return found is not None and found.records
wait_for(lambda: counted() == 500)
print(live._left and "left", tracked.counters.topics[topic].bytes_after)
"""
    )
    _, size = _run(cluster, topic, program).split()
    assert int(size) == pytest.approx(cluster.log_bytes(topic).bytes, rel=0.01)


CONTINUOUS = """
import sys, threading
from confluent_kafka import Producer
address, topic = sys.argv[1:]
producer = Producer({"bootstrap.servers": address, "client.id": "orders"})
going, number = True, 0
def wait_for_the_end():
    global going
    input()
    going = False
threading.Thread(target=wait_for_the_end).start()
while going:
    for _ in range(20):
        producer.produce(topic, key=b"k", value=b"0 %d" % number + b" " * 100)
        number += 1
    producer.flush(30)
print(number, len(producer))
"""


def _advise(cluster: Broker, topic: str, codec: str) -> None:
    entry: dict[str, Any] = {"topic_name": topic, "potential_reduction_percentage": 50, "daily_writes_bytes": 1_000_000}
    entry["optimized_configuration"] = {"compression.type": codec}
    cluster.publish_metadata({"report_interval_ms": 1000, "topics_configuration": [entry]})


def test_changed_metadata_reaches_a_busy_program(cluster: Broker, topic: str) -> None:
    """AGT-35: an unchanged program that never stops producing; the recommendation changes three times, and each is
    applied and reported within its interval.
    """
    cluster.create_system_topics()
    _advise(cluster, topic, "zstd")
    env = {**LIVE, "SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_METADATA_TIMEOUT_MS": "20000"}
    with start_program(_python(), CONTINUOUS, cluster.bootstrap, topic, env=env) as process:
        for codec in ("zstd", "lz4", "snappy", "zstd"):
            _advise(cluster, topic, codec)
            cluster.wait_for_reports(
                lambda reports, codec=codec: (
                    bool(reports) and reports[-1]["optimized_configuration"].get("compression.type") == codec
                )
            )
        stdout, stderr = process.communicate("go\n", timeout=60)
    sent, left = stdout.split()
    assert (process.returncode, left) == (0, "0"), stderr
    assert _in_order(cluster, topic) == {0: int(sent)}
    codecs = [batch.codec for batch in cluster.log_bytes(topic).batches]
    runs = [codec for codec, before in zip(codecs, ["none", *codecs], strict=False) if codec != before]
    assert runs == ["zstd", "lz4", "snappy", "zstd"]


@pytest.mark.parametrize("live", ["true", "false"])
def test_a_producer_that_is_dropped_while_its_records_linger(cluster: Broker, topic: str, live: str) -> None:
    """AGT-25, AGT-34: records that the agent's linger held when the program dropped their producer are delivered, as
    they would have been without the agent; then the producer is gone.
    """
    cluster.create_system_topics()
    entry = {"topic_name": topic, "potential_reduction_percentage": 50, "daily_writes_bytes": 1_000_000}
    linger = {"allow_linger": True, "optimized_configuration": {"linger.ms": 1000}}
    cluster.publish_metadata({"topics_configuration": [{**entry, **linger}]})
    program = """
import sys, time, weakref
from confluent_kafka import Producer
address, topic = sys.argv[1:]
producer = Producer({"bootstrap.servers": address, "on_delivery": lambda *args: print("called")})
producer.list_topics(topic, 20)
for number in range(10):
    producer.produce(topic, b"0 %d" % number)
time.sleep(0.5)
gone = weakref.ref(producer)
del producer
end = time.monotonic() + 30
while gone() is not None and time.monotonic() < end:
    time.sleep(0.01)
print(gone())
"""
    env = {"SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_METADATA_TIMEOUT_MS": "20000", "SUPERSTREAM_LIVE_SWAP": live}
    done = run_program(_python(), program, cluster.bootstrap, topic, env=env)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
    assert _in_order(cluster, topic) == {0: 10}
