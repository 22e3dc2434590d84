"""TST-5: the library's log goes to the program's logger, and tells of the program's client alone."""
# ours: APP superclient

import logging
import sys

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="APP %(name)s %(message)s")

from confluent_kafka import Producer  # noqa: E402


class Names(logging.Handler):
    def emit(self, record):
        if "superstreamlib" in record.getMessage():
            print("a client that the program did not make")


logger = logging.getLogger("library")
logger.addHandler(Names())
logger.propagate = False
producer = Producer({"bootstrap.servers": sys.argv[1], "debug": "broker"}, logger=logger)
producer.produce(sys.argv[2], b"value")
print(producer.flush(10))
