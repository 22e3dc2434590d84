"""TST-5: functions as serializers; one that raises fails the one send."""
# partitions: 3

import json
import sys

from kafka import KafkaProducer

producer = KafkaProducer(
    bootstrap_servers=sys.argv[1], key_serializer=str.encode, value_serializer=lambda value: json.dumps(value).encode()
)
for number in range(20):
    producer.send(sys.argv[2], key=f"key {number % 3}", value={"number": number})
try:
    producer.send(sys.argv[2], key="key", value={1, 2})
except TypeError as error:
    print(error)
producer.close()
