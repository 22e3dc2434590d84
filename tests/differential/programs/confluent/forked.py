"""AGT-24: os.fork after a producer exists; the child makes its own."""

import os
import sys

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.produce(sys.argv[2], b"before")
producer.flush(10)
child = os.fork()
if child == 0:
    own = Producer({"bootstrap.servers": sys.argv[1]})
    own.produce(sys.argv[2], b"child")
    print(own.flush(10), flush=True)
    os._exit(4)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
producer.produce(sys.argv[2], b"after")
print(producer.flush(10))
