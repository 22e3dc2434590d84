"""AGT-23: a synchronous producer that is made on the thread of a running event loop."""
# agent: line

import asyncio
import sys

from kafka import KafkaProducer


async def main():
    producer = KafkaProducer(bootstrap_servers=sys.argv[1])
    producer.send(sys.argv[2], b"value").get(10)
    producer.close()


asyncio.run(main())
