"""How long a producer's construction takes (aiokafka: with start()), and for how long it blocked the event loop.

Argument: JSON {library, bootstrap, settings, count, in_loop}. Constructs `count` producers, one after the other, all
kept. Prints each one's seconds, what it raised if anything, and the longest time for which a running event loop got no
turn meanwhile (aiokafka; the other two where `in_loop` asks for a construction on a loop's thread).
"""

import asyncio
import gc
import json
import os
import sys
import time

kept = []


def main() -> None:
    job = json.loads(sys.argv[1])
    make = {"kafka-python": kafka_python, "aiokafka": aiokafka, "confluent-kafka": confluent}[job["library"]](job)
    gc.disable()
    if job["library"] == "aiokafka" or job.get("in_loop"):
        print(json.dumps(asyncio.run(in_loop(make, job["count"]))))
    else:
        print(json.dumps(outside(make, job["count"])))
    sys.stdout.flush()
    os._exit(0)  # closing producers whose broker does not answer is not what is timed here


def kafka_python(job: dict):
    from kafka import KafkaProducer

    return lambda: KafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])


def confluent(job: dict):
    from confluent_kafka import Producer

    return lambda: Producer({"bootstrap.servers": job["bootstrap"], "log_level": 0, **job["settings"]})


def aiokafka(job: dict):
    from aiokafka import AIOKafkaProducer

    async def make():
        producer = AIOKafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
        kept.append(producer)
        await producer.start()
        return producer

    return make


def outside(make, count: int) -> dict:
    seconds, cpu, raised = [], [], ""
    for _ in range(count):
        start, used = time.perf_counter(), time.thread_time()
        try:
            kept.append(make())
        except Exception as error:
            raised = type(error).__name__
        seconds.append(time.perf_counter() - start)
        cpu.append(time.thread_time() - used)
    return {"seconds": seconds, "cpu": cpu, "raised": raised}


async def in_loop(make, count: int) -> dict:
    """Each construction with a task beside it that wants a turn all the time; how long it had to wait at most."""
    seconds, cpu, blocked, raised = [], [], [], ""
    for _ in range(count):
        gaps: list[float] = []
        ticker = asyncio.create_task(tick(gaps))
        await asyncio.sleep(0)
        start, used = time.perf_counter(), time.thread_time()
        try:
            made = make()
            kept.append(await made if asyncio.iscoroutine(made) else made)
        except Exception as error:
            raised = type(error).__name__
        seconds.append(time.perf_counter() - start)
        cpu.append(time.thread_time() - used)
        await asyncio.sleep(0)
        ticker.cancel()
        blocked.append(max(gaps, default=0.0))
    return {"seconds": seconds, "cpu": cpu, "raised": raised, "blocked": blocked}


async def tick(gaps: list[float]) -> None:
    last = time.perf_counter()
    while True:
        await asyncio.sleep(0.0005)
        now = time.perf_counter()
        gaps.append(now - last - 0.0005)
        last = now


if __name__ == "__main__":
    main()
