"""Reads orders and customers as pydantic models, from one consumer, each in a task of its own, until Ctrl-C.

python examples/messaging/listener_pydantic.py orders customers billing
echo '{"number": 1, "price": "9.50"}' | superclient produce send orders -b localhost:9092
echo '{"name": "Ada", "email": "ada@example.org"}' | superclient produce send customers -b localhost:9092
"""

import argparse
import asyncio
import logging
import signal
from decimal import Decimal

from aiokafka import AIOKafkaConsumer
from pydantic import BaseModel, Field

from superclient.messaging import KafkaListener, ParserSpec, TypeStream


class Order(BaseModel):
    number: int
    price: Decimal = Field(ge=0)


class Customer(BaseModel):
    name: str
    email: str


async def count(orders: TypeStream[Order]) -> None:
    async for order in orders:
        print(f"order {order.number}: {order.price}", flush=True)


async def greet(customers: TypeStream[Customer]) -> None:
    async for customer in customers:
        print(f"welcome, {customer.name}", flush=True)


async def main(chosen: argparse.Namespace) -> None:
    def consumer() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=chosen.bootstrap_servers,
            group_id=chosen.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

    parsers: list[ParserSpec] = [
        {"topics": [chosen.orders], "type": Order, "parser": lambda record: Order.model_validate_json(record.value)},
        {
            "topics": [chosen.customers],
            "type": Customer,
            "parser": lambda record: Customer.model_validate_json(record.value),
        },
    ]
    async with KafkaListener(
        parsers, consumer_factory=consumer, auto_commit={"every": 100, "interval_s": 1}
    ) as listener:
        orders = await listener.subscribe(Order, queue_maxsize=1000)
        customers = await listener.subscribe(Customer, queue_maxsize=1000)
        loop, stopping = asyncio.get_running_loop(), set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, lambda: stopping.add(loop.create_task(listener.stop())))
        await asyncio.gather(count(orders), greet(customers))
    print(listener.stats())


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("orders", help="topic of the orders")
    parser.add_argument("customers", help="topic of the customers")
    parser.add_argument("group", help="its members share the partitions")
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(main(options()))
