"""AGT-28: the recommended codec's library is not installed: the record goes as the program has it, none is lost."""
# packages: aiokafka
# agent: line

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    try:
        AIOKafkaProducer(bootstrap_servers=sys.argv[1], compression_type="zstd")
    except Exception as error:
        print(type(error).__name__, error)
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        for number in range(500):
            await producer.send(sys.argv[2], b"value %d" % number)


asyncio.run(main())
