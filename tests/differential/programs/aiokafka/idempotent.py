"""TST-5, AGT-26: idempotence, each key in order."""
# partitions: 2

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1], enable_idempotence=True) as producer:
        for number in range(300):
            await producer.send(sys.argv[2], b"%d" % number, key=b"%d" % (number % 5))


asyncio.run(main())
