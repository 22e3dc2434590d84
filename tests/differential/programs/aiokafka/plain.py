"""TST-5: start, send_and_wait, stop."""

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
    await producer.start()
    for number in range(20):
        metadata = await producer.send_and_wait(sys.argv[2], b"value %d" % number)
        print(metadata.topic, metadata.partition, metadata.offset)
    await producer.stop()


asyncio.run(main())
