"""TST-5: headers and timestamps arrive as they were given."""
# compare: timestamps

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(20):
    headers = [("number", b"%d" % number), ("empty", b""), ("number", b"again")]
    producer.send(sys.argv[2], b"value", headers=headers, timestamp_ms=1_600_000_000_000 + number)
producer.close()
