"""A FastStream service on aiokafka answers each of a hundred orders with an invoice."""

import asyncio
import logging
import sys

from faststream import FastStream
from faststream.kafka import KafkaBroker

servers, topic = sys.argv[1:3]
broker = KafkaBroker(servers, client_id="faststream_aiokafka", log_level=logging.DEBUG)
app = FastStream(broker)
answered = asyncio.Semaphore(0)


@broker.subscriber(f"{topic}-orders", group_id=f"{topic}-group", auto_offset_reset="earliest")
async def on_order(number: int) -> None:
    await broker.publish(
        {"number": number, "text": "invoice " * 50},
        topic,
        key=f"customer {number % 5}".encode(),
        headers={"number": str(number)},
        correlation_id=str(number),
    )
    answered.release()


@app.after_startup
async def order() -> None:
    await asyncio.gather(*(broker.publish(number, f"{topic}-orders") for number in range(100)))
    for _ in range(100):
        await answered.acquire()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    app.exit()


asyncio.run(app.run())
