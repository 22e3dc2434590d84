"""TST-5: sends that are cancelled; what was in a batch already is sent as without the agent."""

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        await producer.send_and_wait(sys.argv[2], b"first")
        task = asyncio.create_task(producer.send_and_wait(sys.argv[2], b"cancelled before it ran"))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")
        print((await producer.send_and_wait(sys.argv[2], b"last")).offset)


asyncio.run(main())
