"""Logs in as it is told to, and sends one record."""
# agent: line

import asyncio
import json
import ssl
import sys

from aiokafka import AIOKafkaProducer


async def main():
    config = json.loads(sys.argv[3])
    context = ssl.create_default_context(cafile=config.pop("ssl_cafile"))
    producer = AIOKafkaProducer(**config, ssl_context=context, request_timeout_ms=3000)
    try:
        await producer.start()
        await producer.send_and_wait(sys.argv[2], b"value")
        print("sent")
    except Exception as error:
        print(type(error).__name__)
    finally:
        await producer.stop()


asyncio.run(main())
