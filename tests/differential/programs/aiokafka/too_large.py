"""TST-5: records that the producer, and the broker, refuse."""

import asyncio
import random
import sys

from aiokafka import AIOKafkaProducer


async def main():
    for limit in (2000, 10_000_000):
        async with AIOKafkaProducer(bootstrap_servers=sys.argv[1], max_request_size=limit) as producer:
            try:
                await producer.send_and_wait(sys.argv[2], random.Random(1).randbytes(2_000_000))
            except Exception as error:
                print(type(error).__name__)
            print((await producer.send_and_wait(sys.argv[2], b"small")).offset)


asyncio.run(main())
