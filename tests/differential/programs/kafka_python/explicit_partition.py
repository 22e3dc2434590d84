"""TST-5, AGT-33: an explicit partition is the partition, with a key or without."""
# partitions: 4
# compare: partitions

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
print(sorted(producer.partitions_for(sys.argv[2])))
for number in range(40):
    key = b"key" if number % 2 else None
    producer.send(sys.argv[2], partition=number % 4, key=key, value=b"value %d" % number)
try:
    producer.send(sys.argv[2], partition=99, value=b"nowhere")
except Exception as error:
    print(type(error).__name__)
producer.close()
