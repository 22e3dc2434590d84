"""AGT-25: a producer that goes out of scope; its records are delivered as without the agent."""

import gc
import sys
import threading
import weakref

from kafka import KafkaProducer


def produce():
    producer = KafkaProducer(bootstrap_servers=sys.argv[1])
    producer.send(sys.argv[2], b"value").get(10)
    return weakref.ref(producer)


seen = produce()
gc.collect()
print(seen() is None)
print(sorted(thread.name for thread in threading.enumerate() if "super" not in thread.name))
