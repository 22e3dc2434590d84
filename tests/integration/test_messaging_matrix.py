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
import asyncio, json, logging, sys
from dataclasses import asdict, dataclass
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from superclient.messaging import KafkaListener, KafkaRPC, KafkaRPCServer, RPCError

bootstrap, orders, requests, replies = sys.argv[1:]
logging.basicConfig()
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
    return b"%d" % (int(request.value) * 2)

async def ask():
    parsers = [{"topics": [replies], "type": Order, "parser": order}]
    async with (
        KafkaRPCServer(consumer("serve"), producer, answer, [requests], reply_topics=[replies]),
        KafkaRPC(parsers, consumer_factory=consumer("ask")) as rpc,
    ):
        first = await rpc.request(requests, b"1", res_expect_type=Order)
        many = await asyncio.gather(
            *(rpc.request(requests, b"%d" % n, res_expect_type=Order) for n in range(14)), return_exceptions=True
        )
    return first.number, [one.number for one in many[:13]], f"{many[13].code} {many[13]}"

async def main():
    async with producer() as one:
        for number in range(100):
            await one.send(orders, b"%d" % number)
    found["listened"] = [await listen(0, 49), await listen(50, 99)]
    found["first"], found["many"], found["error"] = await ask()

asyncio.run(main())
print(json.dumps(found))
"""


@pytest.mark.parametrize(("aiokafka", "python"), VERSIONS)
def test_messaging_works(aiokafka: str, python: str, kafka: Broker) -> None:
    """SDM-1, SDM-8, SDM-11, SDM-16, SDM-18, SDM-30: a listener that goes on where it stopped, and round trips; warnings
    are errors, a task or a client that is left behind too, and the agent is loaded.
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
        "error": "THIRTEEN unlucky",
    }
