"""AGT-28: a program that replaces sys.stderr reads in it what it wrote itself, and the agent's lines."""
# agent: silent

import io
import sys

from kafka import KafkaProducer

sys.stderr = mine = io.StringIO()
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
producer.close()
print("my own words", file=sys.stderr)
print([line for line in mine.getvalue().splitlines() if not line.startswith("[superstream] ")])
