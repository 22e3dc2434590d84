"""AGT-28: len(p) counts the program's messages, before and after flush."""

import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1], "linger.ms": 2000})
print(len(producer), bool(producer))
for number in range(30):
    producer.produce(sys.argv[2], b"value %d" % number)
    print(len(producer), end=" ")
print(producer.flush(10), len(producer))
