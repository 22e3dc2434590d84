"""TST-5: the program's signal handlers are its own, and run while it waits."""

import os
import signal
import sys

from kafka import KafkaProducer

signal.signal(signal.SIGUSR1, lambda number, frame: print("handled", number))
before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
producer = KafkaProducer(bootstrap_servers=sys.argv[1])
os.kill(os.getpid(), signal.SIGUSR1)
producer.send(sys.argv[2], b"value").get(10)
producer.close()
print(before == {number: signal.getsignal(number) for number in before})
