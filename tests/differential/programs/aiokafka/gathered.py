"""TST-5: hundreds of send_and_wait at the same time."""
# partitions: 3

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        sends = [producer.send_and_wait(sys.argv[2], b"value %d" % number) for number in range(500)]
        print(len(await asyncio.gather(*sends)))


asyncio.run(main())
