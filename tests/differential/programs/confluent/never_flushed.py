"""AGT-25: a pause and a return without flush: what the library has sent by then is sent with the agent, too."""

import sys
import time

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1], "linger.ms": 0})
for number in range(10):
    producer.produce(sys.argv[2], b"value %d" % number)
time.sleep(2)
print(producer.poll(0) >= 0)
