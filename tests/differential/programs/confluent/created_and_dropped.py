"""AGT-28: ten producers created and dropped; no descriptor and no thread is left."""

import gc
import os
import sys

from confluent_kafka import Producer

before = len(os.listdir("/proc/self/fd"))
for number in range(10):
    producer = Producer({"bootstrap.servers": sys.argv[1]})
    producer.produce(sys.argv[2], b"value %d" % number)
    producer.flush(10)
    del producer
gc.collect()
print(len(os.listdir("/proc/self/fd")) - before < 20)
