"""AGT-25: ten sends, a pause, exit without flush: what the library would have sent by then is sent."""

import sys
import threading

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.list_topics(sys.argv[2], timeout=10)
for number in range(10):
    producer.produce(sys.argv[2], b"value %d" % number)
threading.Event().wait(1)
