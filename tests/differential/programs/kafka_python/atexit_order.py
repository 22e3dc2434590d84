"""AGT-25: exit handlers of the program run in the order that it knows, and can still send."""

import atexit
import sys

from kafka import KafkaProducer

atexit.register(print, "registered first, runs last")
producer = KafkaProducer(bootstrap_servers=sys.argv[1])


@atexit.register
def last_words():
    print(producer.send(sys.argv[2], b"last words").get(10).offset)


producer.send(sys.argv[2], b"value").get(10)
atexit.register(print, "registered last, runs first")
