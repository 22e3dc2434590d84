"""TST-5: a serializer of the library's own kind, as an object; older ways warn as they do without the agent."""
# options: -W default

import sys

from kafka import KafkaProducer
from kafka.serializer import Serializer


class Upper(Serializer):
    def serialize(self, *args):
        return args[-1].upper() if isinstance(args[-1], bytes) else args[-2].upper()


class Duck:
    def serialize(self, topic, value):
        return value + b"!"


for each in (Upper(), Duck()):
    try:
        producer = KafkaProducer(bootstrap_servers=sys.argv[1], value_serializer=each)
        producer.send(sys.argv[2], b"value")
        producer.close()
    except Exception as error:
        print(type(error).__name__, error)
