"""TST-5: a producer that was never started, and a coroutine that was never awaited."""
# options: -W default
# agent: line

import asyncio
import gc
import sys

from aiokafka import AIOKafkaProducer


async def main():
    producer = AIOKafkaProducer(bootstrap_servers=sys.argv[1])
    producer.start()
    try:
        await asyncio.wait_for(producer.send(sys.argv[2], b"value"), 1)
    except BaseException as error:
        print(type(error).__name__)
    del producer
    gc.collect()


asyncio.run(main())
