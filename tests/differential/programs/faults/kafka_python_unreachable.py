"""Finds no broker, says why in its own words, and ends."""
# agent: line

import sys

from kafka import KafkaProducer

limits = {"api_version_auto_timeout_ms": 1500, "bootstrap_timeout_ms": 1500, "max_block_ms": 1500}
known = {name: value for name, value in limits.items() if name in KafkaProducer.DEFAULT_CONFIG}
try:
    producer = KafkaProducer(bootstrap_servers=sys.argv[1], request_timeout_ms=1500, **known)
    producer.send(sys.argv[2], b"value")
except Exception as error:
    print(type(error).__name__, error)
    sys.exit(3)
