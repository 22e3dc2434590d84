"""TST-5: an exception in a delivery callback comes out of flush, or poll."""

import sys

from confluent_kafka import Producer


def delivered(error, message):
    raise ValueError(message.value())


producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.produce(sys.argv[2], b"value", callback=delivered)
try:
    producer.flush(10)
except ValueError as error:
    print(error)
producer.produce(sys.argv[2], b"second", callback=delivered)
producer.flush(10)
