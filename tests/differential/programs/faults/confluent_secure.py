"""Logs in as it is told to, and sends one record."""
# agent: line

import json
import sys

from confluent_kafka import Producer

codes = []
config = {**json.loads(sys.argv[3]), "message.timeout.ms": 3000, "log_level": 0}
producer = Producer(config)
producer.produce(sys.argv[2], b"value", on_delivery=lambda error, message: codes.append(error and error.code()))
print(producer.flush(10), codes)
