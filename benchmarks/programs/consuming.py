"""Reads a topic from its beginning to its end in one of several ways; says how many records a second came.

Argument: JSON {bootstrap, topic, records, way}. Each way looks at every record's value. The clock runs from the first
tenth of the records to the last one: joining the group, and the first fetches, are not in it.
"""

import asyncio
import json
import os
import sys
import time

BATCH = 500  # records of one call, where a way has calls of many


def main() -> None:
    job = json.loads(sys.argv[1])
    clock = Clock(job["records"])
    way = WAYS[job["way"]]
    way(job, clock) if job["way"] in SYNC else asyncio.run(way(job, clock))
    print(json.dumps({"rate": clock.rate, "cpu": clock.cpu}))


class Clock:
    """Runs from the moment when `warm` records have come until `wanted` have."""

    def __init__(self, records: int) -> None:
        self.wanted, self.warm, self.skipped = records, records // 10, 0
        self.started = self.cpu_started = self.rate = self.cpu = 0.0

    def start(self, count: int) -> None:
        self.started, self.cpu_started, self.skipped = time.perf_counter(), time.process_time(), count

    def stop(self) -> None:
        timed = self.wanted - self.skipped
        self.rate = timed / (time.perf_counter() - self.started)
        self.cpu = (time.process_time() - self.cpu_started) / timed * 1e6  # µs a record


def settings(job: dict) -> dict:
    return {"bootstrap.servers": job["bootstrap"], "group.id": os.urandom(4).hex(), "auto.offset.reset": "earliest"}


def consume(job: dict, clock: Clock) -> None:
    from confluent_kafka import Consumer

    consumer = Consumer(settings(job))
    consumer.subscribe([job["topic"]])
    seen = size = 0
    while seen < clock.wanted:
        for message in (messages := consumer.consume(BATCH, 1.0)):
            size += len(message.value())
        seen += len(messages)
        if seen >= clock.warm and not clock.skipped:
            clock.start(seen)
    clock.stop()
    consumer.close()


def consume_messages(job: dict, clock: Clock) -> None:
    seen = size = 0
    with ours(job) as consumer:
        while seen < clock.wanted:
            for record in (records := consumer.consume_messages(BATCH, 1.0)):
                size += len(record.value)
            seen += len(records)
            if seen >= clock.warm and not clock.skipped:
                clock.start(seen)
        clock.stop()


def message_stream(job: dict, clock: Clock) -> None:
    seen = size = 0
    with ours(job) as consumer:
        for record in consumer.message_stream():
            size += len(record.value)
            seen += 1
            if seen == clock.warm:
                clock.start(seen)
            if seen == clock.wanted:
                break
        clock.stop()


async def theirs(job: dict):
    try:
        from confluent_kafka.aio import AIOConsumer
    except ImportError:
        from confluent_kafka.experimental.aio import AIOConsumer

    consumer = AIOConsumer(settings(job))
    await consumer.subscribe([job["topic"]])
    return consumer


async def aioconsumer(job: dict, clock: Clock) -> None:
    consumer = await theirs(job)
    seen = size = 0
    while seen < clock.wanted:
        for message in (messages := await consumer.consume(BATCH, 1.0)):
            size += len(message.value())
        seen += len(messages)
        if seen >= clock.warm and not clock.skipped:
            clock.start(seen)
    clock.stop()
    await consumer.close()


async def aioconsumer_poll(job: dict, clock: Clock) -> None:
    consumer = await theirs(job)
    clock.wanted, clock.warm = clock.wanted // 10, clock.warm // 10  # each record is a call in another thread
    seen = size = 0
    while seen < clock.wanted:
        message = await consumer.poll(1.0)
        if message is not None:
            size += len(message.value())
            seen += 1
            if seen == clock.warm:
                clock.start(seen)
    clock.stop()
    await consumer.close()


async def aconsume_messages(job: dict, clock: Clock) -> None:
    seen = size = 0
    async with ours(job) as consumer:
        while seen < clock.wanted:
            for record in (records := await consumer.aconsume_messages(BATCH, 1.0)):
                size += len(record.value)
            seen += len(records)
            if seen >= clock.warm and not clock.skipped:
                clock.start(seen)
        clock.stop()


async def amessage_stream(job: dict, clock: Clock) -> None:
    seen = size = 0
    async with ours(job) as consumer:
        async for record in consumer.amessage_stream():
            size += len(record.value)
            seen += 1
            if seen == clock.warm:
                clock.start(seen)
            if seen == clock.wanted:
                break
        clock.stop()


def ours(job: dict):
    from superclient.toolkit import ConsumerConfig, KafkaConsumer

    config = settings(job)
    return KafkaConsumer(ConsumerConfig(config["bootstrap.servers"], config["group.id"], [job["topic"]]))


SYNC = ("consume", "consume_messages", "message_stream")
WAYS = {
    "consume": consume,
    "consume_messages": consume_messages,
    "message_stream": message_stream,
    "AIOConsumer.consume": aioconsumer,
    "AIOConsumer.poll": aioconsumer_poll,
    "aconsume_messages": aconsume_messages,
    "amessage_stream": amessage_stream,
}

if __name__ == "__main__":
    main()
