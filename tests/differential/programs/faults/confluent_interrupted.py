"""Loses its broker between two halves, and delivers both once it is back."""
# stderr: chance

import sys

from confluent_kafka import Producer

errors = []
producer = Producer({"bootstrap.servers": sys.argv[1], "enable.idempotence": True, "log_level": 0})
for number in range(10):
    producer.produce(sys.argv[2], b"before %d" % number, key=b"key")
producer.flush(10)
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    producer.produce(sys.argv[2], b"after %d" % number, key=b"key", on_delivery=lambda e, m: errors.append(e))
print("sent", flush=True)
print(producer.flush(30), errors)
