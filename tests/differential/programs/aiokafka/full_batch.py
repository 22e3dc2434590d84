"""TST-5: a batch of the program's own is full where it would be without the agent."""

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1], max_batch_size=5000) as producer:
        batch = producer.create_batch()
        while batch.append(key=None, value=b"x" * 100, timestamp=None) is not None:
            pass
        print(batch.record_count())
        await (await producer.send_batch(batch, sys.argv[2], partition=0))


asyncio.run(main())
