"""Messaging, installed from the wheel beside the agent, in the versions of aiokafka and CPython that it names."""

from __future__ import annotations

import json

import pytest

from tests.environments import environment, run_program
from tests.servers import Broker

VERSIONS = [
    pytest.param("0.10.0", "3.10", id="0.10.0-3.10"),
    pytest.param("0.10.0", "3.12", marks=pytest.mark.matrix_full, id="0.10.0-3.12"),
    pytest.param("0.12.0", "3.11", marks=pytest.mark.matrix_full, id="0.12.0-3.11"),
    pytest.param("0.12.0", "3.13", marks=pytest.mark.matrix_full, id="0.12.0-3.13"),
    pytest.param("0.14.0", "3.10", marks=pytest.mark.matrix_full, id="0.14.0-3.10"),
    pytest.param("0.14.0", "3.13", marks=pytest.mark.matrix_full, id="0.14.0-3.13"),
]
PROGRAM = """
import asyncio, gc, json, logging, sys
from dataclasses import asdict, dataclass
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from superclient.messaging import KafkaListener, KafkaRPC, KafkaRPCServer, RPCError

bootstrap, orders, requests, replies = sys.argv[1:]
logging.basicConfig()
logging.getLogger("superclient.messaging").addFilter(lambda line: "cancelled by itself" not in line.getMessage())
found = {}

@dataclass
class Order:
    number: int

def order(record):
    return Order(int(record.value))

def consumer(group):
    settings = {"group_id": f"{orders}-{group}", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    return lambda: AIOKafkaConsumer(bootstrap_servers=bootstrap, **settings)

def producer():
    return AIOKafkaProducer(bootstrap_servers=bootstrap)

async def listen(start, stop):
    parsers = [{"topics": [orders], "type": Order, "parser": order}]
    numbers = []
    async with KafkaListener(parsers, consumer_factory=consumer("listen"), auto_commit={"every": 10}) as listener:
        stream = await listener.subscribe(Order, queue_maxsize=20)
        async for each in stream:
            numbers.append(each.number)
            if each.number == stop:
                break
    assert numbers == list(range(start, stop + 1)), numbers
    return listener.stats().records >= len(numbers)

async def answer(request):
    if request.value == b"13":
        raise RPCError("unlucky", code="THIRTEEN")
    if request.value == b"14":
        gone = asyncio.create_task(asyncio.sleep(60))
        gone.cancel()
        await gone
    return b"%d" % (int(request.value) * 2)

async def ask():
    parsers = [{"topics": [replies], "type": Order, "parser": order}]
    async with (
        KafkaRPCServer(consumer("serve"), producer, answer, [requests], reply_topics=[replies]),
        KafkaRPC(parsers, consumer_factory=consumer("ask")) as rpc,
    ):
        first = await rpc.request(requests, b"1", res_expect_type=Order)
        many = await asyncio.gather(
            *(rpc.request(requests, b"%d" % n, res_expect_type=Order) for n in range(15)), return_exceptions=True
        )
    return first.number, [one.number for one in many[:13]], [f"{error.code} {error}" for error in many[13:]]

async def give_up():
    # Each start is cancelled where it waits for the first answer of a broker, which sees its connection closed.
    asked, closed = asyncio.Queue(), asyncio.Queue()

    async def silent(reader, writer):
        await reader.read(1)
        asked.put_nowait(True)
        while await reader.read(1000):
            pass
        closed.put_nowait(True)
        writer.close()

    parsers = [{"topics": [replies], "type": Order, "parser": order}]
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as broker:
        where = "127.0.0.1:%d" % broker.sockets[0].getsockname()[1]
        mute = lambda: AIOKafkaConsumer(bootstrap_servers=where, group_id="g", enable_auto_commit=False)
        dumb = lambda: AIOKafkaProducer(bootstrap_servers=where, client_id="superstreamlib-left-alone")  # by the agent
        for one in (
            KafkaListener(parsers, consumer_factory=mute),
            KafkaRPC(parsers, consumer_factory=mute),
            KafkaRPCServer(mute, dumb, answer, [requests]),
        ):
            starting = asyncio.create_task(one.start())
            await asyncio.wait_for(asked.get(), 20)
            starting.cancel()
            await asyncio.wait({starting})
            assert starting.cancelled()
            await asyncio.wait_for(closed.get(), 20)
            gc.collect()

async def main():
    async with producer() as one:
        for number in range(100):
            await one.send(orders, b"%d" % number)
    found["listened"] = [await listen(0, 49), await listen(50, 99)]
    found["first"], found["many"], found["errors"] = await ask()
    await give_up()

asyncio.run(main())
print(json.dumps(found))
"""


@pytest.mark.parametrize(("aiokafka", "python"), VERSIONS)
def test_messaging_works(aiokafka: str, python: str, kafka: Broker) -> None:
    """SDM-1, SDM-8, SDM-11, SDM-16, SDM-18, SDM-30, SDM-35: a listener that goes on where it stopped, round trips, a
    handler that is cancelled by itself, starts that are given up; warnings are errors, a task, a client or a connection
    that is left behind too, and the agent is loaded.
    """
    where = environment(python, [f"aiokafka=={aiokafka}"])
    name = f"messaging-{aiokafka}-{python}"
    topics = [kafka.create_topic(f"{name}-{each}") for each in ("orders", "requests", "replies")]
    ran = run_program(where, PROGRAM, kafka.bootstrap, *topics, options=("-W", "error"))
    assert ran.returncode == 0, ran.stderr
    # A new broker's groups are not ready at once, of which aiokafka logs an error.
    words = ("superclient.messaging", "Traceback", "Warning", "Unclosed", "Task ")
    assert not any(word in ran.stderr for word in words), ran.stderr
    assert json.loads(ran.stdout) == {
        "listened": [True, True],
        "first": 2,
        "many": [2 * number for number in range(13)],
        "errors": ["THIRTEEN unlucky", "INTERNAL CancelledError"],
    }
