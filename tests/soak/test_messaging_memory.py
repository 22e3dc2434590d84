"""A reader that is slower than its topic: nothing is dropped, and no more is held than there is room for."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from benchmarks.programs.orders import document
from superclient.messaging import KafkaListener
from tests.environments import environment, run_program
from tests.integration.messaging import consumer_factory, orders, run, wait_until
from tests.servers import Broker

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "programs" / "messaging_memory.py"
RECORDS = int(os.environ.get("MESSAGING_SOAK_RECORDS", "1000000"))
QUEUE = 1000
PAUSES = {"every": 500, "pause": 0.02}  # seconds after so many records: a third of what the listener could give
GROWTH, SLACK = 1.1, 5.0  # of the memory after a tenth of the records, and MB: the allocator's pages come and go


@pytest.mark.soak
def test_the_memory_of_a_million_records_is_flat(fresh_kafka: Broker) -> None:
    """SDM-12: a slow reader, a queue of 1,000: every record once, and no more memory than after the first tenth."""
    topic = fresh_kafka.create_topic("soak", 4)
    fill(fresh_kafka, topic, map(document, range(RECORDS)))
    python = environment(packages=["aiokafka"], extras=["messaging"])
    job = {"bootstrap": fresh_kafka.bootstrap, "topic": topic, "records": RECORDS, "way": "listener", "queue": QUEUE}
    quiet = {"SUPERSTREAM_DISABLED": "true"}
    done = run_program(python, PROGRAM, json.dumps({**job, **PAUSES}), env=quiet, timeout=3600)
    assert done.returncode == 0, done.stderr  # it counts and adds up what it reads
    said = json.loads(done.stdout)
    print([round(size) for size in said["samples"][::10]], "MB")
    assert said["held"] <= QUEUE
    assert said["most"] <= GROWTH * said["tenth"] + SLACK, said


def test_what_is_held_for_a_slow_reader(kafka: Broker, topic: str) -> None:
    """SDM-12: of 40 MB that wait, a queue of 1,000 values and what aiokafka fetches at a time are in memory."""
    count, size, fetched = 10_000, 4096, 256 << 10
    fill(kafka, topic, (b"%d " % number + b"." * size for number in range(count)))
    consumers = consumer_factory(kafka, max_partition_fetch_bytes=fetched)
    specs = orders(topic, parser=lambda record: record.value, kind=bytes)

    async def main() -> int:
        """The most that was in memory beyond what was there at the start, bytes."""
        async with KafkaListener(specs, consumer_factory=consumers) as listener:
            tracemalloc.start()
            stream = await listener.subscribe(bytes, queue_maxsize=QUEUE)
            first = await anext(stream)
            await wait_until(
                lambda: consumers.made[0].paused() or listener.stats().records == count, "a pause, or the end"
            )
            seen = [int(first.split()[0])]
            while len(seen) < count:
                seen.append(int((await anext(stream)).split()[0]))
            most = tracemalloc.get_traced_memory()[1]
        assert seen == list(range(count))
        return most

    try:
        most = run(main())
    finally:
        tracemalloc.stop()
    # The queue's values, what waits behind them, what is being parsed, and the answer on its way.
    assert most <= 2 * (QUEUE * size + 4 * fetched), most


def fill(kafka: Broker, topic: str, values: Iterable[bytes]) -> None:
    """Record n in partition n modulo the number of them."""
    partitions = kafka.topics()[topic]
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 2**20})
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % partitions)
        if number % 100 == 0:
            producer.poll(0)
    assert producer.flush(120) == 0
