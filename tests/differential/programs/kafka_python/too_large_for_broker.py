"""TST-5: a record that the broker refuses."""

import random
import sys

from kafka import KafkaProducer
from kafka.errors import KafkaError

producer = KafkaProducer(bootstrap_servers=sys.argv[1], max_request_size=20_000_000)
try:
    print(producer.send(sys.argv[2], random.Random(1).randbytes(2_000_000)).get(15).offset)
except KafkaError as error:
    print(type(error).__name__)
print(producer.send(sys.argv[2], b"small").get(10).partition)
producer.close()
