"""Reads JSON records as dataclasses, until Ctrl-C.

    python examples/messaging/listener_dataclass.py orders billing
    echo '{"number": 1, "price": 9.5}' | superclient produce send orders -b localhost:9092

Start it several times with one group, and they share the partitions; with another group, and it gets everything too.
Offsets are committed every second, for records whose turn in the loop is over: what was in work when the program died
is read again.
"""

import argparse
import asyncio
import json
import logging
import signal
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from superclient.messaging import KafkaListener, ParserSpec


@dataclass
class Order:
    number: int
    price: float


def order(record: ConsumerRecord) -> Order:
    """A record that raises here is logged with its place, counted and skipped."""
    value = json.loads(record.value)
    return Order(number=int(value["number"]), price=float(value["price"]))


async def main(chosen: argparse.Namespace) -> None:
    def consumer() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=chosen.bootstrap_servers,
            group_id=chosen.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

    parsers = [ParserSpec(topics=[chosen.topic], type=Order, parser=order)]
    async with KafkaListener(parsers, consumer_factory=consumer, auto_commit={"interval_s": 1.0}) as listener:
        orders = await listener.subscribe(Order, queue_maxsize=1000)
        loop, stopping = asyncio.get_running_loop(), set()
        for number in (signal.SIGINT, signal.SIGTERM):  # what is queued is still worked on, then the loop below ends
            loop.add_signal_handler(number, lambda: stopping.add(loop.create_task(listener.stop())))
        total = 0.0
        async for each in orders:
            total += each.price
            print(f"order {each.number}: {each.price}, {total} in all", flush=True)
    print(listener.stats())


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("group", help="its members share the partitions")
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(main(options()))
