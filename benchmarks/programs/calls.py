"""What one call of produce() or send() costs its caller, in nanoseconds.

Argument: JSON {library, bootstrap, topic, settings, bursts, size}. A burst of `size` sends is timed, then delivered
outside the timing, and again; the median burst counts. The clock is the CPU time of the calling thread: what the
library's sender thread does meanwhile, and waiting for it, is not the call's cost, and other programs' share of the
machine is not either. A burst fits into one batch per partition, so no call waits for room. In aiokafka, where
everything is one thread, a burst that does not wait does not give way to the sender: it is the calls alone too.
"""

import asyncio
import gc
import json
import sys
import time
from statistics import median

from events import events

WARM_UP = 50  # bursts


def main() -> None:
    job = json.loads(sys.argv[1])
    run = {"kafka-python": kafka_python, "aiokafka": aiokafka, "confluent-kafka": confluent}[job["library"]]
    gc.disable()  # a collection falls into one arm's burst or another's by chance
    taken = run(job, events(job["size"]))
    print(json.dumps({"ns": median(taken[WARM_UP:]) / job["size"]}))


def kafka_python(job: dict, values: list[bytes]) -> list[int]:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    send, topic = producer.send, job["topic"]
    return bursts(job, lambda: [send(topic, value) for value in values], producer.flush)


def confluent(job: dict, values: list[bytes]) -> list[int]:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": job["bootstrap"], **job["settings"]})
    produce, topic = producer.produce, job["topic"]
    return bursts(job, lambda: [produce(topic, value) for value in values], producer.flush)


def bursts(job: dict, burst, deliver) -> list[int]:
    taken = []
    for _ in range(job["bursts"] + WARM_UP):
        start = time.thread_time_ns()
        burst()
        taken.append(time.thread_time_ns() - start)
        deliver()
        gc.collect(0)
    return taken


def aiokafka(job: dict, values: list[bytes]) -> list[int]:
    return asyncio.run(_aiokafka(job, values))


async def _aiokafka(job: dict, values: list[bytes]) -> list[int]:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    await producer.start()
    send, topic = producer.send, job["topic"]
    taken = []
    for _ in range(job["bursts"] + WARM_UP):
        start = time.thread_time_ns()
        for value in values:
            await send(topic, value)
        taken.append(time.thread_time_ns() - start)
        await producer.flush()
        gc.collect(0)
    await producer.stop()
    return taken


if __name__ == "__main__":
    main()
