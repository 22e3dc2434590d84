"""TST-5: the library's own log at debug level tells of the program's clients alone."""
# ours: superclient

import logging
import sys


class Names(logging.Handler):
    def emit(self, record):
        if "blocking the event loop" not in record.getMessage():  # what 3.x says of a machine that is busy
            seen.add(record.name)
        if "superstreamlib" in record.getMessage():
            print("a client that the program did not make:", record.getMessage())


seen = set()
logging.basicConfig(level=logging.DEBUG, handlers=[Names()])

from kafka import KafkaProducer  # noqa: E402

producer = KafkaProducer(bootstrap_servers=sys.argv[1])
producer.send(sys.argv[2], b"value").get(10)
producer.close()
print(sorted(name for name in seen if not name.startswith("superclient")))
# agent: silent
