"""Finds no broker, says why in its own words, and ends."""
# agent: line

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1], request_timeout_ms=1500)
    try:
        await producer.start()
    except Exception as error:
        print(type(error).__name__, error)
    finally:
        await producer.stop()


asyncio.run(main())
