"""TST-5: delivery callbacks are given each message, on the program's own thread, when it polls."""
# partitions: 2

import sys
import threading

from confluent_kafka import Producer

threads = set()


def delivered(error, message):
    threads.add(threading.current_thread().name)
    seen.append((error, message.key(), message.value(), message.partition(), message.offset()))


seen = []
producer = Producer({"bootstrap.servers": sys.argv[1], "linger.ms": 5})
for number in range(50):
    producer.produce(sys.argv[2], b"value %d" % number, key=b"key %d" % (number % 5), on_delivery=delivered)
print(len(seen), len(producer))
print(producer.flush(10))
print(sorted(seen), threads)
