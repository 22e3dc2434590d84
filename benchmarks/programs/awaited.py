"""How long a program waits for its records, one at a time and many at once, and beside a stream that nobody awaits.

Argument: JSON {library, bootstrap, topic, stream, settings, in_flight: {"1": turns, …}, requests}. A turn sends as many
keyed records as are to be in flight, then waits for all of them as a program of this library does; what is told is
the time from the call of a record to the moment that its waiter goes on. Then `requests` awaited records beside a
stream of three records every two milliseconds. Prints milliseconds, median and 99th percentile, by name.
"""

import asyncio
import gc
import json
import sys
import threading
import time

from events import events

TIMEOUT = 60
WARM_UP = 3  # turns


def main() -> None:
    job = json.loads(sys.argv[1])
    values = events(200)
    gc.disable()
    run = {"kafka-python": kafka_python, "aiokafka": aiokafka, "confluent-kafka": confluent}[job["library"]]
    taken = run(job, values)
    print(json.dumps({name: figure for each in taken.items() for name, figure in figures(*each)}), flush=True)


def figures(name: str, seconds: list[float]):
    ordered = sorted(seconds)
    yield f"{name} median", ordered[len(ordered) // 2] * 1000
    yield f"{name} p99", ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000


def plan(job: dict):
    """(name, records in flight, turns), a few turns that do not count before each."""
    return [(f"{count} in flight", int(count), turns) for count, turns in job["in_flight"].items()]


def synchronous(job: dict, values: list[bytes], turn, request, emit) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {}
    for name, count, turns in plan(job):
        taken[name] = []
        for number in range(turns + WARM_UP):
            found = turn([values[(number * count + one) % len(values)] for one in range(count)])
            taken[name] += found if number >= WARM_UP else []
            gc.collect(0)
    done = threading.Event()

    def background() -> None:
        while not done.is_set():
            for value in values[:3]:
                emit(value)
            done.wait(0.002)

    streaming = threading.Thread(target=background)
    streaming.start()
    taken["mixed"] = []
    for number in range(job["requests"]):
        taken["mixed"] += request(values[number % len(values)])
    done.set()
    streaming.join()
    return taken


def kafka_python(job: dict, values: list[bytes]) -> dict[str, list[float]]:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    topic, stream = job["topic"], job["stream"]

    def turn(batch: list[bytes]) -> list[float]:
        sent = [(time.perf_counter(), producer.send(topic, value, key=value[:48])) for value in batch]
        return [future.get(TIMEOUT) and time.perf_counter() - start for start, future in sent]

    taken = synchronous(job, values, turn, lambda value: turn([value]), lambda value: producer.send(stream, value))
    producer.close()
    return taken


def confluent(job: dict, values: list[bytes]) -> dict[str, list[float]]:
    from confluent_kafka import Producer

    # One producer for the stream: flush() waits for all that a producer has.
    producer, streaming = (Producer({"bootstrap.servers": job["bootstrap"], **job["settings"]}) for _ in range(2))
    topic, stream = job["topic"], job["stream"]

    def turn(batch: list[bytes]) -> list[float]:
        found: list[float] = []
        for value in batch:
            start = time.perf_counter()
            producer.produce(
                topic, value, value[:48], on_delivery=lambda *_, start=start: found.append(time.perf_counter() - start)
            )
        producer.flush(TIMEOUT)
        return found

    def emit(value: bytes) -> None:
        streaming.produce(stream, value)
        streaming.poll(0)

    taken = synchronous(job, values, turn, lambda value: turn([value]), emit)
    streaming.flush(TIMEOUT)
    return taken


def aiokafka(job: dict, values: list[bytes]) -> dict[str, list[float]]:
    return asyncio.run(_aiokafka(job, values))


async def _aiokafka(job: dict, values: list[bytes]) -> dict[str, list[float]]:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    await producer.start()
    topic, stream = job["topic"], job["stream"]

    async def request(value: bytes) -> float:
        start = time.perf_counter()
        await producer.send_and_wait(topic, value, key=value[:48])
        return time.perf_counter() - start

    async def background() -> None:
        while True:
            for value in values[:3]:
                await producer.send(stream, value)
            await asyncio.sleep(0.002)

    taken: dict[str, list[float]] = {}
    for name, count, turns in plan(job):
        taken[name] = []
        for number in range(turns + WARM_UP):
            batch = [values[(number * count + one) % len(values)] for one in range(count)]
            found = await asyncio.gather(*(request(value) for value in batch))
            taken[name] += found if number >= WARM_UP else []
            gc.collect(0)
    streaming = asyncio.ensure_future(background())
    taken["mixed"] = []
    for number in range(job["requests"]):
        taken["mixed"].append(await request(values[number % len(values)]))
    streaming.cancel()
    await producer.stop()
    return taken


if __name__ == "__main__":
    main()
