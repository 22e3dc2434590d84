"""AGT-28: the reader of stdout goes away; the program's BrokenPipeError is its own."""
# shell: "$@" | head -1

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value").get(10)
print("first", flush=True)
try:
    for _ in range(100_000):
        print("more", flush=True)
except BrokenPipeError:
    producer.send(sys.argv[2], b"broken pipe").get(10)
    producer.close()
    sys.stdout = None
    sys.exit(3)
