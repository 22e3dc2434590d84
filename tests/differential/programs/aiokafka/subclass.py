"""TST-5, AGT-20: a subclass with its own start, stop and send."""

import asyncio
import sys

from aiokafka import AIOKafkaProducer


class Counting(AIOKafkaProducer):
    sent = 0

    async def start(self):
        print("starting")
        await super().start()

    async def stop(self):
        print("stopping", self.sent)
        await super().stop()

    async def send(self, *args, **kwargs):
        self.sent += 1
        return await super().send(*args, **kwargs)


async def main():
    async with Counting(bootstrap_servers=sys.argv[1]) as producer:
        await producer.send_and_wait(sys.argv[2], b"value")
        await producer.send(sys.argv[2], b"value")


asyncio.run(main())
