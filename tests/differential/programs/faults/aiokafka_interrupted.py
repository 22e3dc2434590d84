"""Loses its broker between two halves, and delivers both once it is back."""
# stderr: chance

import asyncio
import sys

from aiokafka import AIOKafkaProducer


async def main():
    producer = AIOKafkaProducer(
        bootstrap_servers=sys.argv[1], request_timeout_ms=30_000, acks="all", enable_idempotence=True
    )
    await producer.start()
    for number in range(10):
        await producer.send_and_wait(sys.argv[2], b"before %d" % number, key=b"key")
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    sends = [await producer.send(sys.argv[2], b"after %d" % number, key=b"key") for number in range(10)]
    print("sent", flush=True)
    print([type(outcome).__name__ for outcome in await asyncio.gather(*sends, return_exceptions=True)])
    await producer.stop()


asyncio.run(main())
