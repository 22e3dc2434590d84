"""AGT-22: the program replaces KafkaProducer.send and leaves it so: what passes there is the program's own alone."""

import sys

from kafka import KafkaProducer

original = KafkaProducer.send


def send(self, topic, value=None, **more):
    print("sending", topic, len(value))
    return original(self, topic, value, **more)


KafkaProducer.send = send
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(10):
    producer.send(sys.argv[2], b"value %d" % number).get(10)
producer.close()
