"""TST-5, AGT-33: keyed records, headers, timestamps, explicit partitions."""
# partitions: 5
# compare: timestamps

import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1]})
for number in range(200):
    moment = 1_600_000_000_000 + number
    key = b"key %d" % (number % 17)
    producer.produce(sys.argv[2], b"%d" % number, key, headers={"number": str(number)}, timestamp=moment)
    producer.produce(sys.argv[2], "text", "key", number % 5, timestamp=moment, headers=[("a", b"1"), ("a", None)])
producer.flush()
