"""AGT-25: a return without flush, which the library does not make up for."""
# records: no fewer

import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1], "linger.ms": 0})
for number in range(10):
    producer.produce(sys.argv[2], b"value %d" % number)
print(producer.poll(0) >= 0)
