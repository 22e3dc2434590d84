"""AGT-34: every way to wait that the libraries offer, at 1 to 1,000 records in flight, with a minute of linger advised.

A program that had to sit out the linger once would take a minute: each wait gives up after half of that. So nothing
here is timed, and a slow machine is as good as a fast one.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.environments import PATIENT, environment, run_program
from tests.integration.test_awaited_sends import recommend, run
from tests.servers import Broker

MINUTE = 60_000

WAYS = {
    "kafka-python": """
    import json, sys, time
    from kafka import KafkaProducer, __version__
    patience = {"request_timeout_ms": 120_000} if __version__ < "2.1" else {}
    producer = KafkaProducer(bootstrap_servers=sys.argv[1], **patience)
    topic, delivered, heard = sys.argv[2], 0, []
    def send(number, **more):
        return producer.send(topic, b"%d" % number, partition=number % 4, **more)
    def until(true):
        end = time.monotonic() + 30
        while not true():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.001)
    for count in (1, 10, 100, 1000):
        sent = [send(number) for number in range(count)]
        delivered += len([one.get(30) for one in sent])
    sent = [send(number) for number in range(10)]
    producer.flush(30)
    delivered += sum(one.succeeded() for one in sent)
    looks = [lambda one: one.is_done, lambda one: one.succeeded(), lambda one: one.failed() or one.is_done]
    for look in looks:
        sent = [send(number) for number in range(10)]
        for one in sent:
            until(lambda: look(one))
        delivered += len(sent)
    unheard = [producer.send(topic, b"nobody waits", partition=4).add_callback(heard.append) for _ in range(3)]
    for number in range(5):
        delivered += bool(send(number % 4).get(30))
    early = len(heard)
    producer.close()
    print(json.dumps({"delivered": delivered, "early": early, "late": len(heard)}))
    """,
    "aiokafka": """
    import asyncio, json, sys
    from aiokafka import AIOKafkaProducer
    topic = sys.argv[2]
    async def main():
        producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1], request_timeout_ms=120_000)
        await producer.start()
        delivered, heard = 0, []
        def send(number):
            return producer.send(topic, b"%d" % number, partition=number % 4)
        def wait_for(number):
            return producer.send_and_wait(topic, b"%d" % number, partition=number % 4)
        async def gathered(sent):
            return await asyncio.gather(*sent)
        async def waited(sent):
            return (await asyncio.wait(sent, timeout=30))[0]
        async def as_completed(sent):
            return [await one for one in asyncio.as_completed(sent)]
        async def shielded(sent):
            return [await asyncio.shield(one) for one in sent]
        async def timed(sent):
            return [await asyncio.wait_for(one, 30) for one in sent]
        async def grouped(sent):
            async def wait(one):
                return await one
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(wait(one)) for one in sent]
            return tasks
        async def in_turn(sent):
            return [await one for one in sent]
        async def chained(sent):
            done = asyncio.Event()
            for one in sent:
                one.add_done_callback(lambda _: all(one.done() for one in sent) and done.set())
            await producer.flush()
            await done.wait()
            return sent
        for count in (1, 10, 100, 1000):
            for collect in (gathered, waited, as_completed, shielded, timed, grouped, in_turn, chained):
                if count < 1000 or collect in (gathered, in_turn):
                    sent = [await send(number) for number in range(count)]
                    delivered += len(await asyncio.wait_for(collect(sent), 30))
            awaited = asyncio.gather(*(wait_for(number) for number in range(count)))
            delivered += len(await asyncio.wait_for(awaited, 30))
        sent = await send(0)
        batch = producer.create_batch()
        batch.append(key=None, value=b"in a batch", timestamp=None)
        await asyncio.wait_for(await producer.send_batch(batch, topic, partition=0), 30)
        delivered += 1 + sent.done()
        for _ in range(3):
            (await producer.send(topic, b"nobody waits", partition=4)).add_done_callback(heard.append)
        for number in range(5):
            delivered += bool(await asyncio.wait_for(wait_for(number % 4), 30))
        early = len(heard)
        await producer.stop()
        await asyncio.sleep(0)
        print(json.dumps({"delivered": delivered, "early": early, "late": len(heard)}))
    asyncio.run(main())
    """,
}
DELIVERED = {
    "kafka-python": 1111 + 10 + 30 + 5,
    "aiokafka": 8 * 111 + 2 * 1000 + 1111 + 2 + 5,
}
OLDEST_AND_NEWEST = pytest.mark.parametrize(
    ("library", "version"),
    [("kafka-python", "2.0.6"), ("kafka-python", "3.0.12"), ("aiokafka", "0.10.0"), ("aiokafka", "0.14.0")],
)


@OLDEST_AND_NEWEST
def test_every_way_to_wait_lets_the_record_go(cluster: Broker, topic: str, library: str, version: str) -> None:
    """AGT-34: whichever way is taken; a callback waits for nothing, and what has only that goes when it would."""
    wide = cluster.create_topic(f"{topic}-wide", 5)
    recommend(cluster, MINUTE, wide)
    said, err = run(library, version, WAYS, cluster, wide, SUPERSTREAM_TOPICS_LIST=wide)
    assert f"linger.ms 0 -> {MINUTE}" in err
    assert said == {"delivered": DELIVERED[library], "early": 0, "late": 3}
    assert cluster.log_bytes(wide).records == DELIVERED[library] + 3


COMPANY = {
    "kafka-python": """
    import json, sys, threading
    from kafka import KafkaProducer, __version__
    patience = {"request_timeout_ms": 120_000} if __version__ < "2.1" else {}
    producer = KafkaProducer(bootstrap_servers=sys.argv[1], **patience)
    topic = sys.argv[2]
    def turn():
        heard = threading.Semaphore(0)
        sent = [producer.send(topic, b"x", partition=partition) for partition in range(4)]
        for one in sent[1:]:
            one.add_callback(lambda _: heard.release())
        return sent, heard
    for _ in range(10):
        for one in turn()[0]: one.get(30)
    sent, heard = turn()
    sent[0].get(30)
    together = sum(heard.acquire(timeout=20) for _ in range(3))
    for _ in range(5):  # nobody asks for the others any more
        sent, heard = turn()
        sent[0].get(30)
    alone = sum(heard.acquire(blocking=False) for _ in range(3))
    producer.close()
    print(json.dumps([together, alone]))
    """,
    "aiokafka": """
    import asyncio, json, sys
    from aiokafka import AIOKafkaProducer
    topic = sys.argv[2]
    async def main():
        producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1], request_timeout_ms=120_000)
        await producer.start()
        async def turn():
            return [await producer.send(topic, b"x", partition=partition) for partition in range(4)]
        for _ in range(10):
            for one in await turn(): await asyncio.wait_for(one, 30)
        for _ in range(10):
            for one in await turn(): await one
        sent = await turn()
        await sent[0]
        end = asyncio.get_running_loop().time() + 20
        while not all(one.done() for one in sent) and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.001)
        together = sum(one.done() for one in sent[1:])
        for _ in range(5):  # nobody asks for the others any more
            sent = await turn()
            await sent[0]
        alone = sum(one.done() for one in sent[1:])
        await producer.stop()
        print(json.dumps([together, alone]))
    asyncio.run(main())
    """,
}


@OLDEST_AND_NEWEST
def test_what_is_awaited_together_goes_together(cluster: Broker, topic: str, library: str, version: str) -> None:
    """AGT-34: records of several partitions, awaited in turn, cost one round trip; once nobody asks for them, they wait
    for company as everything does."""
    wide = cluster.create_topic(f"{topic}-wide", 4)
    recommend(cluster, MINUTE, wide)
    (together, alone), _ = run(library, version, COMPANY, cluster, wide, SUPERSTREAM_TOPICS_LIST=wide)
    assert (together, alone) == (3, 0)


MIXED = {
    "kafka-python": """
    import json, sys
    from kafka import KafkaProducer, __version__
    patience = {"request_timeout_ms": 120_000} if __version__ < "2.1" else {}
    producer = KafkaProducer(bootstrap_servers=sys.argv[1], **patience)
    stream, requests = sys.argv[2:]
    for number in range(100):
        for _ in range(30):
            producer.send(stream, b"x" * 200)
        producer.send(requests, b"a request", partition=number % 2).get(30)
    producer.close()
    print(json.dumps("done"))
    """,
    "aiokafka": """
    import asyncio, json, sys
    from aiokafka import AIOKafkaProducer
    stream, requests = sys.argv[2:]
    async def main():
        producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1], request_timeout_ms=120_000)
        await producer.start()
        for number in range(100):
            for _ in range(30):
                await producer.send(stream, b"x" * 200)
            await asyncio.wait_for(producer.send_and_wait(requests, b"a request", partition=number % 2), 30)
        await producer.stop()
        print(json.dumps("done"))
    asyncio.run(main())
    """,
}


@OLDEST_AND_NEWEST
def test_an_awaited_request_leaves_a_stream_alone(cluster: Broker, topic: str, library: str, version: str) -> None:
    """AGT-34: an awaited send releases the batch that it is in; a stream's batches beside it fill up."""
    stream, requests = cluster.create_topic(f"{topic}-stream"), cluster.create_topic(f"{topic}-requests", 2)
    recommend(cluster, MINUTE, stream, requests)
    run(library, version, MIXED, cluster, stream, requests, SUPERSTREAM_TOPICS_LIST=f"{stream},{requests}")
    sizes = [batch.size for batch in cluster.log_bytes(stream).batches]
    assert len(sizes) > 20
    assert min(sizes[:-1]) > 15_000  # of 16,384; the last went at the close
    assert len(cluster.log_bytes(requests).batches) == 100


