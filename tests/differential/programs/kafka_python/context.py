"""TST-5: a producer in a with-statement, where the library has one, is closed at its end."""

import contextlib
import sys

from kafka import KafkaProducer

with contextlib.closing(KafkaProducer(bootstrap_servers=[sys.argv[1]])) as producer:
    for number in range(50):
        producer.send(sys.argv[2], b"value %d" % number)
print(hasattr(KafkaProducer, "__enter__"))
