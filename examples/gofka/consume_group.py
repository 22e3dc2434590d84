"""Several members of a group share the partitions of a topic; offsets are committed by hand. Until Ctrl-C.

python examples/gofka/consume_group.py orders workers --members 3

The broker keeps all records in partition 0, so one member reads them all and the others stand by: end it, and another
one goes on where it had committed.
"""

import argparse
import asyncio
import signal

from superclient.gofka import AsyncConsumer


async def member(name: str, chosen: argparse.Namespace, ended: asyncio.Event) -> None:
    consumer = AsyncConsumer(chosen.brokers, chosen.group, chosen.topic, auto_commit=False)
    async with consumer:
        while not ended.is_set():
            for message in await consumer.poll(100, timeout=0.2):
                print(f"{name}: {message.value.decode()}", flush=True)
                await consumer.commit(message)


async def main(chosen: argparse.Namespace) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await asyncio.gather(*(member(f"member {number}", chosen, ended) for number in range(chosen.members)))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic", help="one that is there")
    parser.add_argument("group")
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--brokers", default="localhost:9092", help="several with commas")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(options()))
