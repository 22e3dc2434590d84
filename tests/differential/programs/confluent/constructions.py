"""AGT-28, AGT-20: every way to construct one; the caller's dict is left as it is."""

import logging
import sys

import confluent_kafka
from confluent_kafka import Producer

config = {"bootstrap.servers": sys.argv[1], "client.id": "mine", "linger.ms": "3"}
before = repr(config)
dotted = {"metadata.broker.list": sys.argv[1]}
for producer in (
    Producer(config),
    Producer(config, **{"client.id": "other"}),
    Producer(**config),
    Producer(dotted),
    Producer({"bootstrap.servers": sys.argv[1], "default.topic.config": {"acks": "all"}}),
    Producer(config, logger=logging.getLogger("app")),
    confluent_kafka.Producer({**config, "compression.codec": "gzip", "queue.buffering.max.ms": 2}),
    Producer({**config, "error_cb": print, "throttle_cb": print, "on_delivery": None}),
):
    producer.produce(sys.argv[2], b"value")
    print(producer.flush(10), type(producer), isinstance(producer, Producer))
print(repr(config) == before)
