"""TST-5: a record that is too large, an unknown topic's partition, a wrong type."""

import sys

from confluent_kafka import Producer

errors = []
producer = Producer({"bootstrap.servers": sys.argv[1], "message.max.bytes": 2000})
for attempt in (
    lambda: producer.produce(sys.argv[2], b"x" * 5000),
    lambda: producer.produce(sys.argv[2], b"value", partition=99, on_delivery=lambda e, m: errors.append(e.code())),
    lambda: producer.produce(sys.argv[2], 17),
    producer.produce,
    lambda: producer.produce(sys.argv[2], b"value", no_such=1),
    lambda: producer.poll("soon"),
):
    try:
        print(attempt())
    except BaseException as error:
        print(type(error).__name__, error)
print(producer.flush(10), errors)
