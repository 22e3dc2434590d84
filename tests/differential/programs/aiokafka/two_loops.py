"""TST-5: one event loop after the other, each with a producer of its own."""

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main(number):
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        print((await producer.send_and_wait(sys.argv[2], b"value %d" % number)).offset)


for number in range(3):
    asyncio.run(main(number))
