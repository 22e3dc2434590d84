"""TST-5, AGT-26: idempotence keeps each key in order and duplicates nothing."""
# partitions: 2

import sys

from kafka import KafkaProducer

try:
    producer = KafkaProducer(bootstrap_servers=sys.argv[1], enable_idempotence=True, acks="all", retries=5)
except Exception as error:
    print(type(error).__name__)
    raise
for number in range(500):
    producer.send(sys.argv[2], key=b"%d" % (number % 5), value=b"%d" % number)
producer.close()
print(producer.config["acks"], producer.config["retries"], producer.config["max_in_flight_requests_per_connection"])
