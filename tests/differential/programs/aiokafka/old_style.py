"""TST-5: a loop of the program's own, and run_until_complete for each step."""

import asyncio
import sys

from aiokafka import AIOKafkaProducer

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)


async def make():
    return AIOKafkaProducer(bootstrap_servers=sys.argv[1])


producer = loop.run_until_complete(make())
loop.run_until_complete(producer.start())
for number in range(5):
    print(loop.run_until_complete(producer.send_and_wait(sys.argv[2], b"value %d" % number)).offset)
loop.run_until_complete(producer.stop())
loop.close()
