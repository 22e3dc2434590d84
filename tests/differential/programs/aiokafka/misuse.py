"""TST-5: send after stop, a second stop, a second start."""

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def attempt(what):
    try:
        print(await asyncio.wait_for(what, 1))
    except BaseException as error:
        print(type(error).__name__, error)


async def main():
    producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
    await attempt(producer.stop())
    producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
    await attempt(producer.start())
    await attempt(producer.stop())
    await attempt(producer.stop())
    await attempt(producer.send(sys.argv[2], b"too late"))
    await attempt(producer.flush())


asyncio.run(main())
