"""AGT-20: SerializingProducer, its serializers and its errors."""
# partitions: 2

import sys

from confluent_kafka import KafkaException, Producer, SerializingProducer
from confluent_kafka.serialization import StringSerializer

producer = SerializingProducer(
    {"bootstrap.servers": sys.argv[1], "key.serializer": StringSerializer(), "value.serializer": StringSerializer()}
)
for number in range(20):
    producer.produce(sys.argv[2], key=f"key {number % 3}", value=f"value {number}")
try:
    producer.produce(sys.argv[2], value=object())
except KafkaException as error:
    print(type(error).__name__)
print(producer.flush(10), isinstance(producer, Producer), type(producer), issubclass(SerializingProducer, Producer))
