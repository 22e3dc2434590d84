"""AGT-28: thirty producers at once; no descriptor is left behind."""

import asyncio
import os
import sys

from aiokafka import AIOKafkaProducer


async def one(number):
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        await producer.send_and_wait(sys.argv[2], b"value %d" % number)


async def main():
    before = len(os.listdir("/proc/self/fd"))
    await asyncio.gather(*(one(number) for number in range(30)))
    print(len(os.listdir("/proc/self/fd")) - before < 10)


asyncio.run(main())
