"""A Faust worker's agent answers each of a hundred orders, which its task sends, with an invoice.

Faust configures the root logger for warnings alone, from which on the agent logs through it.
"""

# agent: line

import asyncio
import os
import signal
import sys

import faust

servers, topic = sys.argv[1:3]
app = faust.App(
    f"{topic}-app",
    broker=f"kafka://{servers}",
    broker_client_id="faust_worker",
    consumer_auto_offset_reset="earliest",
    topic_partitions=1,
    web_enabled=False,
    worker_redirect_stdouts=False,
)
raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
orders = app.topic(f"{topic}-orders", internal=True, **raw)
invoices = app.topic(topic, **raw)


@app.task
async def order() -> None:
    for number in range(100):
        await orders.send(key=b"customer %d" % (number % 5), value=b"%d" % number)


@app.agent(orders)
async def answer(stream: faust.Stream[bytes]) -> None:
    async for key, value in stream.items():
        sent = await invoices.send(key=key, value=b"invoice for %s " % value * 30, headers={"order": value})
        if value == b"99":
            print("the last is at", (await sent).offset)
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            os.kill(os.getpid(), signal.SIGTERM)


faust.Worker(app, loglevel="WARNING", quiet=False).execute_from_commandline()
