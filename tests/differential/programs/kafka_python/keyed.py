"""TST-5, AGT-33: a keyed record lands on the same partition, in the same order per key."""
# partitions: 5

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(400):
    producer.send(sys.argv[2], key=b"key %d" % (number % 17), value=b"value %d" % number)
producer.close()
