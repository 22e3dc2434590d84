"""TST-5: a producer that is closed from its own callback."""

import sys
import threading

from kafka import KafkaProducer

closed = threading.Event()


def close(metadata):
    producer.close(timeout=0.5)
    print("closed", metadata.offset)
    closed.set()


producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value").add_callback(close)
print(closed.wait(2))
