"""Sends lines of text without asyncio, one after the other, then all together.

python examples/gofka/produce_sync.py orders apple pear plum
"""

import argparse

from superclient.gofka import Producer


def main(chosen: argparse.Namespace) -> None:
    with Producer(chosen.brokers) as producer:
        for text in chosen.texts:
            print(f"{text}: offset {producer.send_string(chosen.topic, text)}")  # a round trip each
        stored = producer.send_batch(chosen.topic, [text.encode() for text in chosen.texts])
        print(f"all together: {len(stored)} records at offset {', '.join(map(str, sorted(set(stored))))}")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic")
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--brokers", default="localhost:9092", help="several with commas")
    return parser.parse_args()


if __name__ == "__main__":
    main(options())
