"""Asks for prices, all at once, and prints the replies; examples/messaging/rpc_server.py answers.

    python examples/messaging/rpc.py price-requests price-replies apple pear plum

Each requester has a group of its own, so that it gets every reply of the topic; it keeps those to its own requests.
"""

import argparse
import asyncio
import json
import logging
import uuid
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from superclient.messaging import KafkaRPC, ParserSpec, RPCError


@dataclass
class Price:
    name: str
    price: float


def price(record: ConsumerRecord) -> Price:
    return Price(**json.loads(record.value))


async def main(chosen: argparse.Namespace) -> None:
    group = f"prices-{uuid.uuid4()}"

    def consumer() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(bootstrap_servers=chosen.bootstrap_servers, group_id=group, enable_auto_commit=False)

    async def ask(name: str) -> str:
        request = json.dumps({"name": name}).encode()
        try:
            found = await rpc.request(chosen.topic, request, res_expect_type=Price, res_timeout=chosen.timeout)
        except RPCError as error:
            return f"{name}: {error.code}: {error}"
        except TimeoutError:
            return f"{name}: no reply"
        return f"{found.name}: {found.price}"

    parsers = [ParserSpec(topics=[chosen.reply_topic], type=Price, parser=price)]
    async with KafkaRPC(parsers, consumer_factory=consumer) as rpc:
        for line in await asyncio.gather(*map(ask, chosen.names)):
            print(line)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic", help="topic of the requests")
    parser.add_argument("reply_topic", help="topic of the replies")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds to wait for a reply")
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(main(options()))
