"""Sends events at full speed, or at a rate, and prints how long it took; an ordinary program that knows no agent.

Argument: JSON {library, bootstrap, topic, records, rate (a second; 0: full speed), settings (the library's
own), gzip_level}.
Timed from the first record after a warm-up (one record, delivered: connections and topic metadata are there) to the
last acknowledgement. `cpu` is the process's own, all threads.
"""

import asyncio
import gzip
import json
import sys
import time
from itertools import cycle, islice

from events import events

TICK = 0.005  # seconds between bursts when a rate is asked for


def main() -> None:
    job = json.loads(sys.argv[1])
    values = list(islice(cycle(events(min(job["records"], 20_000))), job["records"]))
    if job.get("gzip_level"):
        force_level(job["gzip_level"])
    run = {"kafka-python": kafka_python, "aiokafka": aiokafka, "confluent-kafka": confluent}[job["library"]]
    seconds, cpu = run(job, values)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "records": len(values)}))


def force_level(level: int) -> None:
    """Both Python libraries write `gzip.GzipFile(…, compresslevel=9)`; there is no setting for it."""
    original = gzip.GzipFile

    def opened(fileobj=None, mode="r", compresslevel=9):
        return original(fileobj=fileobj, mode=mode, compresslevel=level)

    gzip.GzipFile = opened


class Watch:
    """Wall and CPU time since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self.wall, time.process_time() - self.cpu


def bursts(values: list[bytes], rate: int):
    """Slices of `values` that are due at each tick, with the seconds (since the start) when they are due."""
    size = max(1, round(rate * TICK))
    for start in range(0, len(values), size):
        yield start / rate, values[start : start + size]


def kafka_python(job: dict, values: list[bytes]) -> tuple[float, float]:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    send, topic = producer.send, job["topic"]
    send(topic, values[0])
    producer.flush()
    watch = Watch()
    if job["rate"]:
        for due, burst in bursts(values, job["rate"]):
            time.sleep(max(0.0, watch.wall + due - time.perf_counter()))
            for value in burst:
                send(topic, value)
    else:
        for value in values:
            send(topic, value)
    producer.flush()
    result = watch.read()
    producer.close()
    return result


def confluent(job: dict, values: list[bytes]) -> tuple[float, float]:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": job["bootstrap"], **job["settings"]})
    produce, poll, topic = producer.produce, producer.poll, job["topic"]
    produce(topic, values[0])
    producer.flush()
    watch = Watch()
    if job["rate"]:
        for due, burst in bursts(values, job["rate"]):
            poll(max(0.0, watch.wall + due - time.perf_counter()))
            time.sleep(max(0.0, watch.wall + due - time.perf_counter()))
            for value in burst:
                produce(topic, value)
    else:
        for value in values:
            while True:
                try:
                    produce(topic, value)
                    break
                except BufferError:  # the local queue is full: the usual way is to poll and try again
                    poll(0.01)
        poll(0)
    producer.flush()
    return watch.read()


def aiokafka(job: dict, values: list[bytes]) -> tuple[float, float]:
    return asyncio.run(_aiokafka(job, values))


async def _aiokafka(job: dict, values: list[bytes]) -> tuple[float, float]:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    await producer.start()
    send, topic = producer.send, job["topic"]
    await producer.send_and_wait(topic, values[0])
    watch = Watch()
    if job["rate"]:
        for due, burst in bursts(values, job["rate"]):
            await asyncio.sleep(max(0.0, watch.wall + due - time.perf_counter()))
            for value in burst:
                await send(topic, value)
    else:
        for value in values:
            await send(topic, value)
    await producer.flush()
    result = watch.read()
    await producer.stop()
    return result


if __name__ == "__main__":
    main()
