"""AGT-28: descriptor 2 was closed and is the connection to the broker now: no line of the agent goes there."""
# agent: silent

import os
import sys

from kafka import KafkaProducer

os.close(2)
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(10):
    producer.send(sys.argv[2], b"value %d" % number)
producer.close()
print("done")
