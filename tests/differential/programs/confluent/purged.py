"""TST-5: purge drops what is queued, and tells each callback."""
# records: no fewer

import sys

from confluent_kafka import Producer

codes = []
producer = Producer({"bootstrap.servers": sys.argv[1], "linger.ms": 5000})
for number in range(20):
    producer.produce(sys.argv[2], b"value %d" % number, on_delivery=lambda error, message: codes.append(error.code()))
producer.purge()
print(producer.flush(10), sorted(set(codes)), len(codes))
