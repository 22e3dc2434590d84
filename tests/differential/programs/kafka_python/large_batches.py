"""TST-5: twenty thousand records through batches that fill."""
# partitions: 3

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1], batch_size=200_000, linger_ms=100)
for number in range(20_000):
    producer.send(sys.argv[2], b"a value that is like the others %d" % number)
producer.flush()
producer.close()
