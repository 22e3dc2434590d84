"""TST-5: the program replaces KafkaProducer.send itself, and puts it back."""

import sys

from kafka import KafkaProducer

original = KafkaProducer.send


def send(self, topic, value=None, **more):
    print("sending", value)
    return original(self, topic, value, **more)


KafkaProducer.send = send
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"patched")
KafkaProducer.send = original
producer.send(sys.argv[2], b"not patched")
producer.close()
print(KafkaProducer.send is original)
