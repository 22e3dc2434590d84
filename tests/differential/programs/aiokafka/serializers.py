"""TST-5: serializers; one that raises fails the one send, with its traceback."""
# partitions: 2

import asyncio
import json
import sys

from aiokafka import AIOKafkaProducer


async def main():
    producer = AIOKafkaProducer(
        bootstrap_servers=sys.argv[1],
        key_serializer=str.encode,
        value_serializer=lambda value: json.dumps(value).encode(),
    )
    await producer.start()
    try:
        await producer.send_and_wait(sys.argv[2], {"number": 1}, key="key")
        await producer.send_and_wait(sys.argv[2], {1, 2}, key="key")
    finally:
        await producer.stop()


asyncio.run(main())
