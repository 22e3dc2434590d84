"""TST-5: send, flush and close; what most programs do."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(200):
    producer.send(sys.argv[2], value=b"value %d" % number)
producer.flush()
producer.close()
print("sent")
