"""A program with kafka-python: events that it fires and forgets, then orders that it waits for."""

import json
import sys
import time

import shop  # type: ignore[import-not-found]  # beside this script
from kafka import KafkaProducer


def main(servers: str, topic: str, events: int, orders: int) -> None:
    # The version is pinned because the mock cluster answers the newest requests in part only.
    producer = KafkaProducer(bootstrap_servers=servers, api_version=(2, 1))
    for burst in shop.bursts(events):
        for key, value in burst:
            producer.send(topic, value, key=key)
        time.sleep(shop.PAUSE)
    producer.flush()
    waits = []
    for key, value in shop.orders(orders):
        start = time.perf_counter()
        producer.send(topic, value, key=key).get(timeout=10)
        waits.append(time.perf_counter() - start)
    producer.close()
    print(json.dumps(waits))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
