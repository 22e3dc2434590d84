"""Logs in as it is told to, and sends one record."""
# agent: line

import json
import sys

from kafka import KafkaProducer

limits = {"api_version_auto_timeout_ms": 3000, "bootstrap_timeout_ms": 3000, "max_block_ms": 3000}
known = {name: value for name, value in limits.items() if name in KafkaProducer.DEFAULT_CONFIG}
try:
    producer = KafkaProducer(**json.loads(sys.argv[3]), **known)
    producer.send(sys.argv[2], b"value").get(10)
    producer.close()
    print("sent")
except Exception as error:
    print(type(error).__name__)
