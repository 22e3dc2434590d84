"""A program with confluent-kafka: events that it fires and forgets, then orders that it waits for."""

import json
import sys
import time

import shop  # type: ignore[import-not-found]  # beside this script
from confluent_kafka import Producer


def main(servers: str, topic: str, events: int, orders: int) -> None:
    producer = Producer({"bootstrap.servers": servers})
    for burst in shop.bursts(events):
        for key, value in burst:
            producer.produce(topic, value, key=key)
        producer.poll(0)
        time.sleep(shop.PAUSE)
    producer.flush()
    waits = []
    for key, value in shop.orders(orders):
        start = time.perf_counter()
        producer.produce(topic, value, key=key)
        producer.flush()
        waits.append(time.perf_counter() - start)
    print(json.dumps(waits))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
