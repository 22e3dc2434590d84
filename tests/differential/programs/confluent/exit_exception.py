"""AGT-25: an exception ends the program: its traceback, its status."""

import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.produce(sys.argv[2], b"value")
producer.flush(10)
raise RuntimeError("the end")
