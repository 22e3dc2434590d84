"""AGT-25: an exception in the middle, with sends that nobody awaited."""
# records: no fewer

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        for number in range(10):
            await producer.send(sys.argv[2], b"value %d" % number)
        raise RuntimeError("the end")


asyncio.run(main())
