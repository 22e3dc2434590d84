"""TST-5: python -X dev -X tracemalloc finds no resource that the agent leaves, and no warning that it causes."""
# options: -X dev -X tracemalloc=2 -W ignore:open_text -W ignore:read_text

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(20):
    producer.send(sys.argv[2], b"value %d" % number)
producer.close()
