"""AGT-21: what the program hands over is as it was afterwards, and so is what it gets back."""

import sys

from kafka import KafkaProducer

config = {"bootstrap_servers": [sys.argv[1]], "linger_ms": 3, "acks": 1, "client_id": "mine"}
before = repr(config)
producer = KafkaProducer(**config)
producer.send(sys.argv[2], b"value")
producer.close()
print(repr(config) == before, KafkaProducer.DEFAULT_CONFIG["linger_ms"], KafkaProducer.DEFAULT_CONFIG["batch_size"])
print({name: producer.config[name] for name in ("linger_ms", "batch_size", "compression_type", "client_id")})
