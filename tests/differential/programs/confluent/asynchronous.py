"""AGT-28: AIOProducer, awaited deliveries, and gather."""
# agent: line (its constructor does not wait for the metadata: there is a running loop)

import asyncio
import sys

from confluent_kafka.aio import AIOProducer


async def main():
    producer = AIOProducer({"bootstrap.servers": sys.argv[1]})
    futures = [await producer.produce(sys.argv[2], value=b"value %d" % number) for number in range(20)]
    await producer.flush()
    messages = await asyncio.gather(*futures)
    print(sorted(message.offset() for message in messages))
    await producer.close()


asyncio.run(main())
