"""Produces records in one of several ways; says how many a second the brokers have acknowledged.

Argument: JSON {bootstrap, topic, records, size, way}. The clock runs from the first record to the last one's
acknowledgement, once the producer knows its topic; each way hears of every delivery, and makes sure that all arrived.
"""

import asyncio
import json
import sys
import time

BATCH = 10_000  # records of one produce_batch, and of one gather
SERVE_EVERY = 100  # records, after which bare produce serves its callbacks


def main() -> None:
    job = json.loads(sys.argv[1])
    value = b"x" * job["size"]
    way = WAYS[job["way"]]
    took = asyncio.run(way(job, value)) if asyncio.iscoroutinefunction(way) else way(job, value)
    print(json.dumps({"rate": job["records"] / took[0], "cpu": took[1] / job["records"] * 1e6}))


class Clock:
    """Seconds, and CPU seconds of the whole process, since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self.wall, time.process_time() - self.cpu


def settings(job: dict) -> dict:
    """What ProducerConfig makes of its defaults."""
    return {"bootstrap.servers": job["bootstrap"], "acks": "all", "retries": 3, "enable.idempotence": True}


def bare(job: dict, value: bytes) -> tuple[float, float]:
    from confluent_kafka import Producer

    producer, topic, delivered = Producer(settings(job)), job["topic"], 0

    def arrived(error: object, message: object) -> None:
        nonlocal delivered
        if error is None:
            delivered += 1

    producer.produce(topic, value, on_delivery=arrived)
    producer.flush()
    clock = Clock()
    for number in range(job["records"]):
        while True:
            try:
                producer.produce(topic, value, on_delivery=arrived)
                break
            except BufferError:
                producer.poll(0.1)
        if not number % SERVE_EVERY:
            producer.poll(0)
    producer.flush()
    took = clock.read()
    assert delivered == job["records"] + 1
    return took


def queued(job: dict, value: bytes) -> tuple[float, float]:
    with made(job) as producer:
        topic = job["topic"]
        producer.produce(topic, value)
        clock = Clock()
        for _ in range(job["records"]):
            producer.produce(topic, value, flush=False)
        assert producer.flush() == 0  # and it raises what was lost
        return clock.read()


def batched(job: dict, value: bytes) -> tuple[float, float]:
    with made(job) as producer:
        producer.produce(job["topic"], value)
        clock = Clock()
        for _ in range(job["records"] // BATCH):
            results = producer.produce_batch(job["topic"], [value] * BATCH)
            assert all(result.delivered for result in results)
        return clock.read()


def batched_once(job: dict, value: bytes) -> tuple[float, float]:
    with made(job) as producer:
        producer.produce(job["topic"], value)
        clock = Clock()
        results = producer.produce_batch(job["topic"], [value] * job["records"])
        took = clock.read()
        assert all(result.delivered for result in results)
        return took


def batched_queued(job: dict, value: bytes) -> tuple[float, float]:
    with made(job) as producer:
        producer.produce(job["topic"], value)
        clock = Clock()
        for _ in range(job["records"] // BATCH):
            producer.produce_batch(job["topic"], [value] * BATCH, flush=False)
        assert producer.flush() == 0
        return clock.read()


async def awaited(job: dict, value: bytes) -> tuple[float, float]:
    async with made(job) as producer:
        topic = job["topic"]
        await producer.aproduce(topic, value)
        clock = Clock()
        for _ in range(job["records"] // BATCH):
            results = await asyncio.gather(*(producer.aproduce(topic, value) for _ in range(BATCH)))
            assert all(result.delivered for result in results)
        return clock.read()


async def aio(job: dict, value: bytes) -> tuple[float, float]:
    from confluent_kafka.aio import AIOProducer

    producer, topic = AIOProducer(settings(job)), job["topic"]
    first = await producer.produce(topic, value)
    await producer.flush()
    await first
    clock = Clock()
    for _ in range(job["records"] // BATCH):
        futures = await asyncio.gather(*(producer.produce(topic, value) for _ in range(BATCH)))
        await producer.flush()
        assert all(message.error() is None for message in await asyncio.gather(*futures))
    took = clock.read()
    await producer.close()
    return took


def made(job: dict):
    from superclient.toolkit import KafkaProducer, ProducerConfig

    return KafkaProducer(ProducerConfig(job["bootstrap"]))


WAYS = {
    "produce with callbacks": bare,
    "produce(flush=False)": queued,
    "produce_batch": batched_once,
    "produce_batch, 10,000 each": batched,
    "produce_batch(flush=False)": batched_queued,
    "AIOProducer": aio,
    "aproduce": awaited,
}

if __name__ == "__main__":
    main()
