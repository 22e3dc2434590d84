"""TST-5: produce, poll, flush."""

import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1]})
for number in range(200):
    producer.produce(sys.argv[2], b"value %d" % number)
    producer.poll(0)
print(producer.flush(10), len(producer))
