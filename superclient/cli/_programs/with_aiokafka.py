"""A program with aiokafka: events that it fires and forgets, then orders that it waits for."""

import asyncio
import json
import sys
import time

import shop  # type: ignore[import-not-found]  # beside this script
from aiokafka import AIOKafkaProducer


async def main(servers: str, topic: str, events: int, orders: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for burst in shop.bursts(events):
        for key, value in burst:
            await producer.send(topic, value, key=key)
        await asyncio.sleep(shop.PAUSE)
    await producer.flush()
    waits = []
    for key, value in shop.orders(orders):
        start = time.perf_counter()
        await producer.send_and_wait(topic, value, key=key)
        waits.append(time.perf_counter() - start)
    await producer.stop()
    print(json.dumps(waits))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
