"""TST-5: async with, keys, headers and timestamps."""
# partitions: 3
# compare: timestamps

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1], acks="all") as producer:
        for number in range(100):
            await producer.send(
                sys.argv[2],
                b"value %d" % number,
                key=b"key %d" % (number % 7),
                headers=[("number", b"%d" % number)],
                timestamp_ms=1_600_000_000_000 + number,
            )
        await producer.flush()


asyncio.run(main())
