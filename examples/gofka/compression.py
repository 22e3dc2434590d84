"""Sends the same records with each codec that is installed, and reads them back.

python examples/gofka/compression.py logs

gzip is always there; snappy needs python-snappy, lz4 needs lz4. Only this client reads compressed records.
"""

import argparse
import asyncio
import uuid

from superclient.gofka import AsyncConsumer, AsyncProducer, ProduceError

RECORDS = [b'{"level": "info", "number": %d, "text": "nothing happened"}' % number for number in range(1000)]


async def main(chosen: argparse.Namespace) -> None:
    for codec in (None, "gzip", "snappy", "lz4"):
        topic = f"{chosen.topic}-{codec or 'plain'}"
        try:
            producer = AsyncProducer(chosen.brokers, compression=codec)
        except ProduceError as error:
            print(error)
            continue
        async with producer:
            stored = await producer.send_batch(topic, RECORDS)
        read = []
        async with AsyncConsumer(chosen.brokers, f"compression-{uuid.uuid4()}", topic) as consumer:
            while len(read) < len(RECORDS):
                read += await consumer.poll(timeout=10)
        assert [message.value for message in read] == RECORDS
        print(f"{codec}: {len(read)} records in {len(set(stored))} messages")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic", help="how the topics' names begin")
    parser.add_argument("--brokers", default="localhost:9092", help="several with commas")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(options()))
