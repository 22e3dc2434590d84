"""AGT-25: a return without flush or close; the library delivers at exit what it would have."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(10):
    producer.send(sys.argv[2], b"value %d" % number)
