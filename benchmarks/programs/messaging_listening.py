"""Reads a topic from its beginning to its end in one of several ways, each record parsed; says how many came a second.

Argument: JSON {bootstrap, topic, records, way}. The clock runs from the first tenth of the records to the last one:
joining the group, and the first fetches, are not in it.
"""

import asyncio
import json
import os
import sys
import time

from aiokafka import AIOKafkaConsumer
from orders import Order, parse

EVERY, INTERVAL = 1000, 1.0  # records and seconds between commits, in the ways that commit


def main() -> None:
    job = json.loads(sys.argv[1])
    clock = Clock(job["records"])
    asyncio.run(WAYS[job["way"]](job, clock))
    print(json.dumps({"rate": clock.rate, "cpu": clock.cpu}))


class Clock:
    """Runs from the moment when `warm` records have come until `wanted` have."""

    def __init__(self, records: int) -> None:
        self.wanted, self.warm = records, records // 10
        self.started = self.cpu_started = self.rate = self.cpu = 0.0

    def start(self) -> None:
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        timed = self.wanted - self.warm
        self.rate = timed / (time.perf_counter() - self.started)
        self.cpu = (time.process_time() - self.cpu_started) / timed * 1e6  # µs a record


def consumer(job: dict, *topics: str, **settings) -> AIOKafkaConsumer:
    own = {"group_id": os.urandom(4).hex(), "auto_offset_reset": "earliest", "enable_auto_commit": False}
    return AIOKafkaConsumer(*topics, bootstrap_servers=job["bootstrap"], **{**own, **settings})


# --- by hand ----------------------------------------------------------------------------------------------------------


async def by_hand(job: dict, clock: Clock, parser=parse, **settings) -> None:
    seen = total = 0
    async with consumer(job, job["topic"], **settings) as mine:
        async for record in mine:
            total += parser(record).number
            seen += 1
            if seen == clock.warm:
                clock.start()
            if seen == clock.wanted:
                break
        clock.stop()
    check(total, clock)


def twice(record) -> Order:
    """What two subscribers get: each its own."""
    parse(record)
    return parse(record)


async def in_lists(job: dict, clock: Clock) -> None:
    """What aiokafka offers beside its iterator: all that was fetched, at once."""
    seen = total = started = 0
    async with consumer(job, job["topic"]) as mine:
        while seen < clock.wanted:
            for records in (await mine.getmany(timeout_ms=1000)).values():
                for record in records:
                    total += parse(record).number
                seen += len(records)
            if seen >= clock.warm and not started:
                clock.warm = started = seen
                clock.start()
        clock.stop()
    check(total, clock)


# --- the listener -----------------------------------------------------------------------------------------------------


async def listened(job: dict, clock: Clock, readers: int = 1, queue: int = 0, **settings) -> None:
    from superclient.messaging import KafkaListener

    spec = {"topics": [job["topic"]], "type": Order, "parser": parse}
    async with KafkaListener([spec], consumer_factory=lambda: consumer(job), **settings) as listener:
        streams = [await listener.subscribe(Order, queue_maxsize=queue) for _ in range(readers)]
        totals = await asyncio.gather(*(read(stream, clock) for stream in streams))
        clock.stop()
    check(sum(totals), clock, readers)


async def read(stream, clock: Clock) -> int:
    seen = total = 0
    async for order in stream:
        total += order.number
        seen += 1
        if seen == clock.warm:
            clock.start()
        if seen == clock.wanted:
            break
    return total


def check(total: int, clock: Clock, copies: int = 1) -> None:
    """Every record came, and came once."""
    if total != copies * clock.wanted * (clock.wanted - 1) // 2:
        raise RuntimeError(f"the numbers of the orders add up to {total}")


AUTO = {"every": EVERY, "interval_s": INTERVAL}
THEIRS = {"enable_auto_commit": True, "auto_commit_interval_ms": int(INTERVAL * 1000)}
WAYS = {
    "async for": by_hand,
    "async for, auto commit": lambda job, clock: by_hand(job, clock, **THEIRS),
    "async for, parsed twice": lambda job, clock: by_hand(job, clock, twice),
    "getmany": in_lists,
    "listener": listened,
    "listener, auto_commit": lambda job, clock: listened(job, clock, auto_commit=AUTO),
    "listener, queue_maxsize": lambda job, clock: listened(job, clock, queue=1000),
    "listener, both": lambda job, clock: listened(job, clock, queue=1000, auto_commit=AUTO),
    "two subscribers": lambda job, clock: listened(job, clock, readers=2),
}

if __name__ == "__main__":
    main()
