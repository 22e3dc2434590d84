"""TST-5: send().get(): every record is awaited, and its metadata looked at."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1], acks="all")
for number in range(10):
    metadata = producer.send(sys.argv[2], b"value %d" % number).get(timeout=10)
    print(metadata.topic, metadata.partition, metadata.offset, metadata.serialized_value_size)
producer.close()
