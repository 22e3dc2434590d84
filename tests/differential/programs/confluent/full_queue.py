"""TST-5: BufferError where the queue is as small as the program made it, and after as many messages."""

import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1], "queue.buffering.max.messages": 10, "linger.ms": 1000})
try:
    for number in range(100):
        producer.produce(sys.argv[2], b"value %d" % number)
except BufferError as error:
    print(number, error)
print(producer.flush(10))
