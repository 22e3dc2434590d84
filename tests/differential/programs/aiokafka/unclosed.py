"""TST-5: under -X dev, a producer that was never stopped is told of in the same words."""
# options: -X dev
# records: no fewer

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
    await producer.start()
    await producer.send_and_wait(sys.argv[2], b"value")


asyncio.run(main())
