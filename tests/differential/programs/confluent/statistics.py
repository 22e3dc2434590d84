"""AGT-28: a stats_cb of the program's own is called with the library's own statistics."""

import json
import sys

from confluent_kafka import Producer

seen = []
producer = Producer({"bootstrap.servers": sys.argv[1], "stats_cb": seen.append, "statistics.interval.ms": 100})
producer.produce(sys.argv[2], b"value")
producer.flush(10)
for _ in range(100):
    producer.poll(0.1)
    if len(seen) > 3:
        break
print(sorted(json.loads(seen[0])), type(seen[0]).__name__)
