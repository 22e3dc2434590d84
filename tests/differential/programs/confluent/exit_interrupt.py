"""AGT-25: Ctrl-C while the program polls."""
# signal: SIGINT

import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.produce(sys.argv[2], b"value")
producer.flush(10)
print("ready", flush=True)
while True:
    producer.poll(0.1)
