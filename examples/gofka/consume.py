"""Prints the records of a topic until Ctrl-C, without asyncio.

python examples/gofka/consume.py orders printing

A record is committed when the next one is asked for: what the program was at when it died is read again.
"""

import argparse

from superclient.gofka import Consumer


def main(chosen: argparse.Namespace) -> None:
    try:
        with Consumer(chosen.brokers, chosen.group, chosen.topic) as consumer:
            for value in consumer:  # bytes, which know the rest
                message = value.message
                print(f"offset {message.offset}: {message.key!r} {value.decode()}", flush=True)
    except KeyboardInterrupt:
        pass  # the group is left, and what was printed last is not committed


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topic", help="one that is there")
    parser.add_argument("group")
    parser.add_argument("--brokers", default="localhost:9092", help="several with commas")
    return parser.parse_args()


if __name__ == "__main__":
    main(options())
