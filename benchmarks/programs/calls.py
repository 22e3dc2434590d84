"""What one call of produce() or send() costs its caller, in nanoseconds.

Argument: JSON {library, bootstrap, topic, settings, bursts, size}. A burst of `size` calls is timed, then delivered
outside the timing, and again. The clock is the CPU time of the calling thread: what the library's sender thread does
meanwhile, and waiting for it, is not the call's cost. A burst nearly fills one batch per partition: no call waits for
room. In aiokafka, where everything is one thread, a burst that does not wait does not give way to the sender: it is
the calls alone too.

On a shared machine even CPU time varies twofold within seconds (caches, hyper threads). So before and after each burst
a piece of pure Python, always the same, is timed as well: `relative` is the median of call ÷ that piece.
"""

import asyncio
import gc
import json
import sys
import time
from statistics import median

from events import events

WARM_UP = 6  # bursts


def main() -> None:
    job = json.loads(sys.argv[1])
    run = {"kafka-python": kafka_python, "aiokafka": aiokafka, "confluent-kafka": confluent}[job["library"]]
    gc.disable()  # a collection falls into one arm's burst or another's by chance
    taken = run(job, events(job["size"]))
    calls, pieces = zip(*taken[WARM_UP:], strict=True)
    relative = median(call / piece for call, piece in zip(calls, pieces, strict=True)) / job["size"]
    print(json.dumps({"relative": relative, "piece": median(pieces)}))


def kafka_python(job: dict, values: list[bytes]) -> list[tuple[int, int]]:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    topic = job["topic"]
    return bursts(job, lambda: [producer.send(topic, value) for value in values], producer.flush)


def confluent(job: dict, values: list[bytes]) -> list[tuple[int, int]]:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": job["bootstrap"], **job["settings"]})
    topic = job["topic"]
    return bursts(job, lambda: [producer.produce(topic, value) for value in values], producer.flush)


def bursts(job: dict, burst, deliver) -> list[tuple[int, int]]:
    taken = []
    for _ in range(job["bursts"] + WARM_UP):
        before = piece()
        start = time.thread_time_ns()
        burst()
        end = time.thread_time_ns()
        taken.append((end - start, before + piece()))
        deliver()
        gc.collect(0)
    return taken


def piece() -> int:
    """CPU nanoseconds of some hundred attribute look-ups, calls, dict and bytes operations."""
    start = time.thread_time_ns()
    seen: dict[bytes, int] = {}
    for number in range(400):
        key = b"%d" % (number % 50)
        seen[key] = seen.get(key, 0) + len(key.strip())
    return time.thread_time_ns() - start


def aiokafka(job: dict, values: list[bytes]) -> list[tuple[int, int]]:
    return asyncio.run(_aiokafka(job, values))


async def _aiokafka(job: dict, values: list[bytes]) -> list[tuple[int, int]]:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    await producer.start()
    topic = job["topic"]
    taken = []
    for _ in range(job["bursts"] + WARM_UP):
        before = piece()
        start = time.thread_time_ns()
        for value in values:
            await producer.send(topic, value)
        end = time.thread_time_ns()
        taken.append((end - start, before + piece()))
        await producer.flush()
        gc.collect(0)
    await producer.stop()
    return taken


if __name__ == "__main__":
    main()
