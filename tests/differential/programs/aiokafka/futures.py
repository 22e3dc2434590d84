"""TST-5: the futures that send gives, awaited one by one, with a time limit, and by callbacks."""

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        first = await producer.send(sys.argv[2], b"first")
        second = await producer.send(sys.argv[2], b"second")
        second.add_done_callback(lambda future: print("callback", future.result().offset))
        print((await asyncio.wait_for(first, 10)).offset, (await second).offset, type(first).__name__)
        await asyncio.sleep(0)


asyncio.run(main())
