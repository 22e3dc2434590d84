"""AGT-28: a hundred producers, made, used and closed; no descriptor is left behind."""

import os
import sys

from kafka import KafkaProducer

before = len(os.listdir("/proc/self/fd"))
producers = [KafkaProducer(bootstrap_servers=sys.argv[1], api_version=(2, 6)) for _ in range(100)]
for number, producer in enumerate(producers):
    producer.send(sys.argv[2], b"value %d" % number)
for producer in producers:
    producer.close()
del producer, producers
print(len(os.listdir("/proc/self/fd")) - before < 20)
