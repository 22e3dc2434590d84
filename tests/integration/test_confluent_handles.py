"""What stands behind an unchanged program's confluent producer: exchanged, counted and left without a trace."""

from pathlib import Path

import pytest

from tests.environments import environment, run_program
from tests.servers import Broker

# Statistics and the heartbeat's ticks in fractions of a second, so that minutes need not be waited for.
HURRY = """
import sys
import superclient.agent.adapters.confluent
sys.modules["superclient.agent.adapters.confluent.making"].INTERVAL_MS = 200
sys.modules["superclient.agent.adapters.confluent.handles"].SETTLING = 0.1
import superclient.agent.rounds
superclient.agent.rounds.LEARNING_TICK = 0.1
import os, threading, time
def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
from confluent_kafka import Producer
address, topic = sys.argv[1:]
"""


def _python(version: str = "2.16.1", *more: str) -> Path:
    return environment("3.11", [f"confluent-kafka=={version}", *more])


def _run(python: Path, program: str, kafka: Broker, topic: str, **env: str) -> str:
    done = run_program(python, program, kafka.bootstrap, topic, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("version", ["2.3.0", "2.12.0", "2.16.1"])
def test_length_does_not_count_statistics(cluster: Broker, topic: str, version: str) -> None:
    """AGT-28: a transaction-free producer that is not polled: its length is that of its messages, at any moment."""
    program = (
        HURRY
        + """
producer = Producer({"bootstrap.servers": address, "linger.ms": 60000})
messages = Producer.__mro__[1].__len__
producer.produce(topic, b"one")
end = time.monotonic() + 1.5
lengths, counted = set(), 0
while time.monotonic() < end:
    lengths.add(len(producer))
    counted = max(counted, messages(producer))
    time.sleep(0.001)
print(counted > 3, producer.poll(0) > 0, len(producer))
print(lengths - {2}, min(lengths))  # two: an emission a moment early by our clock
"""
    )
    out = _run(_python(version), program, cluster, topic)
    assert out == "True True 1\n{1} 1\n"


@pytest.mark.parametrize("version", ["2.3.0", "2.16.1"])
def test_statistics_stop_where_nobody_serves_them(cluster: Broker, topic: str, version: str) -> None:
    """AGT-28: after three emissions that nobody polled, the producer has a handle without statistics; the one it had is
    kept empty. What is produced meanwhile, in order, arrives once.
    """
    cluster.create_system_topics()
    program = (
        HURRY
        + """
producer = Producer({"bootstrap.servers": address})
for number in range(50):
    producer.produce(topic, b"%d" % number, key=b"k")
print(producer.flush(30))
wait_for(lambda: type(producer) is not Producer or "produce" in vars(producer))
for number in range(50, 5000):
    producer.produce(topic, b"%d" % number, key=b"k")
    if number % 1000 == 0:
        producer.flush(30)
producer.flush(30)
wait_for(lambda: "produce" in vars(producer) and type(producer) is Producer)
for number in range(5000, 5100):
    producer.produce(topic, b"%d" % number, key=b"k")
print(producer.flush(30), len(producer))
inner = producer.produce.__self__
end = time.monotonic() + 1.5
worst = 0
while time.monotonic() < end:
    worst = max(worst, len(inner))
    time.sleep(0.05)
print(len(producer), worst)
"""
    )
    assert _run(_python(version), program, cluster, topic) == "0\n0 0\n0 0\n"
    assert [int(record.value or b"") for record in cluster.records(topic)] == list(range(5100))


@pytest.mark.parametrize("version", ["2.3.0", "2.16.1"])
def test_dropped_producers_leave_no_descriptor(cluster: Broker, topic: str, version: str) -> None:
    """AGT-28: ten producers made and dropped are gone at once, without the garbage collector: no cycle holds them."""
    cluster.create_system_topics()  # an error on the way would hold a client of the agent's until it is collected
    program = (
        HURRY
        + """
import gc
gc.disable()
def descriptors():
    return len(os.listdir("/proc/self/fd"))
before = descriptors()
for _ in range(10):
    producer = Producer({"bootstrap.servers": address})
    producer.produce(topic, b"x")
    producer.flush(30)
    del producer
wait_for(lambda: descriptors() <= before)
print("gone")
"""
    )
    assert _run(_python(version), program, cluster, topic) == "gone\n"


def test_a_loop_is_not_blocked(cluster: Broker, topic: str) -> None:
    """AGT-23, AGT-28: AIOProducer builds its producer on the loop's thread: nothing waits for the metadata there."""
    program = (
        HURRY
        + """
import asyncio
from confluent_kafka.aio import AIOProducer
async def main():
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    producer = AIOProducer({"bootstrap.servers": address})
    built = time.perf_counter() - began
    futures = [await producer.produce(topic, value=b"%d" % number) for number in range(100)]
    await producer.flush()
    messages = await asyncio.gather(*futures)
    await producer.close()
    print(built < 0.25, len(messages), sum(message.error() is None for message in messages))
asyncio.run(main())
"""
    )
    out = _run(_python(), program, cluster, topic, SUPERSTREAM_METADATA_TIMEOUT_MS="30000")
    assert out == "True 100 100\n"
    assert cluster.log_bytes(topic).records == 100


@pytest.mark.parametrize("first", ["agent", "instrumentation"])
def test_opentelemetry_instruments_it_as_well(cluster: Broker, topic: str, first: str) -> None:
    """AGT-27: OpenTelemetry's subclass and proxy on top of ours, whichever came first: spans, and records delivered."""
    python = _python(
        "2.12.0", "opentelemetry-instrumentation-confluent-kafka", "opentelemetry-sdk", "opentelemetry-instrumentation"
    )
    program = """
import os, sys
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
address, topic = sys.argv[1:]
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
ConfluentKafkaInstrumentor().instrument(tracer_provider=provider)
if os.environ.pop("SUPERSTREAM_DISABLED", None):
    from superclient import _boot
    _boot.activate()
import confluent_kafka
producer = confluent_kafka.Producer({"bootstrap.servers": address, "client.id": "traced"})
producer.produce(topic, b"x")
producer.poll(0)
producer.flush(30)
wrapped = ConfluentKafkaInstrumentor.instrument_producer(
    confluent_kafka.cimpl.Producer({"bootstrap.servers": address}), provider
)
wrapped.produce(topic, b"y")
print(wrapped.flush(), len(spans.get_finished_spans()))
"""
    env = {"SUPERSTREAM_DISABLED": "true"} if first == "instrumentation" else {}
    assert _run(python, program, cluster, topic, **env) == "0 2\n"
    assert cluster.log_bytes(topic).records == 2


def test_it_says_nothing_on_stdout_and_leaves_without_a_trace(cluster: Broker, topic: str) -> None:
    """AGT-28: ten records, no flush, stdout closed: exit status 0, nothing on stderr but the agent's own lines."""
    program = """
import sys
from confluent_kafka import Producer
address, topic = sys.argv[1:]
producer = Producer({"bootstrap.servers": address, "log_level": 0})
for number in range(10):
    producer.produce(topic, b"%d" % number)
producer.flush(30)
sys.stdout.close()
"""
    done = run_program(_python(), program, cluster.bootstrap, topic)
    assert (done.returncode, done.stdout) == (0, "")
    assert all(line.startswith("[superstream] ") for line in done.stderr.splitlines()), done.stderr


@pytest.mark.parametrize("version", ["2.3.0", "2.16.1"])
def test_a_statistics_callback_of_its_owners_keeps_nothing_alive(cluster: Broker, topic: str, version: str) -> None:
    """AGT-25: what waits for the last report holds the figures, not the program's callback and all that hangs on it."""
    program = (
        HURRY
        + """
import gc, weakref
class Owner:
    def __init__(self):
        self.producer = Producer({
            "bootstrap.servers": address, "statistics.interval.ms": 100, "stats_cb": self.told, "error_cb": self.told
        })
    def told(self, text):
        pass
owner = Owner()
owner.producer.produce(topic, b"x")
owner.producer.flush(30)
owner.producer.poll(0.3)
gone = weakref.ref(owner)
del owner
gc.collect()
print(gone())
"""
    )
    assert _run(_python(version), program, cluster, topic) == "None\n"


def test_many_partitions_that_are_never_polled_cost_what_they_cost(cluster: Broker) -> None:
    """AGT-28: 400 partitions, a hundred emissions nobody serves: memory stays where it was after the first few."""
    topic = cluster.create_topic("four-hundred", 400)
    program = (
        HURRY
        + """
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
producer = Producer({"bootstrap.servers": address, "queue.buffering.max.ms": 0})
for partition in range(400):
    producer.produce(topic, b"x", partition=partition)
print(producer.flush(60))
wait_for(lambda: "produce" in vars(producer) and type(producer) is Producer)
time.sleep(1)
before = resident()
time.sleep(6)
print(resident() - before < 3000, len(producer))
"""
    )
    try:
        assert _run(_python(), program, cluster, topic) == "0\nTrue 0\n"
    finally:
        cluster.delete_topics(topic)


@pytest.mark.parametrize(("version", "turns"), [("2.3.0", 10), ("2.16.1", 60)])  # 2.3.0 takes a second to close
def test_an_exchange_in_the_middle_of_the_first_produce(cluster: Broker, topic: str, version: str, turns: int) -> None:
    """AGT-23, AGT-35: whether the first produce or the exchange comes first, order holds and nothing is lost."""
    program = """
import random, sys, threading, time
from confluent_kafka import Producer
address, topic, turns = sys.argv[1:]
for turn in range(int(turns)):
    got, going = [], True
    producer = Producer({"bootstrap.servers": address, "linger.ms": 1, "error_cb": lambda error: None})
    handles = producer._superclient

    def note(error, message):
        got.append((message.offset(), error, message.value()))

    def serve():
        while going:
            producer.poll(0.01)

    def produce():
        time.sleep(random.random() * 0.004)
        for number in range(200):
            producer.produce(topic, b"%d" % number, partition=0, on_delivery=note)

    def exchange():
        time.sleep(random.random() * 0.002)
        handles.tune(producer, {"linger.ms": 2})

    serving = threading.Thread(target=serve)
    threads = [threading.Thread(target=work) for work in (produce, exchange)]
    for thread in (serving, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    handles.tend(producer)
    producer.flush(30)
    going = False
    serving.join()
    assert [int(value) for _, error, value in sorted(got) if error is None] == list(range(200)), len(got)
    assert (type(producer) is Producer, len(producer)) == (True, 0)
print("done")
"""
    env = {"SUPERSTREAM_METADATA_TIMEOUT_MS": "0", "SUPERSTREAM_DEFAULTS": "off"}
    done = run_program(_python(version), program, cluster.bootstrap, topic, str(turns), env=env)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stdout + done.stderr
