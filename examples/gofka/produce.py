"""Sends lines of text, all at once, with asyncio; prints where each is stored.

python examples/gofka/produce.py orders apple pear plum

What is queued together goes together, in one request. A record is stored when its `send` has returned.
"""

import argparse
import asyncio

from superclient.gofka import AsyncProducer, ProduceError


async def main(chosen: argparse.Namespace) -> None:
    async with AsyncProducer(chosen.brokers) as producer:

        async def send(text: str) -> None:
            try:
                stored = await producer.send_string(chosen.topic, text, key=text[:1])
            except ProduceError as error:  # error.stored: False: no; None: perhaps; True: yes, somewhere
                print(f"{text}: {error}")
            else:
                print(f"{text}: offset {stored}, place {stored.index}")

        await asyncio.gather(*map(send, chosen.texts))


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--brokers", default="localhost:9092", help="several with commas")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(options()))
