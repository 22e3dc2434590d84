"""TST-5: create_batch and send_batch, with batches that the program fills itself."""
# partitions: 2
# compare: partitions

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        for partition in (0, 1):
            batch = producer.create_batch()
            for number in range(10):
                batch.append(key=None, value=b"value %d" % number, timestamp=None)
            print(batch.record_count())
            batch.close()
            metadata = await (await producer.send_batch(batch, sys.argv[2], partition=partition))
            print(metadata.offset)


asyncio.run(main())
