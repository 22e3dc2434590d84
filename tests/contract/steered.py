"""One program per library whose records without a key may be steered; it does what it is told, line by line.

argv: bootstrap servers, topic. Environment: CONF, the library's own settings; KIND, the class of a confluent-kafka
producer. Lines: `burst COUNT EACH` (bursts of records without a key, each let go by a flush; answers how many failed),
`stream COUNT SIZE` (as many in one go), `keys COUNT`, `lags`, `produce` (what a confluent-kafka producer's is made of),
`deactivate`, `end`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import NewPartitions

from tests.contract.told import ROOT, Told
from tests.environments import PATIENT, start_program
from tests.servers import Broker, wait_for

COMMON = """
import json, os, sys
where, topic = sys.argv[1:3]
conf = json.loads(os.environ.get("CONF", "{}"))
def say(what):
    print(json.dumps(what), flush=True)
def asked(word, producer):
    if word in ("end", "ready"):
        return word
    import superclient
    if word == "deactivate":
        return superclient.deactivate()
    found = superclient.explain(producer)
    one, text = found["partitioner.class"], str(superclient.status())
    lags = [[each.group, each.max, each.median, each.switches, each.starved, each.why] for each in found.lags]
    return {"partitioner": one.value, "reason": one.reason, "lags": lags, "shown": "lag of group" in text}
"""

KAFKA_PYTHON = (
    COMMON
    + """
from kafka import KafkaProducer
producer = KafkaProducer(bootstrap_servers=where, **conf)
def settle(futures):
    failed = 0
    for future in futures:
        try:
            future.get(60)
        except Exception:
            failed += 1
    return failed
say("ready")
for line in sys.stdin:
    word, *numbers = line.split()
    numbers = list(map(int, numbers))
    if word == "burst":
        failed = 0
        for number in range(numbers[0]):
            futures = [producer.send(topic, b"%d" % number) for _ in range(numbers[1])]
            producer.flush()
            failed += settle(futures)
        say(failed)
    elif word == "stream":
        futures = [producer.send(topic, b"x" * numbers[1]) for _ in range(numbers[0])]
        producer.flush()
        say(settle(futures))
    elif word == "keys":
        say(settle([producer.send(topic, b"keyed", key=b"key-%d" % number) for number in range(numbers[0])]))
    else:
        say(asked(word, producer))
        if word == "end":
            break
producer.close()
"""
)

AIOKAFKA = (
    COMMON
    + """
import asyncio, ssl
from aiokafka import AIOKafkaProducer
if "cafile" in conf:
    conf["ssl_context"] = ssl.create_default_context(cafile=conf.pop("cafile"))
async def settle(futures):
    return sum(isinstance(one, Exception) for one in await asyncio.gather(*futures, return_exceptions=True))
async def main():
    producer = AIOKafkaProducer(bootstrap_servers=where, **conf)
    await producer.start()
    say("ready")
    while True:
        line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        word, *numbers = line.split()
        numbers = list(map(int, numbers))
        if word == "burst":
            failed = 0
            for number in range(numbers[0]):
                futures = [await producer.send(topic, b"%d" % number) for _ in range(numbers[1])]
                await producer.flush()
                failed += await settle(futures)
            say(failed)
        elif word == "stream":
            futures = [await producer.send(topic, b"x" * numbers[1]) for _ in range(numbers[0])]
            say(await settle(futures))
        elif word == "keys":
            say(await settle([await producer.send(topic, b"keyed", key=b"key-%d" % n) for n in range(numbers[0])]))
        else:
            say(asked(word, producer))
            if word == "end":
                break
    await producer.stop()
asyncio.run(main())
"""
)

CONFLUENT = (
    COMMON
    + """
import select
from confluent_kafka import Producer, SerializingProducer
class Derived(Producer):
    pass
class Deeper(Derived):
    def produce(self, topic, value, **more):
        super().produce(topic, value=value, **more)
producer = {"": Producer, "Serializing": SerializingProducer, "Derived": Derived, "Deeper": Deeper}[
    os.environ.get("KIND", "")]({"bootstrap.servers": where, **conf})
