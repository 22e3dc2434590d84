"""Sends records at full speed, or at a rate, and prints how long it took; an ordinary program that knows no agent.

Argument: JSON {library, bootstrap, topic, records, rate (a second; 0: full speed), settings (the library's own)},
optionally {kind (of programs/records.py), keyed, awaited, tick (seconds between bursts), gap (seconds after each in
any case, however late the program is), settle (seconds between the warm-up and the first of them), gzip_level}; with
{jobs: [such, …]} one after the other. Prints a JSON line for each. Timed from the first record after a warm-up (one
record, delivered: connections and topic metadata are there) to the last acknowledgement. `cpu` is the process's own,
all threads. `awaited`: the program waits for every burst (what is due within 5 ms, at full speed ten records) before
the next, as one does that answers a request; `waited` is the median of those waits, in seconds. `raw`: the bytes of
values and keys.
"""

import asyncio
import gzip
import json
import sys
import time
from functools import cache, partial
from itertools import cycle, islice
from statistics import median

from records import keys, records

TICK = 0.005  # seconds between bursts when a rate is asked for
AWAITED = 10  # records that are awaited together at full speed
DISTINCT = 20_000
_GZIP = gzip.GzipFile


def main() -> None:
    asked = json.loads(sys.argv[1])
    for job in asked.get("jobs", [asked]):
        sent = prepared(job.get("kind", "json"), job["records"], bool(job.get("keyed")))
        force_level(job.get("gzip_level"))
        run = {"kafka-python": kafka_python, "aiokafka": aiokafka, "confluent-kafka": confluent}[job["library"]]
        watch = run(job, sent)
        raw = sum(len(part) for record in sent for part in record)
        said = {"seconds": watch.seconds, "cpu": watch.cpu, "records": len(sent), "raw": raw, "waited": watch.waited}
        print(json.dumps(said), flush=True)


@cache
def distinct(kind: str, count: int) -> list[bytes]:
    return records(kind, count)


def prepared(kind: str, count: int, keyed: bool) -> list[tuple[bytes, ...]]:
    """(value,) or (value, key): what is given to send() after the topic."""
    values = distinct(kind, min(count, DISTINCT))
    pairs = zip(values, keys(len(values)), strict=True) if keyed else ((value,) for value in values)
    return list(islice(cycle(pairs), count))


def force_level(level: int | None) -> None:
    """Both Python libraries write `gzip.GzipFile(…, compresslevel=9)`; there is no setting for it."""

    def opened(fileobj=None, mode="r", compresslevel=9):
        return _GZIP(fileobj=fileobj, mode=mode, compresslevel=level)

    gzip.GzipFile = opened if level else _GZIP


class Watch:
    """Wall and CPU time since it was made, and the waits that were noted."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.wall, self.cpu_then = time.perf_counter(), time.process_time()

    def stop(self) -> "Watch":
        self.seconds, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu_then
        self.waited = median(self.waits) if self.waits else None
        return self

    def until(self, due: float) -> float:
        """Seconds until that moment, at least 0."""
        return max(0.0, self.wall + due - time.perf_counter())


def bursts(sent: list, job: dict):
    """What is due at each tick, with the seconds (since the start) when it is due."""
    rate, begun = job["rate"], time.perf_counter()
    size = max(1, round(rate * job.get("tick", TICK))) if rate else AWAITED if job.get("awaited") else len(sent)
    for start in range(0, len(sent), size):
        earliest = time.perf_counter() - begun + job["gap"] if start and "gap" in job else 0.0
        yield max(earliest, start / rate if rate else 0.0), sent[start : start + size]


def synchronous(job: dict, sent: list, send, settle, rest) -> Watch:
    """The loop of the two libraries whose calls return at once: settle(handles) waits, rest(seconds) passes time."""
    watch, awaited = Watch(), bool(job.get("awaited"))
    for due, burst in bursts(sent, job):
        while seconds := watch.until(due):
            rest(seconds)
        if awaited:
            started = time.perf_counter()
            settle([send(*record) for record in burst])
            watch.waits.append(time.perf_counter() - started)
            continue
        for record in burst:
            while True:
                try:
                    send(*record)
                    break
                except BufferError:  # librdkafka's local queue is full: the usual way is to poll and try again
                    rest(0.01)
    settle([])
    return watch.stop()


def kafka_python(job: dict, sent: list) -> Watch:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    send = partial(producer.send, job["topic"])

    def settle(handles: list) -> None:
        for handle in handles:
            handle.get(30)
        if not handles:
            producer.flush()

    send(*sent[0])
    settle([])
    time.sleep(job.get("settle", 0))
    watch = synchronous(job, sent, send, settle, time.sleep)
    producer.close()
    return watch


def confluent(job: dict, sent: list) -> Watch:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": job["bootstrap"], **job["settings"]})
    send = partial(producer.produce, job["topic"])
    send(*sent[0])
    producer.flush()
    time.sleep(job.get("settle", 0))
    return synchronous(job, sent, send, lambda handles: producer.flush(), producer.poll)


def aiokafka(job: dict, sent: list) -> Watch:
    return asyncio.run(_aiokafka(job, sent))


async def _aiokafka(job: dict, sent: list) -> Watch:
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(bootstrap_servers=job["bootstrap"], **job["settings"])
    await producer.start()
    send = partial(producer.send, job["topic"])
    await (await send(*sent[0]))
    await asyncio.sleep(job.get("settle", 0))
    watch, awaited = Watch(), bool(job.get("awaited"))
    for due, burst in bursts(sent, job):
        if job["rate"]:
            await asyncio.sleep(watch.until(due))
        if awaited:
            started = time.perf_counter()
            await asyncio.gather(*[await send(*record) for record in burst])
            watch.waits.append(time.perf_counter() - started)
            continue
        for record in burst:
            await send(*record)
    await producer.flush()
    watch.stop()
    await producer.stop()
    return watch


if __name__ == "__main__":
    main()
