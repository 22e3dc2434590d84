"""TST-5: asyncio's debug mode: no slow callback, no resource that the agent leaves."""
# options: -X dev -W error::ResourceWarning
# env: PYTHONASYNCIODEBUG=1

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        for number in range(50):
            await producer.send(sys.argv[2], b"value %d" % number)
    await asyncio.sleep(0.05)
    print(len(asyncio.all_tasks()))


asyncio.run(main())
