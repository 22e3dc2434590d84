"""AGT-25: an exception ends the program: its traceback, its status, its records."""

import sys

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value")
raise RuntimeError("the end")
