"""AGT-25: os._exit; what was awaited is there, no handler runs."""

import os
import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value").get(10)
print("now", flush=True)
os._exit(9)