failures = []
def reported(error, message):
    if error is not None:
        failures.append(error.str())
def produce(value, **more):
    try:
        producer.produce(topic, value=value, on_delivery=reported, **more)
    except BufferError:
        producer.poll(0.1)
        produce(value, **more)
def settle():
    producer.flush()
    failed = len(failures)
    failures.clear()
    return failed
say("ready")
while True:
    while not select.select([sys.stdin], [], [], 0)[0]:
        producer.poll(0.02)
    word, *numbers = sys.stdin.readline().split()
    numbers = list(map(int, numbers))
    if word == "burst":
        failed = 0
        for number in range(numbers[0]):
            for _ in range(numbers[1]):
                produce(b"%d" % number)
            failed += settle()
        say(failed)
    elif word == "stream":
        for number in range(numbers[0]):
            produce(b"x" * numbers[1])
        say(settle())
    elif word == "keys":
        for number in range(numbers[0]):
            produce(b"keyed", key=b"key-%d" % number)
        say(settle())
    elif word == "produce":
        say(type(producer.produce).__name__)
    else:
        say(asked(word, producer))
        if word == "end":
            break
"""
)

SOURCES = {"kafka-python": KAFKA_PYTHON, "aiokafka": AIOKAFKA, "confluent-kafka": CONFLUENT}
QUICK = {"SUPERSTREAM_LAG_INTERVAL_MS": "1000"}


@contextmanager
def steered(
    library: str, bootstrap: str, topic: str, conf: Mapping[str, Any] | None = None, **env: str
) -> Iterator[Told]:
    """The library's program with the agent, once its producer is built."""
    variables = {"PYTHONPATH": str(ROOT), "CONF": json.dumps(conf or {}), **PATIENT, **QUICK, **env}
    with start_program(Path(sys.executable), SOURCES[library], bootstrap, topic, env=variables) as process:
        program = Told(process)
        assert program.answer() == "ready"
        yield program


def end(program: Told) -> str:
    """Let it end; what it said on stderr."""
    assert program("end") == "end"
    out, err = program.process.communicate(timeout=60)
    assert (out, program.process.returncode) == ("", 0), err
    return err


def commit(broker: Broker, group: str, topic: str, behind: Mapping[int, int] | None = None) -> None:
    """Let the group be at the end of each partition, or so many records behind."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group})
    try:
        ends = broker.end_offsets(topic)
        offsets = [TopicPartition(topic, p, max(0, end - (behind or {}).get(p, 0))) for p, end in ends.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
    finally:
        consumer.close()


def backlog(broker: Broker, topic: str, group: str, partitions: int = 6, slow: tuple[int, ...] = (0, 1)) -> str:
    """A topic whose group has 5000 records to read in the slow partitions and none in the others."""
    broker.create_topic(topic, partitions)
    producer = broker_producer(broker)
    for partition in range(partitions):
        for _ in range(5000 if partition in slow else 1):
            producer.produce(topic, b"before", partition=partition)
            producer.poll(0)
        producer.flush()
    commit(broker, group, topic, dict.fromkeys(slow, 5000))
    return topic


def broker_producer(broker: Broker) -> Any:
    """A bare producer."""
    from confluent_kafka import Producer

    return Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5})


def grow(broker: Broker, topic: str, partitions: int) -> None:
    """More partitions."""
    admin = broker.admin()  # which ends with its name
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(20)
    wait_for(lambda: broker.topics().get(topic) == partitions, "the new partitions")


def shares(broker: Broker, topic: str, before: Mapping[int, int]) -> dict[int, int]:
    """Records by partition since then."""
    return {partition: end - before.get(partition, 0) for partition, end in broker.end_offsets(topic).items()}


def known(program: Told, condition: Callable[[list[Any]], bool]) -> dict[str, Any]:
    """Wait until what the agent knows of the topic's lag is so: group, max, median, switches, starved, why."""
    found: dict[str, Any] = {}

    def so() -> bool:
        found.update(program("lags"))
        return len(found["lags"]) == 1 and condition(found["lags"][0])

    wait_for(so, "the agent to know the lag", timeout=40)
    return found
