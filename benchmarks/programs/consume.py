"""Stands for a consumer group with one consumer for each partition, each of its own speed; says how long records took.

Argument: JSON {bootstrap, topic, group, rates (records/s that each partition's consumer gets done), commit (seconds
between its commits), records (how many will come, a first one that warms up among them), tail (seconds to go on for
after the last one)}. Says "ready", then one JSON line.

What a record's work takes is reckoned, not slept: its consumer begins with it when it is there and the one before it
is done, and needs 1 ÷ rate. So twelve consumers cost a fraction of a core and are never late. A partition's commits are
of what is done by then, each partition at a moment of its own. `waits`: produce timestamp to done, of all records, also
of those that are done only after the tail. Not in it: what a real consumer's poll loop adds.
"""

import json
import sys
import time
from collections import deque

from confluent_kafka import Consumer, KafkaException, TopicPartition

PATIENCE = 60.0  # seconds without a record before all have come


class Worker:
    """The consumer of one partition."""

    def __init__(self, rate: float, phase: float) -> None:
        self.cost, self.free, self.due = 1 / rate, 0.0, time.time() + phase
        self.pending: deque[float] = deque()  # when each of the records that are not committed is done
        self.position = 0

    def take(self, now: float) -> float:
        """A record is there; when it is done."""
        self.free = max(now, self.free) + self.cost
        self.pending.append(self.free)
        return self.free

    def done(self, now: float) -> bool:
        """Whether there is anything new to commit."""
        before = self.position
        while self.pending and self.pending[0] <= now:
            self.pending.popleft()
            self.position += 1
        return self.position > before


def main() -> None:
    job = json.loads(sys.argv[1])
    topic, every = job["topic"], job["commit"]
    consumer = Consumer(
        {
            "bootstrap.servers": job["bootstrap"],
            "group.id": job["group"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
        }
    )
    count = len(job["rates"])
    workers = [Worker(rate, every * (number + 1) / count) for number, rate in enumerate(job["rates"])]
    start = [TopicPartition(topic, number, 0) for number in range(count)]
    consumer.commit(offsets=start, asynchronous=False)
    consumer.assign(start)
    print("ready", flush=True)
    seen = follow(consumer, topic, workers, every, job["records"], job["tail"])
    consumer.close()
    print(json.dumps(figures(seen)), flush=True)


def follow(consumer, topic, workers, every, records, tail) -> list[tuple[float, float]]:
    """(produced, done) of each record, in seconds."""
    seen: list[tuple[float, float]] = []
    last = time.time()
    while True:
        found = consumer.consume(2000, 0.05)
        now = time.time()
        for message in found:
            if message.error() is not None:
                raise KafkaException(message.error())
            seen.append((message.timestamp()[1] / 1000, workers[message.partition()].take(now)))
        commit(consumer, topic, workers, every, now)
        last = now if found else last
        if len(seen) >= records and now > min(last + tail, max(worker.free for worker in workers) + every):
            return seen
        if now > last + PATIENCE:
            raise SystemExit(f"{len(seen)} of {records} records came")


def commit(consumer, topic, workers, every, now) -> None:
    due = []
    for number, worker in enumerate(workers):
        if now >= worker.due:
            worker.due += every
            if worker.done(now):
                due.append(TopicPartition(topic, number, worker.position))
    if due:
        consumer.commit(offsets=due, asynchronous=True)


def figures(seen: list[tuple[float, float]]) -> dict:
    """Without the first record, which warmed the producer up."""
    counted = sorted(seen)[1:]
    waits = sorted(done - produced for produced, done in counted)
    return {
        "records": len(seen),
        "median": waits[len(waits) // 2] * 1000,
        "p99": waits[int(len(waits) * 0.99)] * 1000,
        "makespan": max(done for _, done in counted) - counted[0][0],
    }


if __name__ == "__main__":
    main()
