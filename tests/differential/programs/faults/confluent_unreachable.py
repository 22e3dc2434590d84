"""Finds no broker: deliveries fail by their own time limit, error_cb tells."""
# agent: line

import sys

from confluent_kafka import Producer

codes = []
producer = Producer({"bootstrap.servers": sys.argv[1], "message.timeout.ms": 1500, "log_level": 0})
producer.produce(sys.argv[2], b"value", on_delivery=lambda error, message: codes.append(error.code()))
print(producer.flush(10), codes)
