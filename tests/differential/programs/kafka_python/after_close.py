"""TST-5: a send after close, and a second close."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
producer.close()
try:
    producer.send(sys.argv[2], b"too late").get(2)
except BaseException as error:
    print(type(error).__name__, error)
try:
    producer.flush(1)
except BaseException as error:
    print(type(error).__name__, error)
