"""AGT-34: whatever linger was recommended, a send that somebody waits for goes at once; a stream keeps its batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.environments import PATIENT, environment, run_program
from tests.servers import Broker

VERSIONS = {"kafka-python": ("2.0.6", "2.2.15", "2.3.0", "3.0.12"), "aiokafka": ("0.10.0", "0.12.0", "0.14.0")}
EXTRA = {"kafka-python": ("six",), "aiokafka": ("cramjam",)}
every_library = pytest.mark.parametrize(
    ("library", "version"), [(library, version) for library, versions in VERSIONS.items() for version in versions]
)
newest = pytest.mark.parametrize(
    ("library", "version"), [(library, versions[-1]) for library, versions in VERSIONS.items()]
)


def run(library: str, version: str, programs: dict[str, str], cluster: Broker, *args: str, **env: str) -> Any:
    """What the library's program says, in JSON; and what the agent said."""
    python: Path = environment(packages=[f"{library}=={version}", *EXTRA[library]])
    env = {**PATIENT, "SUPERSTREAM_MAX_LINGER_MS": "60000", **env}  # the ceiling would keep most of the linger away
    done = run_program(python, programs[library], cluster.bootstrap, *args, env=env, timeout=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def recommend(cluster: Broker, linger: int, *topics: str) -> None:
    """A linger for these topics, and nothing else."""
    cluster.create_system_topics()
    entry = {"potential_reduction_percentage": 50, "daily_writes_bytes": 1000}
    wanted = {"linger.ms": linger}
    entries = [{**entry, "topic_name": topic, "optimized_configuration": wanted} for topic in topics]
    cluster.publish_metadata({"topics_configuration": entries})


AWAITED = {
    "kafka-python": """
    import json, sys, threading, time
    from kafka import KafkaProducer
    producer = KafkaProducer(bootstrap_servers=sys.argv[1])
    topic, value = sys.argv[2], b"a value"
    producer.send(topic, value).get(30)
    started = time.monotonic()
    for _ in range(20):
        producer.send(topic, value).get(30)
    one_by_one = time.monotonic() - started
    started = time.monotonic()
    waiting = [threading.Thread(target=lambda: producer.send(topic, value).get(60)) for _ in range(100)]
    for one in waiting: one.start()
    for one in waiting: one.join()
    together = time.monotonic() - started
    started = time.monotonic()
    sent = [producer.send(topic, value) for _ in range(20)]
    for one in sent: one.get(30)
    later = time.monotonic() - started
    print(json.dumps([one_by_one, together, later]))
    producer.close()
    """,
    "aiokafka": """
    import asyncio, json, sys, time
    from aiokafka import AIOKafkaProducer
    topic, value = sys.argv[2], b"a value"
    async def main():
        producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
        await producer.start()
        await producer.send_and_wait(topic, value)
        ways = [
            lambda sent: sent,
            lambda sent: asyncio.gather(sent),
            lambda sent: asyncio.wait_for(sent, 60),
            lambda sent: asyncio.shield(sent),
            lambda sent: asyncio.wait([sent]),
        ]
        started = time.monotonic()
        for number in range(20):
            sent = await producer.send(topic, value)
            await asyncio.sleep(0)  # lets the sender see the batch before anybody waits for it
            assert isinstance(sent, asyncio.Future) and repr(sent).startswith("<Future pending"), repr(sent)
            await ways[number % len(ways)](sent)
        one_by_one = time.monotonic() - started
        started = time.monotonic()
        await asyncio.gather(*(producer.send_and_wait(topic, value) for _ in range(100)))
        together = time.monotonic() - started
        started = time.monotonic()
        sent = [await producer.send(topic, value) for _ in range(20)]
        batch = producer.create_batch()
        batch.append(key=None, value=value, timestamp=None)
        for one in sent:
            await one
        await (await producer.send_batch(batch, topic, partition=0))
        later = time.monotonic() - started
        print(json.dumps([one_by_one, together, later]))
        await producer.stop()
    asyncio.run(main())
    """,
}


@every_library
@pytest.mark.parametrize("linger", [100, 5000])
def test_an_awaited_send_does_not_wait_for_a_linger(
    cluster: Broker, topic: str, library: str, version: str, linger: int
) -> None:
    """AGT-34: one by one, a hundred at once, and waited for after all were sent."""
    recommend(cluster, linger, topic)
    env = {**PATIENT, "SUPERSTREAM_TOPICS_LIST": topic, "SUPERSTREAM_MAX_LINGER_MS": str(linger)}
    (one_by_one, together, later), err = run(library, version, AWAITED, cluster, topic, **env)
    assert f"linger.ms 0 -> {linger}" in err
    assert one_by_one < 20 * linger / 1000  # what twenty waits for the linger take at the least, on any machine
    assert together < max(3.0, linger / 1000 / 2)  # a hundred threads take their time; one after another, 100 lingers
    assert later < max(3.0, linger / 1000 / 2)
    assert cluster.log_bytes(topic).records == 1 + 20 + 100 + 20 + (library == "aiokafka")


MIXED = {
    "kafka-python": """
    import json, sys, threading, time
    from kafka import KafkaProducer
    producer = KafkaProducer(bootstrap_servers=sys.argv[1])
    stream, requests = sys.argv[2:]
    producer.send(requests, b"first").get(30)
    done = threading.Event()
    def background():
        while not done.is_set():
            for _ in range(3):
                producer.send(stream, b"x" * 100, partition=0)
            done.wait(0.002)
    streaming = threading.Thread(target=background)
    streaming.start()
    took = []
    for _ in range(60):
        started = time.monotonic()
        producer.send(requests, b"a request", partition=0).get(30)
        took.append(time.monotonic() - started)
        done.wait(0.02)
    done.set()
    streaming.join()
    producer.close()
    print(json.dumps(took))
    """,
    "aiokafka": """
    import asyncio, json, sys, time
    from aiokafka import AIOKafkaProducer
    stream, requests = sys.argv[2:]
    async def main():
        producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
        await producer.start()
        await producer.send_and_wait(requests, b"first")
        failed = []
        async def background():
            while True:
                for _ in range(3):
                    sent = await producer.send(stream, b"x" * 100, partition=0)
                    sent.add_done_callback(lambda done: done.exception() and failed.append(done))
                await asyncio.sleep(0.002)
        streaming = asyncio.ensure_future(background())
        took = []
        for _ in range(60):
            started = time.monotonic()
            await producer.send_and_wait(requests, b"a request", partition=0)
            took.append(time.monotonic() - started)
            await asyncio.sleep(0.02)
        streaming.cancel()
        await producer.stop()
        assert not failed
        print(json.dumps(took))
    asyncio.run(main())
    """,
}


@newest
def test_a_stream_beside_awaited_requests_keeps_fuller_batches(
    cluster: Broker, topic: str, library: str, version: str
) -> None:
    """AGT-34: the requests of a program are quick, and its stream, which nobody awaits, lingers all the same."""
    requests = cluster.create_topic(f"{topic}-requests")
    recommend(cluster, 500, topic, requests)
    filled = []
    for disabled in ("true", "false"):
        before = cluster.log_bytes(topic)
        took, _ = run(
            library,
            version,
            MIXED,
            cluster,
            topic,
            requests,
            SUPERSTREAM_TOPICS_LIST=f"{topic},{requests}",
            SUPERSTREAM_MAX_LINGER_MS="500",
            SUPERSTREAM_DISABLED=disabled,
        )
        after = cluster.log_bytes(topic)
        filled.append((after.records - before.records) / (len(after.batches) - len(before.batches)))
        assert sorted(took)[len(took) // 2] < 0.25
    assert filled[1] > 3 * filled[0]
