"""TST-5: incompressible values, each nearly as large as a request may be."""

import random
import sys

from kafka import KafkaProducer

chance = random.Random(1)
producer = KafkaProducer(bootstrap_servers=sys.argv[1], compression_type=None, batch_size=0)
for _ in range(5):
    producer.send(sys.argv[2], chance.randbytes(900_000))
producer.close()
