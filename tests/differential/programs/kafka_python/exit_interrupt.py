"""AGT-25: Ctrl-C in the middle of a wait: KeyboardInterrupt, its traceback, and the records sent before."""
# signal: SIGINT

import sys
import threading

from kafka import KafkaProducer

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
for number in range(10):
    producer.send(sys.argv[2], b"value %d" % number)
print("ready", flush=True)
threading.Event().wait(20)