FLUSHING = """
import sys
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": sys.argv[1]})
delivered = []
for count in (1, 10, 100, 1000):
    for number in range(count):
        producer.produce(sys.argv[2], b"%d" % number, on_delivery=lambda error, record: delivered.append(error))
    assert producer.flush(30) == 0
print(len(delivered), set(delivered))
"""

WITH_FUTURES = """
import asyncio, sys
from confluent_kafka.aio import AIOProducer
async def main():
    producer = AIOProducer({"bootstrap.servers": sys.argv[1]})
    delivered = 0
    for count in (1, 10, 100, 1000):
        sent = [await producer.produce(sys.argv[2], value=b"%d" % number) for number in range(count)]
        delivered += len(await asyncio.wait_for(asyncio.gather(*sent), 30))
    await producer.close()
    print(delivered)
asyncio.run(main())
"""


@pytest.mark.parametrize("allowed", [True, False])
def test_flush_of_a_confluent_producer_is_not_held_up(cluster: Broker, topic: str, allowed: bool) -> None:
    """AGT-34: librdkafka's flush sends what lingers; without `allow_linger` there is no added linger at all."""
    advise(cluster, topic, allowed)
    done = _confluent(FLUSHING, cluster, topic)
    assert done.stdout == "1111 {None}\n", done.stderr
    assert (f"linger.ms 5 -> {MINUTE}" in done.stderr) == allowed, done.stderr


def test_futures_of_a_confluent_producer_are_not_held_up(cluster: Broker, topic: str) -> None:
    """AGT-34: nobody sees who waits for an AIOProducer's futures, so they are not lingered for."""
    advise(cluster, topic, allowed=False)
    done = _confluent(WITH_FUTURES, cluster, topic)
    assert done.stdout == "1111\n", done.stderr
    assert "linger.ms" not in done.stderr


def advise(cluster: Broker, topic: str, allowed: bool) -> None:
    """A minute of linger, with the operator's word that nobody waits, or without."""
    cluster.create_system_topics()
    entry = {"topic_name": topic, "potential_reduction_percentage": 50, "daily_writes_bytes": 1000}
    entry |= {"optimized_configuration": {"linger.ms": MINUTE}, "allow_linger": allowed}
    cluster.publish_metadata({"topics_configuration": [entry]})


def _confluent(program: str, cluster: Broker, topic: str) -> Any:
    python = environment(packages=["confluent-kafka==2.16.1"])
    env = {**PATIENT, "SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_MAX_LINGER_MS": str(MINUTE)}
    done = run_program(python, program, cluster.bootstrap, topic, env=env, timeout=90)
    assert done.returncode == 0, done.stderr
    return done
