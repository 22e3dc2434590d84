"""A FastStream service on confluent-kafka publishes a hundred orders, some time after its start.

Its producer is made on the event loop, which no constructor may block: what is recommended comes a moment later.
"""

import asyncio
import sys

from faststream import FastStream
from faststream.confluent import KafkaBroker

servers, topic = sys.argv[1:3]
broker = KafkaBroker(servers, client_id="faststream_confluent")
app = FastStream(broker)


async def order(number: int) -> None:
    await broker.publish(
        {"number": number, "text": "order " * 50},
        topic,
        key=f"customer {number % 5}".encode(),
        headers={"number": str(number)},
        correlation_id=str(number),
    )


@app.after_startup
async def publish() -> None:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(order(number) for number in range(100)))
    print("published", flush=True)
    app.exit()


asyncio.run(app.run())
