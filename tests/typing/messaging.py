"""Messaging as a program uses it; checked by mypy and pyright in tests/unit/test_messaging_names.py, never run.

Each mistake is marked for both checkers, and either says so where its mark is not needed: that is how this fails.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from pydantic import BaseModel
from typing_extensions import assert_type

from superclient.messaging import (
    AutoCommit,
    KafkaListener,
    KafkaRPC,
    KafkaRPCServer,
    MessagingError,
    MessagingStoppedError,
    ParserSpec,
    RPCError,
    TypeStream,
)


@dataclass
class Order:
    number: int


class Customer(BaseModel):
    name: str


def order(record: ConsumerRecord[Any, Any]) -> Order:
    return Order(**json.loads(record.value or b"{}"))


PARSERS: list[ParserSpec] = [
    {"topics": ["orders"], "type": Order, "parser": order},
    {
        "topics": {"customers"},
        "type": Customer,
        "parser": lambda record: Customer.model_validate_json(record.value or b""),
    },
    ParserSpec(topics=("orders", "customers"), type=str, parser=lambda record: str(record.value)),
    ParserSpec(topics=("orders",), type=dict[str, int], parser=lambda record: json.loads(record.value or b"{}")),
]


def consumer() -> AIOKafkaConsumer:
    return AIOKafkaConsumer(bootstrap_servers="a:1", group_id="billing")


async def awaited_consumer() -> AIOKafkaConsumer:
    return consumer()


def producer() -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers="a:1")


async def listen() -> None:
    """A stream has the type that was asked for."""
    commits: AutoCommit = {"every": 100, "interval_s": 5.0}
    async with KafkaListener(PARSERS, consumer_factory=consumer, auto_commit=commits) as listener:
        assert_type(listener, KafkaListener)
        orders = await listener.subscribe(Order, queue_maxsize=1000)
        assert_type(orders, TypeStream[Order])
        assert_type(orders.type, type[Order])
        async for each in orders:
            assert_type(each, Order)
            print(each.number, each.price)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        customers = await listener.subscribe(Customer, fresh=True)
        assert_type(customers, TypeStream[Customer])
        async with customers as entered:
            assert_type(entered, TypeStream[Customer])
            assert_type(await anext(entered), Customer)
        assert_type(await listener.subscribe(str), TypeStream[str])
        assert_type(await listener.subscribe(dict[str, int]), TypeStream[dict[str, int]])
        assert_type(orders.qsize(), int)
        await orders.aclose()
        assert_type(listener.stats().parse_errors, int)
        listener.stats().records = 0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


async def ask() -> None:
    """A reply has the type that is expected, or any."""
    async with KafkaRPC(PARSERS, consumer_factory=awaited_consumer, producer_factory=producer) as rpc:
        assert_type(rpc, KafkaRPC)
        reply = await rpc.request("requests", b"{}", res_expect_type=Order, res_timeout=5.0)
        assert_type(reply, Order)
        assert_type(await rpc.request("requests", b"{}", res_expect_type=Customer), Customer)
        await rpc.request("requests", b"{}", req_key=b"k", req_headers=[("trace", b"1")], propagate_corr_to="header")
        await rpc.request("requests", b"{}", req_headers_reply_to=["replies"], correlation_id="42")
        print(rpc.stats())


async def answer(record: ConsumerRecord[Any, Any]) -> bytes | None:
    if not record.value:
        raise RPCError("an empty request", code="EMPTY")
    return b"{}"


async def answer_order(request: Order) -> bytes:
    return str(request.number).encode()


async def serve() -> None:
    """A handler takes what its parser makes, or the record."""
    async with KafkaRPCServer(consumer, producer, answer, ["requests"], concurrency=10) as server:
        assert_type(server.stats().replies, int)
    KafkaRPCServer(awaited_consumer, producer, answer_order, ["requests"], parser=order, reply_topics={"replies"})


async def mistakes(listener: KafkaListener, rpc: KafkaRPC) -> None:
    """What both checkers find."""
    stream = await listener.subscribe(Order)
    assert_type(stream, TypeStream[str])  # type: ignore[assert-type]  # pyright: ignore[reportAssertTypeFailure]
    each_text: str = await stream.__anext__()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    await listener.subscribe(Order(1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await listener.subscribe(Order, queue_maxsize="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for each in stream:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        print(each, each_text)
    reply = await rpc.request("requests", b"{}", res_expect_type=Order)
    wrong: str = reply  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    await rpc.request("requests")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    KafkaListener(PARSERS)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    KafkaListener([{"topics": ["a"], "type": Order}], consumer_factory=consumer)  # type: ignore[typeddict-item]  # pyright: ignore[reportArgumentType]
    KafkaListener(PARSERS, consumer_factory=consumer, auto_commit={"seconds": 1})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    print(wrong, issubclass(RPCError, MessagingError), issubclass(MessagingStoppedError, MessagingError))
