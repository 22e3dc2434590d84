"""TST-5, AGT-33: a partitioner of the program's own, and explicit partitions."""
# partitions: 4
# compare: partitions

import asyncio
import sys

from aiokafka import AIOKafkaProducer


def last(key, everyone, available):
    return everyone[len(key or b"") % len(everyone)]


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1], partitioner=last) as producer:
        for number in range(40):
            await producer.send(sys.argv[2], b"value %d" % number, key=b"k" * (number % 7) or None)
            await producer.send(sys.argv[2], b"explicit", partition=number % 4)


asyncio.run(main())
