"""AGT-25: Ctrl-C while the loop waits; async with still delivers."""
# signal: SIGINT

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        for number in range(10):
            await producer.send(sys.argv[2], b"value %d" % number)
        print("ready", flush=True)
        await asyncio.sleep(20)


asyncio.run(main())
