"""How much memory a process has while a slow reader goes through a topic, by the listener or by hand.

Argument: JSON {bootstrap, topic, records, way ("listener", "unbounded" or "async for"), queue (its bound), every,
pause (the reader rests for so many seconds after so many records)}. Prints resident MB: `start` (ready, no record
yet), `tenth` (after a tenth of the records), `most` (after that), `end`; `samples`, one for each hundredth; `held`, the
most records that waited in the stream.
"""

import asyncio
import json
import os
import sys

from aiokafka import AIOKafkaConsumer
from orders import Order, parse


def main() -> None:
    job = json.loads(sys.argv[1])
    reader = Reader(job)
    asyncio.run(by_hand(job, reader) if job["way"] == "async for" else listened(job, reader))
    print(json.dumps(reader.figures()))


class Reader:
    """Goes through the orders, slowly, and looks at the process's memory now and then."""

    def __init__(self, job: dict) -> None:
        self.wanted, self.every, self.pause = job["records"], job["every"], job["pause"]
        self.samples: list[float] = []
        self.held = self.seen = self.total = 0

    async def take(self, order: Order) -> bool:
        """Whether that was the last one."""
        if self.seen % (self.wanted // 100) == 0:
            self.samples.append(resident())
        self.seen += 1
        self.total += order.number
        if self.seen % self.every == 0:
            await asyncio.sleep(self.pause)
        return self.seen == self.wanted

    def figures(self) -> dict:
        if self.total != self.wanted * (self.wanted - 1) // 2:
            raise RuntimeError(f"the numbers of the orders add up to {self.total}")
        tenth = len(self.samples) // 10
        return {
            "start": self.samples[0],
            "tenth": max(self.samples[: tenth + 1]),
            "most": max(self.samples[tenth + 1 :]),
            "end": self.samples[-1],
            "samples": self.samples,
            "held": self.held,
        }


def resident() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def consumer(job: dict, *topics: str) -> AIOKafkaConsumer:
    own = {"group_id": os.urandom(4).hex(), "auto_offset_reset": "earliest", "enable_auto_commit": False}
    return AIOKafkaConsumer(*topics, bootstrap_servers=job["bootstrap"], **own)


async def by_hand(job: dict, reader: Reader) -> None:
    async with consumer(job, job["topic"]) as mine:
        async for record in mine:
            if await reader.take(parse(record)):
                break


async def listened(job: dict, reader: Reader) -> None:
    from superclient.messaging import KafkaListener

    spec = {"topics": [job["topic"]], "type": Order, "parser": parse}
    queue = job["queue"] if job["way"] == "listener" else 0
    commit = {"every": 1000, "interval_s": 1.0}
    async with KafkaListener([spec], consumer_factory=lambda: consumer(job), auto_commit=commit) as listener:
        stream = await listener.subscribe(Order, queue_maxsize=queue)
        async for order in stream:
            reader.held = max(reader.held, stream.qsize())
            if await reader.take(order):
                break


if __name__ == "__main__":
    main()
