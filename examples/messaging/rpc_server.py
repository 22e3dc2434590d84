"""Answers requests for prices, until Ctrl-C; examples/messaging/rpc.py asks.

    python examples/messaging/rpc_server.py price-requests prices

Start it several times with one group, and each request is answered once, by one of them.
"""

import argparse
import asyncio
import json
import logging
import signal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from superclient.messaging import KafkaRPCServer, RPCError

PRICES = {"apple": 0.4, "pear": 0.6, "quince": 1.2}


async def price(request: ConsumerRecord) -> bytes:
    """Runs concurrently with others of its kind. Whatever it raises, the requester is told that there was an error."""
    name = json.loads(request.value)["name"]
    if name not in PRICES:
        raise RPCError(f"we have no {name}", code="NOT_FOUND")  # the text and the code are for the requester
    return json.dumps({"name": name, "price": PRICES[name]}).encode()


async def main(chosen: argparse.Namespace) -> None:
    def consumer() -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=chosen.bootstrap_servers,
            group_id=chosen.group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

    def producer() -> AIOKafkaProducer:
        return AIOKafkaProducer(bootstrap_servers=chosen.bootstrap_servers)

    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    # Without reply_topics a request may name any topic, and the answer is written there with this server's rights.
    async with KafkaRPCServer(consumer, producer, price, [chosen.topic], reply_topics=chosen.reply_topics) as server:
        print("ready", flush=True)
        await ended.wait()
    print(server.stats())


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic", help="topic of the requests")
    parser.add_argument("group", help="its members share the requests")
    parser.add_argument("--reply-topics", nargs="+", default=["price-replies"])
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(main(options()))
