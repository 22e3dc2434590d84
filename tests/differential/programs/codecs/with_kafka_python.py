"""AGT-28: the recommended codec's library is not installed: the record goes as the program has it, none is lost."""
# packages: kafka-python
# agent: line

import sys

from kafka import KafkaProducer

try:
    KafkaProducer(bootstrap_servers=sys.argv[1], compression_type="zstd")
except Exception as error:
    print(type(error).__name__, error)
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(500):
    producer.send(sys.argv[2], b"value %d" % number)
producer.close()
