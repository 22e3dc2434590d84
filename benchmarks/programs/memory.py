"""What producers leave in memory, while they live and after they were closed.

Argument: JSON {library, bootstrap, topic, settings, live, churn, seconds}. Makes `live` producers, closes them,
then creates and closes up to `churn`, ten at a time, within `seconds`. Prints bytes per producer: of Python
objects (tracemalloc) and of the process's resident memory. Each figure is taken when nothing changes any more, for
reports of producers that were made or closed may be under way.
"""

import asyncio
import gc
import json
import os
import sys
import time
import tracemalloc

WARM_UP = 20  # producers; imports, caches and memory pools are there afterwards
AT_ONCE = 10  # created and closed at a time: kafka-python's close waits for its thread
STILL = 0.5  # seconds without change


def main() -> None:
    asyncio.run(measure(json.loads(sys.argv[1])))


async def measure(job: dict) -> None:
    make, close = {"kafka-python": kafka_python, "aiokafka": aiokafka, "confluent-kafka": confluent}[job["library"]](
        job
    )
    tracemalloc.start()
    for _ in range(WARM_UP // AT_ONCE):
        await asyncio.gather(*(once(make, close) for _ in range(AT_ONCE)))
    before = await settled()
    kept = [await make() for _ in range(job["live"])]
    alive = await settled()
    for producer in kept:
        await close(producer)
    del kept, producer
    start, churned = await settled(), 0
    end = time.monotonic() + job["seconds"]
    while churned < job["churn"] and time.monotonic() < end:
        await asyncio.gather(*(once(make, close) for _ in range(AT_ONCE)))
        churned += AT_ONCE
    after = await settled()
    live_objects, live_resident = [(a - b) / job["live"] for a, b in zip(alive, before, strict=True)]
    left_objects, left_resident = [(a - b) / max(1, churned) for a, b in zip(after, start, strict=True)]
    print(
        json.dumps(
            {
                "live_objects": live_objects / 1024,
                "live_resident": live_resident / 1024,
                "left_objects": left_objects / 1024,
                "left_resident": left_resident / 1024,
                "churned": churned,
            }
        )
    )


async def once(make, close) -> None:
    await close(await make())


async def settled() -> tuple[int, int]:
    """Bytes of Python objects and resident bytes, once they stay the same (within 1 kB) or after 6 s."""
    end = time.monotonic() + 6
    last = -1
    while time.monotonic() < end:
        gc.collect()
        now = tracemalloc.get_traced_memory()[0]
        if abs(now - last) < 1024:
            break
        last = now
        await asyncio.sleep(STILL)
    return tracemalloc.get_traced_memory()[0], resident()


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def kafka_python(job: dict):
    from kafka import KafkaProducer

    async def make():
        return await asyncio.to_thread(KafkaProducer, bootstrap_servers=job["bootstrap"], **job["settings"])

    async def close(producer):
        await asyncio.to_thread(producer.close)

    return make, close


def confluent(job: dict):
    from confluent_kafka import Producer

    async def make():
        return await asyncio.to_thread(
            Producer, {"bootstrap.servers": job["bootstrap"], "log_level": 0, **job["settings"]}
        )

    async def close(producer):
        await asyncio.to_thread(producer.close)

    return make, close


def aiokafka(job: dict):
    from aiokafka import AIOKafkaProducer

    async def make():
        producer = AIOKafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
        await producer.start()
        return producer

    async def close(producer):
        await producer.stop()

    return make, close


if __name__ == "__main__":
    main()
