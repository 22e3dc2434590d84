"""Loses its broker between two halves, and delivers both once it is back."""
# stderr: chance

import sys

from kafka import KafkaProducer

producer = KafkaProducer(
    bootstrap_servers=sys.argv[1], request_timeout_ms=4000, delivery_timeout_ms=30_000, retries=1000, acks="all"
)
for number in range(10):
    producer.send(sys.argv[2], b"before %d" % number, key=b"key").get(10)
print("ready", flush=True)
sys.stdin.readline()
sends = [producer.send(sys.argv[2], b"after %d" % number, key=b"key") for number in range(10)]
print("sent", flush=True)
producer.flush(30)
print([send.succeeded() for send in sends])
producer.close()
