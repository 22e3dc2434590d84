"""TST-5, AGT-26: transactions that commit and abort."""
# partitions: 2

import asyncio
import os
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1], transactional_id=f"aio-{os.getpid()}") as producer:
        async with producer.transaction():
            for number in range(20):
                await producer.send(sys.argv[2], b"committed %d" % number, key=b"%d" % (number % 3))
        try:
            async with producer.transaction():
                await producer.send_and_wait(sys.argv[2], b"aborted")
                raise ValueError("no")
        except ValueError as error:
            print(error)


asyncio.run(main())
